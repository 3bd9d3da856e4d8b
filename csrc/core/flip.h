// One sample of a flip test: the mean of a map and the mirror image of the flipped picture's map.
#pragma once

#include <cstdint>

#include "core/half.h"
#include "core/host_device.h"
#include "core/peaks.h"

namespace ppf {

// Channel k of the mean wants channel partner[k] of the flipped maps. By value, so that it travels with a kernel's
// arguments.
constexpr int kMaxFlipChannels = 1024;
struct FlipPairs {
  int16_t partner[kMaxFlipChannels] = {};
};

// The column of the flipped map that belongs to column x. With `shift` the mirrored map moves one pixel right, and its
// first column stays (HRNet's SHIFT_HEATMAP: corner-aligned crops are not symmetric).
PPF_HD int mirrored_column(int x, int width, bool shift) { return width - 1 - (shift && x > 0 ? x - 1 : x); }

PPF_HD float flip_mean(float straight, float mirrored) { return 0.5f * (straight + mirrored); }

PPF_HD Half flip_mean(Half straight, Half mirrored) {
  return to_half(0.5f * (to_float(straight) + to_float(mirrored)));
}

}  // namespace ppf

// Where joints are by the rules of two published decoders. Peaks are listed in raster order.
//
// OpenPose looks for them on the map up-sampled eight times. Here that map exists only pixel by pixel, and only where
// it can be above the threshold at all. trt_pose stays on the map itself.
//
// On purpose neither follows its authors where samples are not finite: such a sample is never a peak, never hides one
// and weighs nothing. (In trt_pose NaN is a peak, since nothing is greater than it.)
#pragma once

#include <cstdint>

#include "core/elementary.h"
#include "core/host_device.h"
#include "core/peaks.h"
#include "core/upsample.h"

namespace ppf {

enum class PeakRule : int32_t {
  kBest,      // find_peaks(): the best of each map
  kOpenPose,  // strict 3x3 maxima of the up-sampled map above the threshold; of too many the best
  kTrtPose,   // at or above the threshold, nothing greater in the 5x5 window; of too many the first
};

// ---- kTrtPose ---------------------------------------------------------------------------------------------------

constexpr int kWindowRadius = 2;

// Of a plateau every sample is a maximum.
template <class T>
PPF_HD bool is_window_maximum(const Map<T>& map, int32_t y, int32_t x, int32_t threshold_key) {
  const int32_t key = map.key(y, x);
  if (key == kNever || key < threshold_key) return false;
  for (int32_t ny = larger(y - kWindowRadius, 0); ny <= smaller(y + kWindowRadius, map.height - 1); ++ny) {
    for (int32_t nx = larger(x - kWindowRadius, 0); nx <= smaller(x + kWindowRadius, map.width - 1); ++nx) {
      if (map.key(ny, nx) > key) return false;
    }
  }
  return true;
}

// Weights that are negative may throw the place far from the sample, even out of the map. As published it stays there.
template <class T>
PPF_HD Place window_centroid(const Map<T>& map, int32_t y, int32_t x) {
  const Moments sum = moments_5x5(map, y, x);
  const float dx = sum.x / sum.total, dy = sum.y / sum.total;
  const bool is_place = is_finite(dx) & is_finite(dy);
  return {static_cast<float>(x) + (is_place ? dx : 0.0f), static_cast<float>(y) + (is_place ? dy : 0.0f)};
}

// ---- kOpenPose --------------------------------------------------------------------------------------------------
//
// Up-sampled pixels come in blocks of eight by eight, those between four samples, which mix the same four by four.
// Block (r, c) lies below row r and right of column c; beyond the border there are the halves of blocks -1.

constexpr int kFirstOfBlock = kUpsample / 2;  // block 0 starts here

PPF_HD int32_t block_start(int32_t block) { return block * kUpsample + kFirstOfBlock; }

// What a block mixes: the largest of the two by two samples around it, and the largest and smallest of all.
struct Reach {
  float inner, most, least;
};

// Whether a pixel of the block can be above the threshold. At t between two samples the weights of these two add up to
// 1 + s, and those of the two beyond to -s, with s = 0.75 t (1 - t), at most 3/16. So in two dimensions the inner four
// samples weigh at most (19/16)^2 = 1.411 together, the corners (3/16)^2 = 0.036, and the rest at least
// -2 (19/16) (3/16) = -0.446. The constants are rounded up by 0.004 or more; what single precision loses is below
// 1e-6 of the largest magnitude.
PPF_HD bool may_exceed(const Reach& reach, float threshold) {
  const float inner = reach.inner > 0.0f ? reach.inner : 0.0f;
  const float most = reach.most > 0.0f ? reach.most : 0.0f;
  const float least = reach.least < 0.0f ? reach.least : 0.0f;
  return (1.415f * inner + 0.04f * most) - 0.45f * least > threshold;
}

// Where a sample is NaN, so are all pixels of the block: it does not matter what comes out then.
template <class T>
PPF_HD Reach reach_of(const Map<T>& map, int32_t r, int32_t c) {
  Reach reach{-kInfinity, -kInfinity, kInfinity};
  for (int32_t i = -1; i <= 2; ++i) {
    for (int32_t j = -1; j <= 2; ++j) {
      const float sample = map.raw(clamp_to(r + i, 0, map.height - 1), clamp_to(c + j, 0, map.width - 1));
      const bool is_inner = (i == 0 || i == 1) && (j == 0 || j == 1);
      reach.inner = is_inner && sample > reach.inner ? sample : reach.inner;
      reach.most = sample > reach.most ? sample : reach.most;
      reach.least = sample < reach.least ? sample : reach.least;
    }
  }
  return reach;
}

// The outermost pixels have no eight neighbours, and are no peaks.
template <class T>
PPF_HD bool may_be_peak(const Map<T>& map, int32_t y, int32_t x) {
  return y > 0 && y < map.height * kUpsample - 1 && x > 0 && x < map.width * kUpsample - 1;
}

PPF_HD bool is_above(float value, float threshold) { return is_finite(value) & (value > threshold); }

// Beside a pixel that is NaN there is no peak.
template <class T>
PPF_HD bool is_upsampled_peak(const Map<T>& map, int32_t y, int32_t x, float threshold) {
  if (!may_be_peak(map, y, x)) return false;
  const float value = upsampled_value(map, y, x);
  if (!is_above(value, threshold)) return false;
  for (int32_t i = 0; i < 9; ++i) {
    if (i != 4 && !(value > upsampled_value(map, y + i / 3 - 1, x + i % 3 - 1))) return false;
  }
  return true;
}

constexpr int kCentroidRadius = 3;
constexpr int kCentroidSide = 2 * kCentroidRadius + 1;

// Centroid of the positive pixels around an up-sampled one, in pixels of the map itself.
template <class T>
PPF_HD Place upsampled_centroid(const Map<T>& map, int32_t y, int32_t x) {
  // Seven pixels span less than a sample, so that what they mix are five rows at most.
  constexpr int kRows = 5;
  float rows[kRows][kCentroidSide];
  const int32_t first = taps_of(y - kCentroidRadius).first;
  for (int32_t j = 0; j < kCentroidSide; ++j) {
    const Taps across = taps_of(x + j - kCentroidRadius);
    for (int32_t i = 0; i < kRows; ++i) {
      const int32_t row = clamp_to(first + i, 0, map.height - 1);
      rows[i][j] = mixed(across.weight, map.raw(row, clamp_to(across.first, 0, map.width - 1)),
                         map.raw(row, clamp_to(across.first + 1, 0, map.width - 1)),
                         map.raw(row, clamp_to(across.first + 2, 0, map.width - 1)),
                         map.raw(row, clamp_to(across.first + 3, 0, map.width - 1)));
    }
  }
  float total = 0.0f, sum_x = 0.0f, sum_y = 0.0f;
  for (int32_t dy = -kCentroidRadius; dy <= kCentroidRadius; ++dy) {
    if (y + dy < 0 || y + dy >= map.height * kUpsample) continue;
    const Taps down = taps_of(y + dy);
    const int32_t row = down.first - first;
    for (int32_t dx = -kCentroidRadius; dx <= kCentroidRadius; ++dx) {
      if (x + dx < 0 || x + dx >= map.width * kUpsample) continue;
      const int32_t j = dx + kCentroidRadius;
      const float weight = mixed(down.weight, rows[row][j], rows[row + 1][j], rows[row + 2][j], rows[row + 3][j]);
      if (!is_above(weight, 0.0f)) continue;
      total += weight;
      sum_x += weight * static_cast<float>(dx);
      sum_y += weight * static_cast<float>(dy);
    }
  }
  Place at{static_cast<float>(x), static_cast<float>(y)};
  if (total > 0.0f && is_finite(total)) {
    at.x += sum_x / total;
    at.y += sum_y / total;
  }
  return {from_upsampled(at.x), from_upsampled(at.y)};
}

}  // namespace ppf

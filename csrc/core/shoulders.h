// Joints that have no peak of their own: where two people meet, the weaker joint's blob is only a shoulder on the
// stronger one's side.
//
// A blob is about a Gaussian, and the three samples across a peak say which: through their logarithms runs a parabola,
// so that the sample two steps away can be foretold by multiplication alone. What rises far above that belongs to
// somebody else. The place of a shoulder follows from its two samples on the side away from the peak, where the peak's
// own blob has faded.
#pragma once

#include <cstdint>

#include "core/elementary.h"
#include "core/host_device.h"
#include "core/peaks.h"

namespace ppf {

constexpr int kShoulderReach = 2;           // samples from the peak
constexpr float kShoulderSigma2 = 0.8464f;  // px^2: no blob is taken for narrower than 0.92 px
constexpr float kLeastRise = 0.1f;          // above the blob of the peak, absolute and as a part of the sample
constexpr float kLeastRisePart = 0.4f;

// exp(-1 / sigma^2), the product of a Gaussian's two neighbours in parts of its peak, at kShoulderSigma2 and at 4.
constexpr float kNarrowest = 0.30681f;
constexpr float kWidest = 0.77880f;

// A blob's two neighbours along an axis, in parts of its peak.
struct Flanks {
  float before, after;
};

PPF_HD Flanks flanks_of(float before, float peak, float after) {
  const float least = 0.05f * peak;
  const float b = (before > least ? (before < peak ? before : peak) : least) / peak;
  const float a = (after > least ? (after < peak ? after : peak) : least) / peak;
  const float product = a * b;
  const float wanted = product < kNarrowest ? kNarrowest : (product > kWidest ? kWidest : product);
  // The width changes, the place of the vertex (a / b) does not.
  const float change = square_root(wanted / product);
  return {b * change, a * change};
}

// The sample up to kShoulderReach steps away, in parts of the peak.
PPF_HD float foretold(const Flanks& flanks, int32_t steps) {
  const float near = steps < 0 ? flanks.before : flanks.after, far = steps < 0 ? flanks.after : flanks.before;
  const float beside = steps == 0 ? 1.0f : near;
  return steps == -2 || steps == 2 ? near * near * near * far : beside;
}

// The blob of one peak.
struct Blob {
  int32_t x, y;  // the peak's sample
  float peak;
  Flanks along_x, along_y;

  PPF_HD float at(int32_t at_y, int32_t at_x) const {
    return peak * (foretold(along_x, at_x - x) * foretold(along_y, at_y - y));
  }
};

// The samples beside a peak.
struct Beside {
  float west, east, north, south;
};

// Beyond the border the blob is taken to go on as on the other side.
template <class T>
PPF_HD Beside beside(const Map<T>& map, int32_t y, int32_t x) {
  const int32_t west = x > 0 ? x - 1 : smaller(x + 1, map.width - 1), east = x + 1 < map.width ? x + 1 : west;
  const int32_t north = y > 0 ? y - 1 : smaller(y + 1, map.height - 1), south = y + 1 < map.height ? y + 1 : north;
  return {map.weight(y, west), map.weight(y, east), map.weight(north, x), map.weight(south, x)};
}

template <class T>
PPF_HD Blob blob_of(const Map<T>& map, int32_t y, int32_t x) {
  const float peak = map.value(y, x);
  const Beside samples = beside(map, y, x);
  return {x, y, peak, flanks_of(samples.west, peak, samples.east), flanks_of(samples.north, peak, samples.south)};
}

struct Shoulder {
  int32_t y, x;  // x < 0: there is none
  float rise;
};

// Whether the blob of a peak at (y, x) has anything to say about the shoulder's sample.
PPF_HD bool is_within_reach(int32_t y, int32_t x, const Shoulder& shoulder) {
  return shoulder.x - x <= kShoulderReach && x - shoulder.x <= kShoulderReach && shoulder.y - y <= kShoulderReach &&
         y - shoulder.y <= kShoulderReach;
}

PPF_HD bool is_rise(float rise, float sample) { return (rise > kLeastRise) & (rise > kLeastRisePart * sample); }

// Whether a sample is above the threshold and has a greater neighbour: tops are peaks of their own. Beyond the border
// the outermost samples are looked at again, which changes nothing.
template <class T>
PPF_HD bool is_on_slope(const PeakSpec& spec, const Map<T>& map, int32_t y, int32_t x) {
  const float sample = map.raw(y, x);
  bool has_greater = false;
  for (int32_t dy = -1; dy <= 1; ++dy) {
    for (int32_t dx = -1; dx <= 1; ++dx) {
      const float other = map.raw(clamp_to(y + dy, 0, map.height - 1), clamp_to(x + dx, 0, map.width - 1));
      has_greater |= (other > sample) & (other <= kLargest);
    }
  }
  return has_greater & (order_key(sample) > spec.threshold_key);
}

// Where the map rises most above the blob of a peak, ties in raster order.
template <class T>
PPF_HD Shoulder steepest_shoulder(const PeakSpec& spec, const Map<T>& map, const Blob& blob) {
  Shoulder best{-1, -1, 0.0f};
  for (int32_t y = blob.y - kShoulderReach; y <= blob.y + kShoulderReach; ++y) {
    for (int32_t x = blob.x - kShoulderReach; x <= blob.x + kShoulderReach; ++x) {
      if (!map.contains(y, x)) continue;
      const float sample = map.value(y, x), rise = sample - blob.at(y, x);
      if (rise > best.rise && is_rise(rise, sample) && is_on_slope(spec, map, y, x)) best = {y, x, rise};
    }
  }
  return best;
}

// `peak`: the refined place of the peak that the shoulder leans on. Along each axis, the slope of a Gaussian of known
// width says how far the vertex is from the shoulder's sample.
template <class T>
PPF_HD Place shoulder_place(const Map<T>& map, const Shoulder& shoulder, Place peak) {
  const int32_t y = shoulder.y, x = shoulder.x;
  const int32_t away_x = static_cast<float>(x) > peak.x ? 1 : -1, away_y = static_cast<float>(y) > peak.y ? 1 : -1;
  // The shoulder's sample and the next ones away from the peak along x and y.
  const float samples[3] = {map.value(y, x), map.contains(y, x + away_x) ? map.value(y, x + away_x) : 0.0f,
                            map.contains(y + away_y, x) ? map.value(y + away_y, x) : 0.0f};
  float steps[3];
  for (int i = 0; i < 3; ++i) steps[i] = log_or_zero(samples[i]);
  for (int i = 2; i >= 0; --i) {
    const float step = 0.5f + kShoulderSigma2 * (steps[i] - steps[0]);
    const float within = step < -0.75f ? -0.75f : (step > 0.75f ? 0.75f : step);
    steps[i] = has_log(samples[i]) & has_log(samples[0]) ? within : 0.0f;
  }
  return {static_cast<float>(x) + static_cast<float>(away_x) * steps[1],
          static_cast<float>(y) + static_cast<float>(away_y) * steps[2]};
}

}  // namespace ppf

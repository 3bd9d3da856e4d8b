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

// The blob of one peak: its samples at -2 .. 2 along each axis, in parts of the peak's.
struct Blob {
  int32_t x, y;  // the peak's sample
  float peak;
  float along_x[5], along_y[5];

  PPF_HD float at(int32_t at_y, int32_t at_x) const {
    return peak * (along_x[at_x - x + kShoulderReach] * along_y[at_y - y + kShoulderReach]);
  }
};

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

PPF_HD void foretell(const Flanks& flanks, float* blob) {
  const float left = flanks.before, right = flanks.after;
  blob[0] = left * left * left * right;
  blob[1] = left;
  blob[2] = 1.0f;
  blob[3] = right;
  blob[4] = right * right * right * left;
}

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
  Blob blob;
  blob.x = x;
  blob.y = y;
  blob.peak = map.value(y, x);
  const Beside samples = beside(map, y, x);
  foretell(flanks_of(samples.west, blob.peak, samples.east), blob.along_x);
  foretell(flanks_of(samples.north, blob.peak, samples.south), blob.along_y);
  return blob;
}

struct Shoulder {
  int32_t y, x;  // x < 0: there is none
  float rise;

  PPF_HD bool is_at(const Shoulder& other) const { return x == other.x && y == other.y; }
};

// Whether the blob of a peak at (y, x) has anything to say about the shoulder's sample.
PPF_HD bool is_within_reach(int32_t y, int32_t x, const Shoulder& shoulder) {
  return shoulder.x - x <= kShoulderReach && x - shoulder.x <= kShoulderReach && shoulder.y - y <= kShoulderReach &&
         y - shoulder.y <= kShoulderReach;
}

PPF_HD bool is_rise(float rise, float sample) { return (rise > kLeastRise) & (rise > kLeastRisePart * sample); }

template <class T>
PPF_HD void compare_shoulder(const PeakSpec& spec, const Map<T>& map, const Blob& blob, int32_t y, int32_t x,
                             Shoulder& best) {
  const float sample = map.value(y, x), rise = sample - blob.at(y, x);
  if (!(rise > best.rise) || !is_rise(rise, sample)) return;
  const int32_t key = map.key(y, x);
  if (key > spec.threshold_key && look_around(map, y, x, key).has_greater) best = {y, x, rise};
}

// Where the map rises most above the blob of a peak, ties in raster order; tops are peaks of their own.
template <class T>
PPF_HD Shoulder steepest_shoulder(const PeakSpec& spec, const Map<T>& map, const Blob& blob) {
  Shoulder best{-1, -1, 0.0f};
  for (int32_t y = blob.y - kShoulderReach; y <= blob.y + kShoulderReach; ++y) {
    for (int32_t x = blob.x - kShoulderReach; x <= blob.x + kShoulderReach; ++x) {
      if (map.contains(y, x)) compare_shoulder(spec, map, blob, y, x, best);
    }
  }
  return best;
}

// Along one axis, from the shoulder's sample: (before the vertex) the slope of a Gaussian of known width.
PPF_HD float shoulder_step(float sample, float outside) {
  if (!(sample > 0.0f) || !(outside > 0.0f) || !is_finite(sample) || !is_finite(outside)) return 0.0f;
  const float step = 0.5f + kShoulderSigma2 * (log_of(outside) - log_of(sample));
  return step < -0.75f ? -0.75f : (step > 0.75f ? 0.75f : step);
}

// `peak`: the refined place of the peak that the shoulder leans on.
template <class T>
PPF_HD Place shoulder_place(const Map<T>& map, const Shoulder& shoulder, Place peak) {
  Place at{static_cast<float>(shoulder.x), static_cast<float>(shoulder.y)};
  const float sample = map.value(shoulder.y, shoulder.x);
  const int32_t away_x = at.x > peak.x ? 1 : -1, away_y = at.y > peak.y ? 1 : -1;
  if (map.contains(shoulder.y, shoulder.x + away_x)) {
    at.x += static_cast<float>(away_x) * shoulder_step(sample, map.value(shoulder.y, shoulder.x + away_x));
  }
  if (map.contains(shoulder.y + away_y, shoulder.x)) {
    at.y += static_cast<float>(away_y) * shoulder_step(sample, map.value(shoulder.y + away_y, shoulder.x));
  }
  return at;
}

}  // namespace ppf

// Where a joint is in its map: what a peak is, and every published rule for its sub-pixel place.
//
// Samples are compared as integers (order_key), so that NaN, infinities, signed zeros and denormals are decided once,
// and equally on every processor. Coordinates are map pixels; a rule that its authors end with "+ 0.5" keeps it, so
// that xy * stride is the published coordinate.
#pragma once

#include <cstdint>

#include "core/elementary.h"
#include "core/half.h"
#include "core/host_device.h"
#include "core/view.h"

namespace ppf {

enum class Refine : int32_t {
  kNone,
  kQuarter,            // HRNet, SimpleBaseline: a quarter towards the higher neighbour
  kQuarterHalf,        // hourglass: the same, + 0.5
  kQuarterBinaryHalf,  // associative embedding: always a quarter to one side, + 0.5
  kSecondPeak,         // CPN, MSPN: a quarter towards the second maximum of the blurred map, + 0.5
  kDark,               // Taylor step on the log of the blurred map
  kUdpDark,            // the same in UDP's form: reflected border, clipped, seven points
  kCentroid7,          // OpenPose: centroid of the positive samples of a 7x7 window
  kCentroid5,          // trt_pose: centroid of a 5x5 window with reflected border, + 0.5
  kOffset,             // DeeperCut, DeepLabCut: an offset map says where in the cell, + 0.5
  kLogParabola,        // per axis, the parabola through the logarithms of three samples
};

constexpr int kMaxKernel = 41;
constexpr int kMaxCapacity = 1024;

struct PeakSpec {
  Refine refine = Refine::kNone;
  int32_t threshold_key = 0;  // a sample above it may be a peak: order_key of the raw sample
  bool logits = false;        // samples stand for sigmoid(sample)
  int32_t kernel = 11;        // taps of the Gaussian of kDark, kUdpDark (21 for kSecondPeak)
  float weights[kMaxKernel] = {};
  float offset_scale = 1.0f;  // offset map units -> cells
  bool shoulders = false;     // find_peaks: also joints without a peak of their own (shoulders.h)
  bool clears_rest = true;    // find_peaks: entries past the count are 0; without, they may be anything
};

// Maps [N, K, H, W], whatever their memory order; strides in elements.
struct MapView {
  const void* data = nullptr;
  bool is_half = false;
  int64_t n = 0, k = 0;
  int32_t height = 0, width = 0;
  int64_t stride_n = 0, stride_k = 0, stride_y = 0, stride_x = 0;
};

struct MapTarget {
  void* data = nullptr;
  bool is_half = false;
  int64_t stride_n = 0, stride_k = 0, stride_y = 0, stride_x = 0;
};

// Offsets [N, K, 2, H, W], x before y; data == nullptr when the rule wants none.
struct OffsetView {
  const void* data = nullptr;
  bool is_half = false;
  int64_t stride_n = 0, stride_k = 0, stride_axis = 0, stride_y = 0, stride_x = 0;
};

// Results, C order: one entry per map.
struct BestPeaks {
  float* xy = nullptr;           // [N, K, 2]
  float* score = nullptr;        // [N, K]
  int32_t* count = nullptr;      // [N, K]
  int32_t* nonfinite = nullptr;  // [N, K]
};

// Results, C order: `capacity` entries per map.
struct PeakLists {
  float* xy = nullptr;           // [N, K, capacity, 2]
  float* score = nullptr;        // [N, K, capacity]
  int32_t* count = nullptr;      // [N, K]
  int32_t* total = nullptr;      // [N, K]
  int32_t* nonfinite = nullptr;  // [N, K]
  int32_t capacity = 0;
};

PPF_HD float to_float(float value) { return value; }

// Orders samples as their values do, with -0 == +0; anything not finite comes before everything else.
constexpr int32_t kNever = INT32_MIN;

PPF_HD int32_t order_key(float value) {
  const int32_t bits = bits_of(value);
  const int32_t magnitude = bits & kMagnitude;
  const int32_t sign = bits >> 31;
  return magnitude >= kInfinityBits ? kNever : (magnitude ^ sign) - sign;
}

PPF_HD float value_of_key(int32_t key) {
  if (key == kNever) return 0.0f;
  const int32_t sign = key >> 31;
  return float_of(((key ^ sign) - sign) | (sign & INT32_MIN));
}

// One map [H, W] of samples T (float or Half).
template <class T>
struct Map {
  const T* data;
  int32_t height, width;
  int64_t stride_y, stride_x;
  bool logits;

  PPF_HD bool contains(int y, int x) const { return y >= 0 && y < height && x >= 0 && x < width; }
  PPF_HD float raw(int y, int x) const { return to_float(data[y * stride_y + x * stride_x]); }
  PPF_HD int32_t key(int y, int x) const { return order_key(raw(y, x)); }

  // As the rules read it: a probability when the map holds logits.
  PPF_HD float value(int y, int x) const {
    const float sample = raw(y, x);
    return logits && is_finite(sample) ? sigmoid(sample) : sample;
  }

  // As a weight: what is not finite counts nothing.
  PPF_HD float weight(int y, int x) const {
    const float sample = value(y, x);
    return is_finite(sample) ? sample : 0.0f;
  }
};

template <class T>
PPF_HD Map<T> map_at(const MapView& maps, int64_t index, bool logits) {
  const int64_t offset = index / maps.k * maps.stride_n + index % maps.k * maps.stride_k;
  return {static_cast<const T*>(maps.data) + offset, maps.height, maps.width, maps.stride_y, maps.stride_x, logits};
}

// What the 3x3 neighbourhood says about a sample.
struct Neighbourhood {
  bool has_greater;
  bool has_equal;          // part of a plateau
  bool has_earlier_equal;  // and not its first pixel in raster order, nor next to nothing but later ones
};

template <class T>
PPF_HD Neighbourhood look_around(const Map<T>& map, int y, int x, int32_t key) {
  Neighbourhood result{false, false, false};
  for (int dy = -1; dy <= 1; ++dy) {
    for (int dx = -1; dx <= 1; ++dx) {
      if ((dy == 0 && dx == 0) || !map.contains(y + dy, x + dx)) continue;
      const int32_t other = map.key(y + dy, x + dx);
      result.has_greater |= other > key;
      result.has_equal |= other == key;
      result.has_earlier_equal |= other == key && (dy < 0 || (dy == 0 && dx < 0));
    }
  }
  return result;
}

struct Place {
  float x, y;
};

// ---- rules that look at the next samples ------------------------------------------------------------------------

PPF_HD float quarter_towards(float before, float after) {
  if (!is_finite(before) || !is_finite(after)) return 0.0f;
  return after > before ? 0.25f : (after < before ? -0.25f : 0.0f);
}

template <class T>
PPF_HD Place quarter_step(const Map<T>& map, int py, int px) {
  Place at{static_cast<float>(px), static_cast<float>(py)};
  if (px > 1 && px < map.width - 1 && py > 1 && py < map.height - 1) {
    at.x += quarter_towards(map.value(py, px - 1), map.value(py, px + 1));
    at.y += quarter_towards(map.value(py - 1, px), map.value(py + 1, px));
  }
  return at;
}

template <class T>
PPF_HD Place quarter_binary_step(const Map<T>& map, int py, int px) {
  const int left = larger(px - 1, 0), right = smaller(px + 1, map.width - 1);
  const int above = larger(py - 1, 0), below = smaller(py + 1, map.height - 1);
  const bool goes_right = order_key(map.value(py, right)) > order_key(map.value(py, left));
  const bool goes_down = order_key(map.value(below, px)) > order_key(map.value(above, px));
  return {static_cast<float>(px) + (goes_right ? 0.25f : -0.25f),
          static_cast<float>(py) + (goes_down ? 0.25f : -0.25f)};
}

PPF_HD bool has_log(float sample) { return (sample > 0.0f) & is_finite(sample); }

PPF_HD float log_or_zero(float sample) { return log_of(has_log(sample) ? sample : 1.0f); }

// Vertex of the parabola through the logs of three samples, from the middle one, within half a sample. Without
// branches, so that loops over many peaks become vector code.
PPF_HD float log_parabola(float before, float centre, float after) {
  const float l = log_or_zero(before), c = log_or_zero(centre), r = log_or_zero(after);
  const float curvature = (l - c) + (r - c);
  const bool is_peak = curvature < 0.0f;
  const float step = 0.5f * (l - r) / (is_peak ? curvature : -1.0f);
  const float within = step < -0.5f ? -0.5f : (step > 0.5f ? 0.5f : step);
  return has_log(before) & has_log(centre) & has_log(after) & is_peak ? within : 0.0f;
}

template <class T>
PPF_HD Place log_parabola_step(const Map<T>& map, int py, int px) {
  Place at{static_cast<float>(px), static_cast<float>(py)};
  const float centre = map.value(py, px);
  if (px > 0 && px < map.width - 1) at.x += log_parabola(map.value(py, px - 1), centre, map.value(py, px + 1));
  if (py > 0 && py < map.height - 1) at.y += log_parabola(map.value(py - 1, px), centre, map.value(py + 1, px));
  return at;
}

// ---- centroids --------------------------------------------------------------------------------------------------

template <class T>
PPF_HD Place centroid_7x7(const Map<T>& map, int py, int px) {
  float total = 0.0f, sum_x = 0.0f, sum_y = 0.0f;
  for (int y = larger(py - 3, 0); y <= smaller(py + 3, map.height - 1); ++y) {
    for (int x = larger(px - 3, 0); x <= smaller(px + 3, map.width - 1); ++x) {
      const float weight = map.weight(y, x);
      if (!(weight > 0.0f)) continue;
      total += weight;
      sum_x += weight * static_cast<float>(x - px);
      sum_y += weight * static_cast<float>(y - py);
    }
  }
  Place at{static_cast<float>(px), static_cast<float>(py)};
  if (total > 0.0f && is_finite(total)) {
    at.x += sum_x / total;
    at.y += sum_y / total;
  }
  return at;
}

// The index that a border mirrored at its outermost sample shows; maps may be smaller than the window.
PPF_HD int reflect_101(int index, int size) {
  if (size == 1) return 0;
  const int period = 2 * (size - 1);
  index = index % period;
  if (index < 0) index += period;
  return index < size ? index : period - index;
}

struct Moments {
  float total, x, y;
};

// Of the 5x5 window around a sample, which is the origin.
template <class T>
PPF_HD Moments moments_5x5(const Map<T>& map, int py, int px) {
  float total = 0.0f, sum_x = 0.0f, sum_y = 0.0f;
  for (int dy = -2; dy <= 2; ++dy) {
    for (int dx = -2; dx <= 2; ++dx) {
      const float weight = map.weight(reflect_101(py + dy, map.height), reflect_101(px + dx, map.width));
      total += weight;
      sum_x += weight * static_cast<float>(dx);
      sum_y += weight * static_cast<float>(dy);
    }
  }
  return {total, sum_x, sum_y};
}

template <class T>
PPF_HD Place centroid_5x5(const Map<T>& map, int py, int px) {
  const Moments sum = moments_5x5(map, py, px);
  Place at{static_cast<float>(px), static_cast<float>(py)};
  if (sum.total > 0.0f && is_finite(sum.total) && is_finite(sum.x) && is_finite(sum.y)) {
    at.x += sum.x / sum.total;
    at.y += sum.y / sum.total;
  }
  return at;
}

// ---- offset maps ------------------------------------------------------------------------------------------------

PPF_HD float offset_at(const OffsetView& offsets, int64_t index, int64_t channels, int axis, int y, int x) {
  const int64_t at = index / channels * offsets.stride_n + index % channels * offsets.stride_k +
                     axis * offsets.stride_axis + y * offsets.stride_y + x * offsets.stride_x;
  const float value = offsets.is_half ? to_float(static_cast<const Half*>(offsets.data)[at])
                                      : static_cast<const float*>(offsets.data)[at];
  return is_finite(value) ? value : 0.0f;
}

// Every rule but the three that blur (blur.h). `index` counts maps in N-major order.
template <class T>
PPF_HD Place refine_locally(const PeakSpec& spec, const Map<T>& map, const OffsetView& offsets, int64_t index,
                            int64_t channels, int py, int px) {
  Place at{static_cast<float>(px), static_cast<float>(py)};
  switch (spec.refine) {
    case Refine::kQuarter:
    case Refine::kQuarterHalf: at = quarter_step(map, py, px); break;
    case Refine::kQuarterBinaryHalf: at = quarter_binary_step(map, py, px); break;
    case Refine::kCentroid7: at = centroid_7x7(map, py, px); break;
    case Refine::kCentroid5: at = centroid_5x5(map, py, px); break;
    case Refine::kOffset:
      at.x += spec.offset_scale * offset_at(offsets, index, channels, 0, py, px);
      at.y += spec.offset_scale * offset_at(offsets, index, channels, 1, py, px);
      break;
    case Refine::kLogParabola: at = log_parabola_step(map, py, px); break;
    default: break;
  }
  const bool ends_with_half = spec.refine == Refine::kQuarterHalf || spec.refine == Refine::kQuarterBinaryHalf ||
                              spec.refine == Refine::kCentroid5 || spec.refine == Refine::kOffset;
  if (ends_with_half) {
    at.x += 0.5f;
    at.y += 0.5f;
  }
  return at;
}

}  // namespace ppf

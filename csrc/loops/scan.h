// Finding the best sample of a map, as fast as it can be read. Included by loops only, so each instruction set has its
// own.
#pragma once

#include <cstdint>

#include "core/peaks.h"

namespace ppf::loops::PPF_ISA {
namespace {

// How the raw bits of a sample sort. As integers, non-negative floats are in order and above all negative ones;
// whatever is not finite has a magnitude from `infinity` on.
template <class T>
struct Raw;

template <>
struct Raw<float> {
  using Bits = int32_t __attribute__((may_alias));
  using Value = int32_t;
  static constexpr Value kMagnitude = 0x7fffffff, kInfinity = 0x7f800000, kLowest = INT32_MIN;
};

template <>
struct Raw<Half> {
  using Bits = int16_t __attribute__((may_alias));
  using Value = int16_t;
  static constexpr Value kMagnitude = 0x7fff, kInfinity = 0x7c00, kLowest = INT16_MIN;
};

template <class T>
struct Extremes {
  typename Raw<T>::Value largest = Raw<T>::kLowest;
  typename Raw<T>::Value magnitude = 0;

  bool all_finite() const { return magnitude < Raw<T>::kInfinity; }
  // `largest` is the largest sample, and no other bit pattern equals it.
  bool decides() const { return all_finite() && largest > 0; }
};

template <class T>
void widen(Extremes<T>& extremes, const T* samples, int64_t count) {
  const auto* bits = reinterpret_cast<const typename Raw<T>::Bits*>(samples);
  auto largest = extremes.largest, magnitude = extremes.magnitude;
  for (int64_t i = 0; i < count; ++i) {
    const typename Raw<T>::Value sample = bits[i];
    const auto absolute = static_cast<typename Raw<T>::Value>(sample & Raw<T>::kMagnitude);
    largest = sample > largest ? sample : largest;
    magnitude = absolute > magnitude ? absolute : magnitude;
  }
  extremes.largest = largest;
  extremes.magnitude = magnitude;
}

// Index of the first sample with these bits, or `count`.
template <class T>
int64_t first_equal(const T* samples, int64_t count, typename Raw<T>::Value wanted) {
  constexpr int kBlock = 128;
  const auto* bits = reinterpret_cast<const typename Raw<T>::Bits*>(samples);
  int64_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    typename Raw<T>::Value found = 0;
    for (int j = 0; j < kBlock; ++j) found |= static_cast<typename Raw<T>::Value>(bits[i + j] == wanted);
    if (found != 0) break;
  }
  while (i < count && bits[i] != wanted) ++i;
  return i;
}

struct Best {
  int32_t key = kNever;
  int32_t index = 0;  // y * width + x
  int32_t nonfinite = 0;
};

// Any memory order, any sample.
template <class T>
Best scan_slowly(const Map<T>& map) {
  Best best;
  for (int y = 0; y < map.height; ++y) {
    for (int x = 0; x < map.width; ++x) {
      const int32_t key = map.key(y, x);
      best.nonfinite += key == kNever;
      if (key > best.key) {
        best.key = key;
        best.index = y * map.width + x;
      }
    }
  }
  return best;
}

template <class T>
Extremes<T> extremes_of(const Map<T>& map) {
  Extremes<T> extremes;
  if (map.stride_y == map.width) {
    widen(extremes, map.data, static_cast<int64_t>(map.height) * map.width);
  } else {
    for (int y = 0; y < map.height; ++y) widen(extremes, map.data + y * map.stride_y, map.width);
  }
  return extremes;
}

// The largest finite sample, first in raster order. Rows must be contiguous (stride_x == 1) for the fast way.
template <class T>
Best scan(const Map<T>& map) {
  if (map.stride_x != 1) return scan_slowly(map);
  const Extremes<T> extremes = extremes_of(map);
  if (!extremes.decides()) return scan_slowly(map);
  Best best;
  if (map.stride_y == map.width) {
    best.index =
        static_cast<int32_t>(first_equal(map.data, static_cast<int64_t>(map.height) * map.width, extremes.largest));
  } else {
    int y = 0;
    int64_t x = map.width;
    for (; y < map.height && x == map.width; ++y)
      x = first_equal(map.data + y * map.stride_y, map.width, extremes.largest);
    best.index = static_cast<int32_t>((y - 1) * map.width + x);
  }
  best.key = map.key(best.index / map.width, best.index % map.width);
  return best;
}

// Maps that lie channel by channel in memory (NHWC): kLanes channels at a time, since reading one alone would fetch
// them all anyway.
constexpr int kLanes = 32;

template <class T>
void scan_channels(const MapView& maps, const T* first_channel, int channels, Best* best) {
  int32_t key[kLanes], index[kLanes], nonfinite[kLanes];
  for (int c = 0; c < kLanes; ++c) {
    key[c] = kNever;
    index[c] = nonfinite[c] = 0;
  }
  for (int y = 0; y < maps.height; ++y) {
    for (int x = 0; x < maps.width; ++x) {
      const T* samples = first_channel + y * maps.stride_y + x * maps.stride_x;
      const int32_t here = y * maps.width + x;
      for (int c = 0; c < channels; ++c) {
        const int32_t sample = order_key(to_float(samples[c]));
        nonfinite[c] += sample == kNever;
        index[c] = sample > key[c] ? here : index[c];
        key[c] = sample > key[c] ? sample : key[c];
      }
    }
  }
  for (int c = 0; c < channels; ++c) {
    best[c].key = key[c];
    best[c].index = index[c];
    best[c].nonfinite = nonfinite[c];
  }
}

}  // namespace
}  // namespace ppf::loops::PPF_ISA

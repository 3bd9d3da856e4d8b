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

// Samples that are looked through at once: few enough for a 16-bit index.
constexpr int kBlock = 512;

// Index of the first of up to kBlock samples with these bits, or `count`.
template <class T>
int first_equal(const T* samples, int count, typename Raw<T>::Value wanted) {
  const auto* bits = reinterpret_cast<const typename Raw<T>::Bits*>(samples);
  const auto none = static_cast<typename Raw<T>::Value>(count);
  auto first = none;
  for (int i = 0; i < count; ++i) {
    const auto here = bits[i] == wanted ? static_cast<typename Raw<T>::Value>(i) : none;
    first = here < first ? here : first;
  }
  return first;
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
  const bool is_one_row = map.stride_y == map.width;
  const int rows = is_one_row ? 1 : map.height;
  const int length = is_one_row ? map.height * map.width : map.width;
  Extremes<T> all;
  const T* winner = map.data;  // the first block that holds the largest sample
  int winner_index = 0, winner_count = 0;
  for (int y = 0; y < rows; ++y) {
    for (int x = 0; x < length; x += kBlock) {
      const T* samples = map.data + y * map.stride_y + x;
      const int count = smaller(kBlock, length - x);
      Extremes<T> block;
      widen(block, samples, count);
      all.magnitude = block.magnitude > all.magnitude ? block.magnitude : all.magnitude;
      if (winner_count > 0 && block.largest <= all.largest) continue;
      all.largest = block.largest;
      winner = samples;
      winner_index = y * length + x;
      winner_count = count;
    }
  }
  if (!all.decides()) return scan_slowly(map);
  const int within = first_equal(winner, winner_count, all.largest);
  return {order_key(to_float(winner[within])), winner_index + within, 0};
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

// Finding the best sample of a map, as fast as it can be read. Included by loops only, so each instruction set has its
// own.
#pragma once

#include <cstdint>

#include "core/peaks.h"

namespace ppf::loops::PPF_ISA {
namespace {

// Bytes of one vector register.
#if defined(__AVX512BW__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

// How the raw bits of a sample sort. As signed integers, non-negative floats are in order and above all negative ones,
// and what is positive and not finite is above those. As unsigned integers, what is negative and not finite is above
// everything else.
template <class T>
struct Raw;

template <>
struct Raw<float> {
  using Bits = int32_t __attribute__((may_alias));
  using Value = int32_t;
  using Word = uint32_t;
  static constexpr Value kLowest = INT32_MIN, kInfinity = 0x7f800000;
  static constexpr Word kNegativeInfinity = 0xff800000;
};

template <>
struct Raw<Half> {
  using Bits = int16_t __attribute__((may_alias));
  using Value = int16_t;
  using Word = uint16_t;
  static constexpr Value kLowest = INT16_MIN, kInfinity = 0x7c00;
  static constexpr Word kNegativeInfinity = 0xfc00;
};

template <class T>
struct Vector {
  using Value = typename Raw<T>::Value;
  typedef Value Values __attribute__((vector_size(kVectorBytes)));
  typedef typename Raw<T>::Word Words __attribute__((vector_size(kVectorBytes)));
  typedef Value InMemory __attribute__((vector_size(kVectorBytes), aligned(sizeof(Value)), may_alias));
  static constexpr int kWidth = kVectorBytes / static_cast<int>(sizeof(Value));

  static Values all(Value value) { return Values{} + value; }

  // Volatile, or GCC folds the load into each of its uses, and reads everything twice (a quarter more time).
  static Values load(const T* samples) { return *reinterpret_cast<const volatile InMemory*>(samples); }

  // By way of quarters: out of a loop over all lanes, GCC makes a chain of single ones.
  static Value largest_lane(const Values& vector) {
    typedef Value Quarter __attribute__((vector_size(16)));
    Quarter quarters[kVectorBytes / 16];
    __builtin_memcpy(quarters, &vector, sizeof vector);
    Quarter best = quarters[0];
    for (const Quarter& quarter : quarters) best = quarter > best ? quarter : best;
    Value largest = best[0];
    for (int i = 1; i < 16 / static_cast<int>(sizeof(Value)); ++i) largest = best[i] > largest ? best[i] : largest;
    return largest;
  }
};

// Samples of a row that is not the map's own.
template <class T>
constexpr int kShortRow = 512 / static_cast<int>(sizeof(T));

// The largest of each lane, as both kinds of integer.
template <class T>
struct LaneExtremes {
  using Values = typename Vector<T>::Values;
  using Words = typename Vector<T>::Words;

  Values largest = Vector<T>::all(Raw<T>::kLowest);
  Words most = {};

  void take(const Values& values) {
    const auto words = reinterpret_cast<const Words&>(values);
    largest = values > largest ? values : largest;
    most = words > most ? words : most;
  }

  void take(const T* samples, int count) {
    constexpr int kWidth = Vector<T>::kWidth;
    if (count < kWidth) {
      T repeated[kWidth];
      for (int i = 0; i < kWidth; ++i) repeated[i] = samples[i < count ? i : 0];
      return take(Vector<T>::load(repeated));
    }
    if (count == kShortRow<T>) {  // the usual case, as straight-line code
#pragma GCC unroll 8
      for (int i = 0; i < kShortRow<T>; i += kWidth) take(Vector<T>::load(samples + i));
      return;
    }
    for (int i = 0; i + kWidth <= count; i += kWidth) take(Vector<T>::load(samples + i));
    if (count % kWidth != 0) take(Vector<T>::load(samples + count - kWidth));  // some of them again: no harm
  }

  // Of `values`, which are lanes of samples among those taken: the largest, or from kInfinity on when any sample taken
  // is not finite.
  typename Raw<T>::Value top(const Values& values) const {
    const Values infinite = Vector<T>::all(Raw<T>::kInfinity);
    return Vector<T>::largest_lane(most >= Raw<T>::kNegativeInfinity ? infinite : values);
  }
};

// largest: from kInfinity on when a sample is not finite.
template <class T>
struct Extremes {
  typename Raw<T>::Value largest = Raw<T>::kLowest;

  bool all_finite() const { return largest < Raw<T>::kInfinity; }
};

template <class T>
void widen(Extremes<T>& extremes, const T* samples, int count) {
  LaneExtremes<T> lanes;
  lanes.take(samples, count);
  const auto top = lanes.top(lanes.largest);
  extremes.largest = top > extremes.largest ? top : extremes.largest;
}

template <class T>
Extremes<T> extremes_of(const Map<T>& map) {
  Extremes<T> extremes;
  if (map.stride_y == map.width) {
    widen(extremes, map.data, map.height * map.width);
  } else {
    for (int y = 0; y < map.height; ++y) widen(extremes, map.data + y * map.stride_y, map.width);
  }
  return extremes;
}

constexpr int kMostAtOnce = 1 << 14;  // samples or rows whose numbers fit into every Value

// -1 - lane.
template <class T>
PPF_HD typename Vector<T>::Values minus_lanes() {
  typename Vector<T>::Values result;
  for (int i = 0; i < Vector<T>::kWidth; ++i) result[i] = static_cast<typename Raw<T>::Value>(-1 - i);
  return result;
}

// Index of the first of up to kMostAtOnce samples with these bits. There must be one.
template <class T>
int first_equal(const T* samples, int count, typename Raw<T>::Value wanted) {
  using Value = typename Raw<T>::Value;
  constexpr int kWidth = Vector<T>::kWidth;
  if (count < kWidth) {
    for (int i = 0;; ++i) {
      Value bits;
      __builtin_memcpy(&bits, samples + i, sizeof bits);
      if (bits == wanted) return i;
    }
  }
  // Backwards, so that each lane keeps its first; as -1 - index, so that the largest is the first of all.
  typename Vector<T>::Values lane = minus_lanes<T>(), found = Vector<T>::all(Raw<T>::kLowest);
  if (count == kShortRow<T>) {
    lane -= static_cast<Value>(kShortRow<T> - kWidth);
#pragma GCC unroll 8
    for (int i = kShortRow<T> - kWidth; i >= 0; i -= kWidth) {
      found = Vector<T>::load(samples + i) == wanted ? lane : found;
      lane += static_cast<Value>(kWidth);
    }
    return -1 - Vector<T>::largest_lane(found);
  }
  int start = count - kWidth;
  found = Vector<T>::load(samples + start) == wanted ? lane - static_cast<Value>(start) : found;
  start = (count - 1) / kWidth * kWidth;
  lane -= static_cast<Value>(start);
  while (start > 0) {
    start -= kWidth;
    lane += static_cast<Value>(kWidth);
    found = Vector<T>::load(samples + start) == wanted ? lane : found;
  }
  return -1 - Vector<T>::largest_lane(found);
}

struct Best {
  int32_t key = kNever;
  int32_t index = 0;  // y * width + x
  int32_t nonfinite = 0;
};

// Any memory order, any sample.
template <class T>
void scan_slowly(const Map<T>& map, Best& best) {
  best = {};
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
}

// A map as the scan reads it: in its own rows or, when these lie one behind the other, in rows of a length that suits
// the search. The last may be shorter.
template <class T>
struct Rows {
  const T* data;
  int64_t stride;
  int count, length, last_length;

  explicit Rows(const Map<T>& map) : data(map.data) {
    if (map.stride_y == map.width || map.height == 1) {
      const int samples = map.height * map.width;
      if (samples <= kShortRow<T> * kMostAtOnce) {
        cut<kShortRow<T>>(samples);
      } else {
        cut<kMostAtOnce>(samples);
      }
    } else {
      length = last_length = map.width;
      count = map.height;
      stride = map.stride_y;
    }
  }

  template <int kLength>  // a constant: division by it costs nothing
  void cut(int samples) {
    count = (samples - 1) / kLength + 1;
    last_length = samples - (count - 1) * kLength;
    stride = length = kLength;
  }

  const T* row(int number) const { return data + number * stride; }
  int length_of(int number) const { return number + 1 < count ? length : last_length; }
};

// The largest finite sample, first in raster order. Every lane remembers its largest sample and the first row that has
// it, so that in the end one row is searched.
template <class T>
void scan(const Map<T>& map, Best& best) {
  using Values = typename Vector<T>::Values;
  const Rows<T> rows(map);
  if (map.stride_x != 1 || rows.length > kMostAtOnce || rows.count > kMostAtOnce) return scan_slowly(map, best);
  const Values lowest = Vector<T>::all(Raw<T>::kLowest);
  Values largest = lowest, row_of_largest = {}, row = {};
  LaneExtremes<T> here;
  for (int y = 0; y < rows.count; ++y) {
    here.largest = lowest;
    here.take(rows.row(y), rows.length_of(y));
    const auto is_larger = here.largest > largest;
    row_of_largest = is_larger ? row : row_of_largest;
    largest = is_larger ? here.largest : largest;
    row += 1;
  }
  const auto top = here.top(largest);
  // A positive finite sample has bits that no other value has.
  if (top <= 0 || top >= Raw<T>::kInfinity) return scan_slowly(map, best);
  const int y = -1 - Vector<T>::largest_lane(largest == top ? -1 - row_of_largest : lowest);
  const int x = first_equal(rows.row(y), rows.length_of(y), top);
  best = {order_key(to_float(rows.row(y)[x])), y * rows.length + x, 0};
}

// The same for a map of one row, with a number per register where scan() has one per row. Inlined, so that the steps of
// one vector run while another's wait.
template <class T>
PPF_HD void scan_vector(const Map<T>& vector, Best& best) {
  constexpr int kWidth = Vector<T>::kWidth;
  if (vector.stride_x != 1 || vector.width < kWidth || vector.width > kMostAtOnce) return scan(vector, best);
  using Value = typename Raw<T>::Value;
  const auto lane = minus_lanes<T>(), lowest = Vector<T>::all(Raw<T>::kLowest);
  auto at_largest = lane, here = lane;  // as in first_equal(): -1 - index
  LaneExtremes<T> all;
  const auto look = [&](const T* samples) {
    const auto values = Vector<T>::load(samples);
    at_largest = values > all.largest ? here : at_largest;
    all.take(values);
  };
  int start = 0;
#pragma GCC unroll 8
  for (; start + kWidth <= vector.width; start += kWidth) {
    look(vector.data + start);
    here -= static_cast<Value>(kWidth);
  }
  const int last = vector.width - kWidth;
  here = lane - static_cast<Value>(last);
  if (start < vector.width) look(vector.data + last);
  const auto top = all.top(all.largest);
  if (top <= 0 || top >= Raw<T>::kInfinity) return scan_slowly(vector, best);
  const int x = -1 - Vector<T>::largest_lane(all.largest == top ? at_largest : lowest);
  best = {order_key(to_float(vector.data[x])), x, 0};
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

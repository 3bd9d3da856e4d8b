// Finding the best sample of a map, as fast as it can be read. Included by loops only, so each instruction set has its
// own.
#pragma once

#include <cstdint>

#include "core/peaks.h"
#include "loops/wide.h"

namespace ppf::loops::PPF_ISA {
namespace {

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
    typedef int64_t Halves __attribute__((vector_size(16)));
    Halves halves;
    __builtin_memcpy(&halves, &best, sizeof halves);
    halves = Halves{halves[1], halves[0]};
    Quarter other;
    __builtin_memcpy(&other, &halves, sizeof other);
    best = other > best ? other : best;
    Value largest = best[0];
    for (int i = 1; i < 8 / static_cast<int>(sizeof(Value)); ++i) largest = best[i] > largest ? best[i] : largest;
    return largest;
  }
};

// Samples before the first that lies at a register's boundary. Loads from there on touch one cache line each; otherwise
// every 64-byte load would touch two, at twice the time.
template <class T>
int to_boundary(const T* samples) {
  const auto past = reinterpret_cast<std::uintptr_t>(samples) % kVectorBytes;
  return static_cast<int>((kVectorBytes - past) % kVectorBytes / sizeof(T));
}

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
    take(Vector<T>::load(samples));
    int i = to_boundary(samples);
#pragma GCC unroll 4
    for (; i + kWidth <= count; i += kWidth) take(Vector<T>::load(samples + i));
    if (i < count) take(Vector<T>::load(samples + count - kWidth));  // some of them again: no harm
  }

  // Of `values`, which are lanes of samples among those taken: the largest, or from kInfinity on when any sample taken
  // is not finite.
  typename Raw<T>::Value top(const Values& values) const {
    const Values infinite = Vector<T>::all(Raw<T>::kInfinity);
    return Vector<T>::largest_lane(most >= Raw<T>::kNegativeInfinity ? infinite : values);
  }
};

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

#if defined(__AVX512BW__)
// Bit i: lane i of a register has this value.
template <class Register>
uint64_t lanes_with(const Register& values, int32_t wanted) {
  return _mm512_cmpeq_epi32_mask(reinterpret_cast<const __m512i&>(values), _mm512_set1_epi32(wanted));
}

template <class Register>
uint64_t lanes_with(const Register& values, int16_t wanted) {
  return _mm512_cmpeq_epi16_mask(reinterpret_cast<const __m512i&>(values), _mm512_set1_epi16(wanted));
}
#endif

template <class T>
bool has_lane(const typename Vector<T>::Values& values, typename Raw<T>::Value wanted) {
#if defined(__AVX512BW__)
  return lanes_with(values, wanted) != 0;
#else
  typedef uint64_t Words __attribute__((vector_size(kVectorBytes)));
  const auto is_equal = values == wanted;
  Words words;
  __builtin_memcpy(&words, &is_equal, sizeof words);
  uint64_t any = 0;
  for (int i = 0; i < kVectorBytes / 8; ++i) any |= words[i];
  return any != 0;
#endif
}

#if defined(__AVX512BW__)
// How many zeros a word ends with: 64 when it is 0.
inline uint64_t bits_before(uint64_t word) { return _tzcnt_u64(word); }

// Number of the first lane of several registers that has this value; from kCount registers on when none has. Without a
// branch: where a maximum is, nobody can foretell.
template <class T, int kCount>
int first_lane(const typename Vector<T>::Values* registers, typename Raw<T>::Value wanted) {
  constexpr int kWidth = Vector<T>::kWidth, kPerWord = 64 / kWidth;
  uint64_t first = 0, is_open = ~uint64_t{0};  // all bits, as long as there was none
#pragma GCC unroll 8
  for (int start = 0; start < kCount; start += kPerWord) {
    uint64_t lanes = 0;
    const int count = smaller(kPerWord, kCount - start);
    for (int i = 0; i < count; ++i) lanes |= lanes_with(registers[start + i], wanted) << (kWidth * i);
    const uint64_t before = bits_before(lanes);
    first += before & is_open;
    is_open &= -(before >> 6);  // 64 when there is none
  }
  return static_cast<int>(first);
}
#endif

// Number of the first register with such a lane; kCount or more when none has.
template <class T, int kCount>
int first_register(const typename Vector<T>::Values* registers, typename Raw<T>::Value wanted) {
#if defined(__AVX512BW__)
  return first_lane<T, kCount>(registers, wanted) / Vector<T>::kWidth;
#else
  int first = kCount;
  for (int i = kCount - 1; i >= 0; --i) first = has_lane<T>(registers[i], wanted) ? i : first;
  return first;
#endif
}

// first_equal() of a short row.
template <class T>
int first_in_row(const T* samples, typename Raw<T>::Value wanted) {
#if defined(__AVX512BW__)
  constexpr int kWidth = Vector<T>::kWidth, kCount = kShortRow<T> / kWidth;
  typename Vector<T>::Values registers[kCount];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) registers[i] = Vector<T>::load(samples + kWidth * i);
  return first_lane<T, kCount>(registers, wanted);
#else
  return first_equal(samples, kShortRow<T>, wanted);
#endif
}

template <class T>
int32_t key_of_raw(typename Raw<T>::Value bits) {
  T sample;
  __builtin_memcpy(&sample, &bits, sizeof sample);
  return order_key(to_float(sample));
}

// scan() for a vector of at most kParts short rows. On the way only the largest of each is kept; which of them has the
// largest of all, and where, is found out in the end. They begin at boundaries of registers, from the first one on, so
// that the last ones may overlap; so do the two registers at the ends.
template <int kParts, class T>
PPF_HD void scan_parts(const Map<T>& vector, Best& best) {
  using Values = typename Vector<T>::Values;
  constexpr int kWidth = Vector<T>::kWidth, kPart = kShortRow<T>;
  const T* const samples = vector.data;
  const int last = vector.width - kPart, aligned = to_boundary(samples);
  const int last_aligned = aligned + (last - aligned) / kWidth * kWidth;
  LaneExtremes<T> head, rest;
  Values of_part[kParts];
  head.take(Vector<T>::load(samples));
  rest.take(Vector<T>::load(samples + vector.width - kWidth));
  rest.most = head.most > rest.most ? head.most : rest.most;
  Values all = head.largest > rest.largest ? head.largest : rest.largest;
#pragma GCC unroll 8
  for (int part = 0; part < kParts; ++part) {
    rest.largest = Vector<T>::all(Raw<T>::kLowest);
    rest.take(samples + smaller(aligned + part * kPart, last_aligned), kPart);
    of_part[part] = rest.largest;
    all = rest.largest > all ? rest.largest : all;
  }
  const auto top = rest.top(all);
  // A positive finite sample has bits that no other value has.
  if (top <= 0 || top >= Raw<T>::kInfinity) return scan_slowly(vector, best);
  // The first part that has it has it before all later ones.
  const int part = first_register<T, kParts>(of_part, top);
  int start = smaller(aligned + part * kPart, last_aligned);
  start = part < kParts ? start : last;
  start = has_lane<T>(head.largest, top) ? 0 : start;
  best = {key_of_raw<T>(top), start + first_in_row(samples + start, top), 0};
}

template <int kParts, class T>
void scan_all_parts(Map<T> vector, int64_t stride, int count, Best* best) {
  for (int i = 0; i < count; ++i, vector.data += stride) scan_parts<kParts>(vector, best[i]);
}

// scan() for `count` vectors: maps of one row that lie `stride` samples apart.
template <class T>
void scan_vectors(Map<T> vector, int64_t stride, int count, Best* best) {
  const int parts = (vector.width + kShortRow<T> - 1) / kShortRow<T>;
  if (vector.stride_x == 1 && parts >= 2 && vector.width >= kShortRow<T> + Vector<T>::kWidth) {
    if (parts == 2) return scan_all_parts<2>(vector, stride, count, best);
    if (parts == 3) return scan_all_parts<3>(vector, stride, count, best);
    if (parts == 4) return scan_all_parts<4>(vector, stride, count, best);
    if (parts <= 6) return scan_all_parts<6>(vector, stride, count, best);
    if (parts <= 8) return scan_all_parts<8>(vector, stride, count, best);
  }
  for (int i = 0; i < count; ++i, vector.data += stride) scan(vector, best[i]);
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

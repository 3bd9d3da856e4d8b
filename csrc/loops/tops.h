// Which samples of a map are its local maxima. Included by loops only, so each instruction set has its own.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/peaks.h"
#include "loops/scan.h"
#include "loops/strip.h"

namespace ppf::loops::PPF_ISA {
namespace {

// The best `capacity` peaks of a map so far. They arrive in raster order and are only put in order when there are too
// many, or at the end: few peaks are ranked faster than they are inserted.
struct Shortlist {
  int32_t* key;
  int32_t* index;
  int32_t* spare;  // as many again
  int32_t capacity;
  int32_t count = 0;
  int32_t total = 0;
  bool is_ordered = false;

  void offer(int32_t new_key, int32_t new_index) {
    ++total;
    if (!is_ordered) {
      key[count] = new_key;
      index[count++] = new_index;
      if (count == capacity) order();
      return;
    }
    if (new_key <= key[count - 1]) return;
    int32_t at = count - 1;
    for (; at > 0 && key[at - 1] < new_key; --at) {
      key[at] = key[at - 1];
      index[at] = index[at - 1];
    }
    key[at] = new_key;
    index[at] = new_index;
  }

  // Largest first, equal ones as they came. A peak's rank is the number of those before it: a loop without branches
  // over all, for each.
  void order() {
    if (is_ordered) return;
    is_ordered = true;
    for (int32_t i = 0; i < count; ++i) spare[i] = 0;
    for (int32_t j = 0; j < count; ++j) {
      const int32_t other = key[j];
      for (int32_t i = 0; i < j; ++i) spare[i] += other > key[i];
      for (int32_t i = j + 1; i < count; ++i) spare[i] += other >= key[i];
    }
    int32_t* const new_key = spare + capacity;
    int32_t* const new_index = new_key + capacity;
    for (int32_t i = 0; i < count; ++i) {
      new_key[spare[i]] = key[i];
      new_index[spare[i]] = index[i];
    }
    std::memcpy(key, new_key, sizeof(int32_t) * static_cast<size_t>(count));
    std::memcpy(index, new_index, sizeof(int32_t) * static_cast<size_t>(count));
  }
};

// Plateaus of one map: which samples have been walked over. Nothing is touched until the first plateau turns up.
struct Plateaus {
  uint32_t* walked;  // a bit per sample
  int32_t* stack;    // both ends of each span, which enters once
  int64_t words;
  bool is_clean = false;

  // Walks the plateau of (y, x), a span of equal samples of a row at a time: false when it has been walked before or
  // when it touches something higher.
  template <class T>
  bool is_new_hilltop(const Map<T>& map, int y, int x, int32_t key) {
    if (!is_clean) {
      std::memset(walked, 0, sizeof(uint32_t) * static_cast<size_t>(words));
      is_clean = true;
    }
    if (is_marked(y * map.width + x)) return false;
    bool is_hilltop = true;
    int64_t depth = take_span(map, y, x, key, 0);
    while (depth > 0) {
      const int32_t last = stack[--depth], first = stack[--depth];
      const int at_y = first / map.width;
      const int west = larger(first % map.width - 1, 0), east = smaller(last % map.width + 1, map.width - 1);
      is_hilltop = is_hilltop && map.key(at_y, west) <= key && map.key(at_y, east) <= key;
      for (const int ny : {at_y - 1, at_y + 1}) {
        if (ny < 0 || ny >= map.height) continue;
        for (int nx = west; nx <= east; ++nx) {
          const int32_t other = map.key(ny, nx);
          is_hilltop = is_hilltop && other <= key;
          if (other != key) continue;
          if (!is_marked(ny * map.width + nx)) depth = take_span(map, ny, nx, key, depth);
          while (nx < east && map.key(ny, nx + 1) == key) ++nx;
        }
      }
    }
    return is_hilltop;
  }

 private:
  bool is_marked(int32_t index) const { return (walked[index >> 5] >> (index & 31) & 1u) != 0; }

  // Marks the span around (y, x) and puts its ends on the stack.
  template <class T>
  int64_t take_span(const Map<T>& map, int y, int x, int32_t key, int64_t depth) {
    int first = x, last = x;
    while (first > 0 && map.key(y, first - 1) == key) --first;
    while (last < map.width - 1 && map.key(y, last + 1) == key) ++last;
    const int32_t row = y * map.width;
    for (int32_t index = row + first; index <= row + last; ++index) walked[index >> 5] |= 1u << (index & 31);
    stack[depth++] = row + first;
    stack[depth++] = row + last;
    return depth;
  }
};

template <class T>
void examine(const Map<T>& map, int y, int x, int32_t key, Shortlist& list, Plateaus& plateaus) {
  const Neighbourhood around = look_around(map, y, x, key);
  // A sample with an equal one before it: its plateau was walked from there, or is no hilltop.
  if (around.has_greater || around.has_earlier_equal) return;
  if (around.has_equal && !plateaus.is_new_hilltop(map, y, x, key)) return;
  list.offer(key, y * map.width + x);
}

template <class T>
int32_t examine_all(const PeakSpec& spec, const Map<T>& map, Shortlist& list, Plateaus& plateaus) {
  int32_t nonfinite = 0;
  for (int y = 0; y < map.height; ++y) {
    for (int x = 0; x < map.width; ++x) {
      const int32_t key = map.key(y, x);
      nonfinite += key == kNever;
      if (key > spec.threshold_key) examine(map, y, x, key, list, plateaus);
    }
  }
  return nonfinite;
}

template <class T>
const typename Raw<T>::Bits* bits_of_row(const Map<T>& map, int y) {
  return reinterpret_cast<const typename Raw<T>::Bits*>(map.data + y * map.stride_y);
}

// Whether a row of at least kStrip samples has one above the threshold. The last strip may reach back.
template <class T>
bool is_any_above(const Map<T>& map, int y, const Strip& threshold) {
  const auto* const row = bits_of_row(map, y);
  uint32_t above = mask_above(load_strip(row + map.width - kStrip), threshold);
  for (int x = 0; x + kStrip < map.width; x += kStrip) above |= mask_above(load_strip(row + x), threshold);
  return above != 0;
}

// The inner columns of an inner row of a finite map, at least kStrip of them. As raw bits, a positive finite sample
// compares rightly with every finite one.
template <class T>
void examine_row(const Map<T>& map, int y, const Strip& threshold, Shortlist& list, Plateaus& plateaus) {
  const auto *const row = bits_of_row(map, y), *const above = bits_of_row(map, y - 1),
                    *const below = bits_of_row(map, y + 1);
  const int end = map.width - 1;
  for (int next = 1; next < end;) {
    const int start = smaller(next, end - kStrip);
    const uint32_t seen = (1u << (next - start)) - 1;
    const Strip here = load_strip(row + start);
    const uint32_t high = mask_above(here, threshold) & ~seen;
    next = start + kStrip;
    if (high == 0) continue;
    const auto row_around = [&](const auto* samples) {
      return larger_of(larger_of(load_strip(samples + start - 1), load_strip(samples + start + 1)),
                       load_strip(samples + start));
    };
    const Strip beside = larger_of(load_strip(row + start - 1), load_strip(row + start + 1));
    const Strip around = larger_of(larger_of(row_around(above), row_around(below)), beside);
    const uint32_t alone = mask_above(here, around);
    // Of a plateau only the first sample is a candidate, as far as its own neighbours can tell.
    const Strip earlier = larger_of(row_around(above), load_strip(row + start - 1));
    for (uint32_t left = high & mask_above(here, earlier) & ~mask_above(around, here); left != 0; left &= left - 1) {
      const int i = lowest_bit(left), x = start + i;
      const int32_t key = map.key(y, x);
      if ((alone >> i & 1u) != 0) {
        list.offer(key, y * map.width + x);
      } else {
        examine(map, y, x, key, list, plateaus);
      }
    }
  }
}

// Samples at the border, whose neighbourhood is smaller.
template <class T>
void examine_edge(const PeakSpec& spec, const Map<T>& map, int y, int first, int last, Shortlist& list,
                  Plateaus& plateaus) {
  for (int x = first; x < last; ++x) {
    const int32_t key = map.key(y, x);
    if (key > spec.threshold_key) examine(map, y, x, key, list, plateaus);
  }
}

template <class T>
typename Raw<T>::Value raw_threshold(const PeakSpec& spec);

template <>
typename Raw<float>::Value raw_threshold<float>(const PeakSpec& spec) {
  return spec.threshold_key;
}

// The largest half that is not above the threshold, so that no sample above it is lost.
template <>
typename Raw<Half>::Value raw_threshold<Half>(const PeakSpec& spec) {
  int16_t bits = static_cast<int16_t>(to_half(value_of_key(spec.threshold_key)).bits);
  if (bits > 0 && order_key(to_float(Half{static_cast<uint16_t>(bits)})) > spec.threshold_key) --bits;
  return bits;
}

template <class T>
int32_t examine_map(const PeakSpec& spec, const Map<T>& map, Shortlist& list, Plateaus& plateaus) {
  if (map.stride_x != 1 || spec.threshold_key < 0) return examine_all(spec, map, list, plateaus);
  const Extremes<T> extremes = extremes_of(map);
  if (!extremes.all_finite()) return examine_all(spec, map, list, plateaus);
  const typename Raw<T>::Value threshold = raw_threshold<T>(spec);
  if (extremes.largest <= threshold) return 0;
  if (map.width < kStrip + 2) return examine_all(spec, map, list, plateaus);
  const Strip least = strip_of(threshold);
  for (int y = 0; y < map.height; ++y) {
    if (!is_any_above(map, y, least)) continue;
    const bool is_inner = y > 0 && y < map.height - 1;
    examine_edge(spec, map, y, 0, is_inner ? 1 : map.width, list, plateaus);
    if (!is_inner) continue;
    examine_row(map, y, least, list, plateaus);
    examine_edge(spec, map, y, map.width - 1, map.width, list, plateaus);
  }
  return 0;
}

}  // namespace
}  // namespace ppf::loops::PPF_ISA

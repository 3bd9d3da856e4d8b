// What the local maxima of a map are, and which sample stands for a plateau. Included by loops only, so each
// instruction set has its own.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/peaks.h"
#include "loops/scan.h"

namespace ppf::loops::PPF_ISA {
namespace {

// The local maxima of a map, in any order. No two of them touch, which bounds their number.
struct Tops {
  int32_t *index, *key;  // y * width + x, and what sorts as the samples do; written in whole vectors
  int32_t count = 0;
  bool is_complete = false;  // whatever else is above the threshold is known to have a greater neighbour

  void add(int32_t new_index, int32_t new_key) {
    index[count] = new_index;
    key[count++] = new_key;
  }
};

// Plateaus of one map: which samples have been walked over. Nothing is touched until the first plateau turns up.
struct Plateaus {
  uint32_t* walked;  // a bit per sample
  int32_t* stack;    // both ends of each span, which enters once
  int64_t words;
  bool is_clean = false;

  // Walks the plateau of (y, x), a span of equal samples of a row at a time. Returns its first sample in raster order,
  // or -1 when it has been walked before or touches something higher.
  template <class T>
  int32_t first_of_hilltop(const Map<T>& map, int y, int x, int32_t key) {
    if (!is_clean) {
      std::memset(walked, 0, sizeof(uint32_t) * static_cast<size_t>(words));
      is_clean = true;
    }
    if (is_marked(y * map.width + x)) return -1;
    bool is_hilltop = true;
    int64_t depth = take_span(map, y, x, key, 0);
    int32_t earliest = INT32_MAX;
    while (depth > 0) {
      const int32_t last = stack[--depth], first = stack[--depth];
      earliest = smaller(earliest, first);
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
    return is_hilltop ? earliest : -1;
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

}  // namespace
}  // namespace ppf::loops::PPF_ISA

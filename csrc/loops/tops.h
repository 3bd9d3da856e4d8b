// Which samples of a map are its local maxima. Included by loops only, so each instruction set has its own.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/peaks.h"
#include "loops/scan.h"
#include "loops/wide.h"

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

// Looks for tops in a map of finite samples whose threshold is not negative. There the raw bits of what is above the
// threshold compare rightly with all others.
//
// A part of the map is read once to see in which rows each slice, kWide columns, has something above the threshold.
// Through runs of such rows the slice is then moved downwards, so that each row is compared within itself once, for
// itself and for both rows beside it. Whether a sample is a top costs no branch.
template <class T>
class TopFinder {
 public:
  TopFinder(const PeakSpec& spec, const Map<T>& map, Tops& tops)
      : map_(map), tops_(tops), threshold_(all_of(raw_threshold<T>(spec))) {
    const int32_t threshold = raw_threshold<T>(spec);
    least_ = all_of(threshold < INT32_MAX ? threshold + 1 : threshold);  // at least this is above it
  }

  static bool can_read(const PeakSpec& spec, const Map<T>& map) {
    return map.stride_x == 1 && spec.threshold_key >= 0 && map.width >= kWide;
  }

  // False when a sample is not finite: what was found then means nothing.
  bool run() {
    const int slices = (map_.width + kWide - 1) / kWide;
    for (int y = 0; y < map_.height; y += kRows) {
      const int rows = smaller(kRows, map_.height - y);
      for (int slice = 0; slice < slices; slice += kPart) {
        search_part(y, rows, slice * kWide, smaller(kPart, slices - slice));
      }
    }
    return Vector<float>::largest_lane(magnitude_) < Raw<T>::kInfinity;
  }

  // Whether a sample without a greater neighbour may have an equal one. It may be none of the tops: then an earlier
  // sample of its plateau is one, or touches something higher.
  bool has_plateaus() const { return tied_ != 0; }

 private:
  static constexpr int kPart = 64;  // slices
  static constexpr int kPair = 2;   // rows that share a bit
  static constexpr int kRows = 64 * kPair;
  static constexpr int kAhead = 256;  // samples, to where the cache is told to read
  static constexpr int32_t kLowest = INT32_MIN;
  static constexpr int32_t kRawMagnitude = (1 << (8 * sizeof(T) - 1)) - 1u;

  const Map<T>& map_;
  Tops& tops_;
  const WideInt threshold_;
  WideInt least_;
  WideInt magnitude_ = {};
  uint32_t tied_ = 0;

  const auto* bits(int y, int x) const {
    return reinterpret_cast<const typename Raw<T>::Bits*>(map_.data + y * map_.stride_y + x);
  }

  // The last slice of a row may reach back into the one before it.
  int start_of(int x) const { return smaller(x, map_.width - kWide); }

  void search_part(int first_row, int rows, int first_column, int slices) {
    if (slices == 1) return search_slices<1>(first_row, rows, first_column, 1);
    if (slices == 2) return search_slices<2>(first_row, rows, first_column, 2);
    if (slices == 3) return search_slices<3>(first_row, rows, first_column, 3);
    if (slices == 4) return search_slices<4>(first_row, rows, first_column, 4);
    search_slices<kPart>(first_row, rows, first_column, slices);
  }

  // For a known number of slices, words and places stay in registers.
  template <int kMost>
  void search_slices(int first_row, int rows, int first_column, int slices) {
    const int count = kMost < kPart ? kMost : slices;
    uint64_t above[kMost];  // of each slice, a bit per pair of rows
    for (int i = 0; i < count; ++i) above[i] = 0;
    const int last = start_of(first_column + (count - 1) * kWide);
    WideInt magnitude = magnitude_;
    for (int row = 0; row < rows; row += kPair) {
      const int y = first_row + row, next = smaller(y + 1, map_.height - 1);
      const auto look = [&](int start, int slice) {
        const WideInt here = load(bits(y, start)), below = load(bits(next, start));
        __builtin_prefetch(bits(y, start) + kAhead);
        __builtin_prefetch(bits(next, start) + kAhead);
        magnitude = larger_of(magnitude, larger_of(here & kRawMagnitude, below & kRawMagnitude));
        const bool is_any_above = mask_above(larger_of(here, below), threshold_) != 0;
        above[slice] |= static_cast<uint64_t>(is_any_above) << (row / kPair);
      };
#pragma GCC unroll 4
      for (int i = 0; i < count - 1; ++i) look(first_column + i * kWide, i);
      look(last, count - 1);
    }
    magnitude_ = magnitude;
    for (int i = 0; i < count; ++i) {
      if (above[i] != 0) search_slice(first_row, above[i], first_column + i * kWide);
    }
  }

  void search_slice(int first_row, uint64_t above, int column) {
    const bool is_first = column == 0, is_last = column + kWide >= map_.width;
    while (above != 0) {
      const int first = __builtin_ctzll(above);
      const uint64_t others = ~(above >> first);
      const int last = others == 0 ? kRows / kPair : first + __builtin_ctzll(others);
      const int y = first_row + first * kPair, length = smaller((last - first) * kPair, map_.height - y);
      if (is_first && is_last) walk<true, true>(y, length, column);
      if (is_first && !is_last) walk<true, false>(y, length, column);
      if (!is_first && is_last) walk<false, true>(y, length, column);
      if (!is_first && !is_last) walk<false, false>(y, length, column);
      above &= above + (uint64_t{1} << first);
    }
  }

  // A slice of a row, with what is beside each sample.
  struct Window {
    WideInt here, left, right;
    WideInt largest() const { return larger_of(larger_of(left, right), here); }
  };

  template <bool kIsFirst, bool kIsLast>
  Window window(int y, int start) const {
    const auto* const samples = bits(y, start);
    Window window;
    window.here = load(samples);
    if constexpr (kIsFirst) {
      window.left = moved_up(window.here, kLowest);
    } else {
      window.left = load(samples - 1);
    }
    if constexpr (kIsLast) {
      window.right = moved_down(window.here, kLowest);
    } else {
      window.right = load(samples + 1);
    }
    return window;
  }

  struct Hit {
    int32_t y;
    uint32_t lanes;
  };

  template <bool kIsFirst, bool kIsLast>
  void walk(int y, int length, int column) {
    const int start = start_of(column);
    const uint32_t is_new = ~((1u << (column - start)) - 1);
    Hit hits[kRows];
    int count = 0;
    const WideInt lowest = all_of(kLowest);
    WideInt north = y > 0 ? window<kIsFirst, kIsLast>(y - 1, start).largest() : lowest;
    Window at = window<kIsFirst, kIsLast>(y, start);
    const int end = y + length;
    for (; y < end; ++y) {
      const Window next =
          y + 1 < map_.height ? window<kIsFirst, kIsLast>(y + 1, start) : Window{lowest, lowest, lowest};
      const WideInt earlier = larger_of(north, at.left), later = larger_of(next.largest(), at.right);
      const WideInt around = larger_of(larger_of(earlier, later), least_);
      const uint32_t highest = mask_at_least(at.here, around, is_new);
      const uint32_t lanes = mask_above(at.here, earlier, highest);
      tied_ |= mask_at_least(around, at.here, highest);
      hits[count] = {y, lanes};
      count += lanes != 0 ? 1 : 0;
      north = at.largest();
      at = next;
    }
    for (int i = 0; i < count; ++i) {
      const WideInt index = counted() + (hits[i].y * map_.width + start);
      const Picked picked(hits[i].lanes);
      picked.store(load(bits(hits[i].y, start)), tops_.key + tops_.count);
      picked.store(index, tops_.index + tops_.count);
      tops_.count += picked.count();
    }
  }
};

// Any map. Returns how many samples are not finite, and whether a top has an equal neighbour.
template <class T>
int32_t examine_all(const PeakSpec& spec, const Map<T>& map, Tops& tops, bool& has_plateaus) {
  int32_t nonfinite = 0;
  for (int y = 0; y < map.height; ++y) {
    for (int x = 0; x < map.width; ++x) {
      const int32_t key = map.key(y, x);
      nonfinite += key == kNever;
      if (key <= spec.threshold_key) continue;
      const Neighbourhood around = look_around(map, y, x, key);
      if (around.has_greater || around.has_earlier_equal) continue;
      has_plateaus |= around.has_equal;
      tops.add(y * map.width + x, key);
    }
  }
  return nonfinite;
}

// So far, a top is a sample without a greater neighbour or an earlier equal one: of a plateau, one or several. Leaves
// one for each plateau that is a hilltop.
template <class T>
void resolve_plateaus(const Map<T>& map, Tops& tops, Plateaus& plateaus) {
  const int32_t count = tops.count;
  tops.count = 0;
  for (int32_t i = 0; i < count; ++i) {
    const int32_t index = tops.index[i], key = tops.key[i];
    const int y = index / map.width, x = index % map.width;
    const bool is_alone = !look_around(map, y, x, map.key(y, x)).has_equal;
    const int32_t first = is_alone ? index : plateaus.first_of_hilltop(map, y, x, map.key(y, x));
    if (first >= 0) tops.add(first, key);
  }
}

// Whether reading a map as it lies in memory is faster than row by row: where rows begin anywhere, most vectors of a
// row touch two cache lines. Not in the baseline, where the larger of two integers takes several instructions.
template <class T>
bool reads_faster_flat(const Map<T>& map) {
  return kWide > 4 && map.stride_x == 1 && map.stride_y == map.width && map.width % kWide != 0;
}

// Of such a map, whether all samples are finite and none is above the threshold, which is not negative.
template <class T>
bool has_none_above(const PeakSpec& spec, const Map<T>& map) {
  LaneExtremes<T> lanes;
  lanes.take(map.data, map.height * map.width);
  const auto largest = lanes.top(lanes.largest);
  return largest < Raw<T>::kInfinity && largest <= raw_threshold<T>(spec);
}

// Returns how many samples are not finite. expects_none: what it takes depends on this, what it finds does not.
template <class T>
int32_t find_tops(const PeakSpec& spec, const Map<T>& map, bool expects_none, Tops& tops, Plateaus& plateaus) {
  if (expects_none && spec.threshold_key >= 0 && reads_faster_flat(map) && has_none_above(spec, map)) return 0;
  int32_t nonfinite = 0;
  bool has_plateaus = false;
  TopFinder<T> finder(spec, map, tops);
  if (TopFinder<T>::can_read(spec, map) && finder.run()) {
    has_plateaus = finder.has_plateaus();
    tops.is_complete = !has_plateaus;
  } else {
    tops.count = 0;
    nonfinite = examine_all(spec, map, tops, has_plateaus);
  }
  if (has_plateaus) resolve_plateaus(map, tops, plateaus);
  return nonfinite;
}

}  // namespace
}  // namespace ppf::loops::PPF_ISA

// Looking for local maxima slice by slice, a slice being as many columns as a vector has lanes. Included by loops only,
// so each instruction set has its own.
#pragma once

#include <cstdint>
#include <cstring>

#include "loops/tops.h"
#include "loops/wide.h"

namespace ppf::loops::PPF_ISA {
namespace {

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

// The same for wide vectors, which a blob fills badly: most rows that a TopFinder walks through have no top. Here each
// sample is compared with the two above and below it while the map is read, slices side by side, so that the rows
// before are still in registers. A blob has a row or two with such crests, and only these are compared with all that is
// around them. Neither takes a branch for what is found.
//
// With narrow vectors the comparisons take more time than the walk.
template <class T>
class CrestFinder {
 public:
  CrestFinder(const PeakSpec& spec, const Map<T>& map, Tops& tops)
      : map_(map), tops_(tops), least_(all_of(raw_threshold<T>(spec) + 1)) {}

  static bool can_read(const PeakSpec& spec, const Map<T>& map) {
    return kWide == 16 && map.stride_x == 1 && map.width >= kWide && map.width <= kMost * kWide &&
           spec.threshold_key >= 0 && raw_threshold<T>(spec) < Raw<T>::kInfinity;
  }

  // False when a sample is not finite: what was found then means nothing.
  bool run() {
    const int slices = (map_.width + kWide - 1) / kWide;
    for (int y = 0; y < map_.height; y += kRows) {
      const int rows = smaller(kRows, map_.height - y);
      if (slices == 1) search_rows<1>(y, rows);
      if (slices == 2) search_rows<2>(y, rows);
      if (slices == 3) search_rows<3>(y, rows);
      if (slices == 4) search_rows<4>(y, rows);
    }
    return mask_above(largest_, all_of(Raw<T>::kInfinity - 1)) == 0 && mask_of(most_ >= kNegativeInfinity) == 0;
  }

  // Whether a sample without a greater neighbour may have an equal one. It may be none of the tops: then an earlier
  // sample of its plateau is one, or touches something higher.
  bool has_plateaus() const { return tied_ != 0; }

 private:
  using Bits = typename Raw<T>::Bits;

  static constexpr int kMost = 4;  // slices, so that two rows of each stay in registers
  static constexpr int kRows = 128;
  static constexpr auto kNegativeInfinity =
      static_cast<uint32_t>(static_cast<typename Raw<T>::Value>(Raw<T>::kNegativeInfinity));
  static constexpr Bits kBeyond = 0;

  // Of a slice in two rows: the samples above the threshold that are not below those above and below them.
  struct Crests {
    uint16_t upper, lower;
  };

  const Map<T>& map_;
  Tops& tops_;
  const WideInt least_;   // what is above the threshold is at least this
  WideInt largest_ = {};  // beside crests, too: if there is +infinity or a positive NaN, there too
  WideWord most_ = {};    // the largest words: those of -infinity and negative NaN, if there is one
  uint32_t tied_ = 0;

  const Bits* bits(int y, int x) const { return reinterpret_cast<const Bits*>(map_.data + y * map_.stride_y + x); }

  // The last slice of a row may reach back into the one before it.
  int start_of(int x) const { return smaller(x, map_.width - kWide); }

  // Out of line, since within its callers registers run short.
  template <int kSlices>
  __attribute__((noinline)) void search_rows(int first_row, int rows) {
    Crests pairs[kRows / 2 * kSlices + kWide];
    const int count = (rows + 1) / 2 * kSlices;
    find_crests<kSlices>(first_row, rows, pairs);
    std::memset(pairs + count, 0, sizeof(Crests) * kWide);
    int32_t hits[kRows / 2 * kSlices + kWide];
    int found = 0;
#pragma GCC unroll 1
    for (int i = 0; i < count; i += kWide) {
      const Picked picked(mask_not_0(load(reinterpret_cast<const int32_t*>(pairs + i))));
      picked.store(counted() + i, hits + found);
      found += picked.count();
    }
    for (int i = 0; i < found; ++i) {
      const int row = hits[i] / kSlices * 2, slice = hits[i] % kSlices;
      examine(pairs[hits[i]], first_row + row, start_of(slice * kWide));
    }
  }

  // Pair of rows by pair of rows. Beyond the border, rows are taken to repeat.
  template <int kSlices>
  void find_crests(int first_row, int rows, Crests* pair) {
    const int last_row = map_.height - 1, last_column = (kSlices - 1) * kWide;
    const int back = last_column - start_of(last_column);
    const uint32_t is_new = ~0u << back;
    const auto load_slice = [&](const Bits* row, int slice) {
      return load(row + slice * kWide - (slice < kSlices - 1 ? 0 : back));
    };
    WideInt north[kSlices], first[kSlices];
    WideWord most = most_;
    const Bits* south_row = bits(first_row, 0);
#pragma GCC unroll 4
    for (int i = 0; i < kSlices; ++i) {
      north[i] = load_slice(bits(larger(first_row - 1, 0), 0), i);
      first[i] = load_slice(bits(first_row, 0), i);
      most = larger_of(most, reinterpret_cast<const WideWord&>(first[i]));
    }
    for (int row = 0; row < rows; row += 2) {
      const Bits* const second_row = south_row + (first_row + row + 1 <= last_row ? map_.stride_y : 0);
      south_row = second_row + (first_row + row + 2 <= last_row ? map_.stride_y : 0);
#pragma GCC unroll 4
      for (int i = 0; i < kSlices; ++i) {
        const WideInt second = load_slice(second_row, i), south = load_slice(south_row, i);
        most = larger_of(most, reinterpret_cast<const WideWord&>(second));
        most = larger_of(most, reinterpret_cast<const WideWord&>(south));
        const uint32_t wanted = i < kSlices - 1 ? ~0u : is_new;
        pair->upper =
            static_cast<uint16_t>(mask_at_least(first[i], larger_of(larger_of(north[i], least_), second), wanted));
        pair->lower =
            static_cast<uint16_t>(mask_at_least(second, larger_of(larger_of(first[i], least_), south), wanted));
        ++pair;
        north[i] = second;
        first[i] = south;
      }
    }
    most_ = most;
  }

  // A slice of a row, with what is beside each sample.
  struct Window {
    WideInt here, left, right;
    WideInt largest() const { return larger_of(larger_of(left, right), here); }
  };

  Window window(int y, int start) const {
    if (y < 0 || y >= map_.height) return {WideInt{}, WideInt{}, WideInt{}};
    const Bits* const samples = bits(y, start);
    const Bits* const before = start > 0 ? samples - 1 : &kBeyond;
    const Bits* const after = start < map_.width - kWide ? samples + kWide : &kBeyond;
    const WideInt here = load(samples);
    return {here, moved_up(here, *before), moved_down(here, *after)};
  }

  void examine(const Crests& crests, int y, int start) {
    const Window north = window(y - 1, start), first = window(y, start), second = window(y + 1, start),
                 south = window(y + 2, start);
    const uint32_t upper = tops_of(first, north, second, crests.upper),
                   lower = tops_of(second, first, south, crests.lower);
    // No two tops touch, so that no lane has one in both rows, and the top is the larger one.
    const Picked picked(upper | lower);
    const WideInt key = larger_of(first.here, second.here);
    largest_ = larger_of(largest_, key);
    picked.store(key, tops_.key + tops_.count);
    picked.store(counted() + (y * map_.width + start) + ((second.here > first.here) & map_.width),
                 tops_.index + tops_.count);
    tops_.count += picked.count();
  }

  uint32_t tops_of(const Window& at, const Window& north, const Window& south, uint32_t crests) {
    const WideInt earlier = larger_of(north.largest(), at.left), later = larger_of(south.largest(), at.right);
    const WideInt around = larger_of(earlier, later);
    const uint32_t highest = mask_at_least(at.here, around, crests);
    tied_ |= mask_at_least(around, at.here, highest);
    return mask_above(at.here, earlier, highest);
  }
};

}  // namespace
}  // namespace ppf::loops::PPF_ISA

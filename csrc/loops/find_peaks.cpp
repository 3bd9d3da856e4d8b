// The local maxima of each map, best first.
#include <cstring>

#include "core/blur.h"
#include "loops/loops.h"
#include "loops/scan.h"
#include "ops/scratch.h"

namespace ppf::loops::PPF_ISA {
namespace {

struct Candidate {
  int32_t key, index;
};

// The best `capacity` candidates of a map so far, in order. Raster order of arrival makes ties right by themselves.
struct Shortlist {
  Candidate* entries;
  int32_t capacity;
  int32_t count = 0;
  int32_t total = 0;

  void offer(int32_t key, int32_t index) {
    ++total;
    if (count == capacity) {
      if (key <= entries[count - 1].key) return;
      --count;
    }
    int32_t low = 0, high = count;
    while (low < high) {
      const int32_t middle = (low + high) / 2;
      if (entries[middle].key >= key) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    std::memmove(entries + low + 1, entries + low, sizeof(Candidate) * static_cast<size_t>(count - low));
    entries[low] = {key, index};
    ++count;
  }
};

// Plateaus of one map: which samples have been walked over. Nothing is touched until the first plateau turns up.
struct Plateaus {
  uint32_t* walked;  // a bit per sample
  int32_t* stack;    // a sample enters at most once
  int64_t words;
  bool is_clean = false;

  bool mark(int32_t index) {
    uint32_t& word = walked[index >> 5];
    const uint32_t bit = 1u << (index & 31);
    const bool was_marked = (word & bit) != 0;
    word |= bit;
    return !was_marked;
  }

  // Walks the plateau of (y, x): false when it has been walked before or when it touches something higher.
  template <class T>
  bool is_new_hilltop(const Map<T>& map, int y, int x, int32_t key) {
    if (!is_clean) {
      std::memset(walked, 0, sizeof(uint32_t) * static_cast<size_t>(words));
      is_clean = true;
    }
    if (!mark(y * map.width + x)) return false;
    bool is_hilltop = true;
    int64_t depth = 0;
    stack[depth++] = y * map.width + x;
    while (depth > 0) {
      const int32_t at = stack[--depth];
      const int at_y = at / map.width, at_x = at % map.width;
      for (int ny = larger(at_y - 1, 0); ny <= smaller(at_y + 1, map.height - 1); ++ny) {
        for (int nx = larger(at_x - 1, 0); nx <= smaller(at_x + 1, map.width - 1); ++nx) {
          const int32_t other = map.key(ny, nx);
          is_hilltop = is_hilltop && other <= key;
          if (other == key && mark(ny * map.width + nx)) stack[depth++] = ny * map.width + nx;
        }
      }
    }
    return is_hilltop;
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

// Rows of a finite map against a threshold >= 0, as raw bits: there a positive sample compares rightly with every
// other.
template <class T>
void examine_row(const Map<T>& map, int y, typename Raw<T>::Value threshold, const PeakSpec& spec, Shortlist& list,
                 Plateaus& plateaus) {
  using Bits = typename Raw<T>::Bits;
  using Value = typename Raw<T>::Value;
  constexpr int kBlock = 64;
  const Bits* row = reinterpret_cast<const Bits*>(map.data + y * map.stride_y);
  const bool is_edge = y == 0 || y == map.height - 1;
  const Bits* above = is_edge ? row : row - map.stride_y;
  const Bits* below = is_edge ? row : row + map.stride_y;
  for (int start = 0; start < map.width; start += kBlock) {
    const int end = smaller(start + kBlock, map.width);
    // The columns whose eight neighbours can be read without looking: the others are left to examine().
    const int low = is_edge ? end : larger(start, 1), high = is_edge ? end : smaller(end, map.width - 1);
    uint8_t stands_out[kBlock];
    for (int x = start; x < end; ++x) stands_out[x - start] = row[x] > threshold;
    for (int x = low; x < high; ++x) {
      const Value here = row[x];
      const bool beside = row[x - 1] <= here && row[x + 1] <= here;
      const bool over = above[x - 1] <= here && above[x] <= here && above[x + 1] <= here;
      const bool under = below[x - 1] <= here && below[x] <= here && below[x + 1] <= here;
      stands_out[x - start] = static_cast<uint8_t>(stands_out[x - start] & (beside & over & under));
    }
    for (int x = start; x < end; ++x) {
      if (stands_out[x - start] == 0) continue;
      const int32_t key = map.key(y, x);
      if (key > spec.threshold_key) examine(map, y, x, key, list, plateaus);
    }
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
  for (int y = 0; y < map.height; ++y) {
    Extremes<T> row;
    widen(row, map.data + y * map.stride_y, map.width);
    if (row.largest > threshold) examine_row(map, y, threshold, spec, list, plateaus);
  }
  return 0;
}

template <class T>
void find_peaks_of(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const PeakLists& out,
                   uint32_t* scratch, int64_t first, int64_t last) {
  const FindScratch parts(maps, out.capacity);
  for (int64_t index = first; index < last; ++index) {
    const Map<T> map = map_at<T>(maps, index, spec.logits);
    Shortlist list{reinterpret_cast<Candidate*>(scratch), out.capacity};
    Plateaus plateaus{scratch + parts.shortlist, reinterpret_cast<int32_t*>(scratch + parts.shortlist + parts.bits),
                      parts.bits};
    out.nonfinite[index] = examine_map(spec, map, list, plateaus);
    out.count[index] = list.count;
    out.total[index] = list.total;
    float* const xy = out.xy + index * out.capacity * 2;
    float* const score = out.score + index * out.capacity;
    for (int32_t m = 0; m < out.capacity; ++m) {
      Place at{0.0f, 0.0f};
      float value = 0.0f;
      if (m < list.count) {
        const int y = list.entries[m].index / map.width, x = list.entries[m].index % map.width;
        at = refine_peak(spec, map, offsets, index, maps.k, y, x);
        value = map.value(y, x);
      }
      xy[2 * m] = at.x;
      xy[2 * m + 1] = at.y;
      score[m] = value;
    }
  }
}

}  // namespace

void find_peaks(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const PeakLists& out,
                uint32_t* scratch, int64_t first, int64_t last) {
  if (maps.is_half) {
    find_peaks_of<Half>(spec, maps, offsets, out, scratch, first, last);
  } else {
    find_peaks_of<float>(spec, maps, offsets, out, scratch, first, last);
  }
}

}  // namespace ppf::loops::PPF_ISA

// The peaks of each map by the rules of the published decoders, in raster order.
#include "core/published_peaks.h"

#include <algorithm>
#include <cstring>

#include "loops/loops.h"
#include "ops/scratch.h"

namespace ppf::loops::PPF_ISA {
namespace {

constexpr int kPad = 2;  // the samples beyond the border that blocks mix

struct Peak {
  int32_t key, index;  // of its sample, and where that is in raster order

  bool beats(const Peak& other) const { return key > other.key || (key == other.key && index < other.index); }
};

// The best `capacity` peaks so far, in whatever order they come; best first.
struct BestOf {
  Peak* entries;
  int32_t capacity;
  int32_t count = 0;
  int32_t total = 0;

  void offer(const Peak& peak) {
    ++total;
    if (count == capacity) {
      if (!peak.beats(entries[count - 1])) return;
      --count;
    }
    const auto earlier = [](const Peak& a, const Peak& b) { return a.beats(b); };
    Peak* const place = std::lower_bound(entries, entries + count, peak, earlier);
    std::memmove(place + 1, place, sizeof(Peak) * static_cast<size_t>(entries + count - place));
    *place = peak;
    ++count;
  }
};

// Copies the map with its border continued outwards, as plain floats; returns how many samples are not finite.
template <class T>
int32_t pad(const Map<T>& map, float* padded) {
  const int64_t width = map.width + 2 * kPad;
  int32_t nonfinite = 0;
  for (int32_t y = 0; y < map.height; ++y) {
    float* const row = padded + (y + kPad) * width + kPad;
    for (int32_t x = 0; x < map.width; ++x) row[x] = map.raw(y, x);
    for (int32_t x = 0; x < map.width; ++x) nonfinite += !is_finite(row[x]);
    row[-1] = row[-2] = row[0];
    row[map.width] = row[map.width + 1] = row[map.width - 1];
  }
  const size_t bytes = sizeof(float) * static_cast<size_t>(width);
  for (int32_t y = 0; y < kPad; ++y) {
    std::memcpy(padded + y * width, padded + kPad * width, bytes);
    std::memcpy(padded + (map.height + kPad + y) * width, padded + (map.height + kPad - 1) * width, bytes);
  }
  return nonfinite;
}

// A row of a block, as one vector where there are vectors: of loops over eight floats GCC makes scalar code here.
typedef float Row8 __attribute__((vector_size(4 * kUpsample)));
typedef int32_t Mask8 __attribute__((vector_size(4 * kUpsample)));

Row8 load(const float* from) {
  Row8 row;
  std::memcpy(&row, from, sizeof row);
  return row;
}

// The weights of every block, as taps_of() gives them for the pixels of block 0.
struct Weights {
  Row8 across[4];
  float down[kUpsample][4];

  Weights() {
    for (int32_t p = 0; p < kUpsample; ++p) {
      const Taps taps = taps_of(block_start(0) + p);
      for (int i = 0; i < 4; ++i) across[i][p] = down[p][i] = taps.weight[i];
    }
  }
};

// One block, and around it what loses every comparison.
struct Tile {
  static constexpr int kSide = kUpsample + 2;
  float pixel[kSide][kSide];

  Tile() {
    for (auto& row : pixel) {
      for (float& value : row) value = -kInfinity;
    }
  }

  // The sums of upsampled_value(), eight pixels at a time. `taps`: the first of the block's four by four samples.
  void fill(const Weights& weights, const float* taps, int64_t stride) {
    Row8 rows[4];
    const auto& w = weights.across;
    for (int i = 0; i < 4; ++i, taps += stride) {
      rows[i] = (w[0] * taps[0] + w[3] * taps[3]) + (w[1] * taps[1] + w[2] * taps[2]);
    }
    for (int q = 0; q < kUpsample; ++q) {
      const float* const v = weights.down[q];
      const Row8 row = (v[0] * rows[0] + v[3] * rows[3]) + (v[1] * rows[1] + v[2] * rows[2]);
      std::memcpy(&pixel[q + 1][1], &row, sizeof row);
    }
  }

  // Which pixels of row q are above the threshold and above their neighbours in the block.
  uint32_t maxima(int q, float threshold) const {
    const float *above = pixel[q], *row = pixel[q + 1], *below = pixel[q + 2];
    const Row8 here = load(row + 1);
    Mask8 mask = (here > threshold) & (here > load(row)) & (here > load(row + 2));
    mask &= (here > load(above)) & (here > load(above + 1)) & (here > load(above + 2));
    mask &= (here > load(below)) & (here > load(below + 1)) & (here > load(below + 2));
    uint64_t words[sizeof mask / sizeof(uint64_t)];
    std::memcpy(words, &mask, sizeof mask);
    if ((words[0] | words[1] | words[2] | words[3]) == 0) return 0;
    uint32_t bits = 0;
    for (int p = 0; p < kUpsample; ++p) bits |= (mask[p] != 0 ? 1u : 0u) << p;
    return bits;
  }
};

// Where the block's neighbours have their say.
bool is_on_edge(int q, int p) { return q == 0 || p == 0 || q == kUpsample - 1 || p == kUpsample - 1; }

void examine_block(const Map<float>& map, int32_t r, int32_t c, float threshold, const Weights& weights, Tile& tile,
                   BestOf& best) {
  tile.fill(weights, &map.data[(r - 1) * map.stride_y + c - 1], map.stride_y);
  for (int q = 0; q < kUpsample; ++q) {
    for (uint32_t left = tile.maxima(q, threshold); left != 0; left &= left - 1) {
      const int p = lowest_bit(left);
      const int32_t y = block_start(r) + q, x = block_start(c) + p;
      const float value = tile.pixel[q + 1][p + 1];
      const bool is_peak = is_on_edge(q, p) ? is_upsampled_peak(map, y, x, threshold)
                                            : may_be_peak(map, y, x) && is_above(value, threshold);
      if (is_peak) best.offer({order_key(value), y * map.width * kUpsample + x});
    }
  }
}

float most_of(float a, float b) { return a > b ? a : b; }
float least_of(float a, float b) { return a < b ? a : b; }

// What the blocks of row r mix, column by column.
struct Columns {
  float *inner, *most, *least;  // [W + 2 kPad], the first two left of the map

  void fill(const Map<float>& map, int32_t r) const {
    const float* const row = map.data + r * map.stride_y - kPad;
    const float *before = row - map.stride_y, *next = row + map.stride_y, *last = next + map.stride_y;
    for (int32_t x = 0; x < map.width + 2 * kPad; ++x) {
      inner[x] = most_of(row[x], next[x]);
      most[x] = most_of(inner[x], most_of(before[x], last[x]));
      least[x] = least_of(least_of(row[x], next[x]), least_of(before[x], last[x]));
    }
  }

  Reach reach(int32_t c) const {
    const int32_t x = c + kPad;
    return {most_of(inner[x], inner[x + 1]), most_of(most_of(most[x - 1], most[x]), most_of(most[x + 1], most[x + 2])),
            least_of(least_of(least[x - 1], least[x]), least_of(least[x + 1], least[x + 2]))};
  }
};

template <class T>
void openpose_peaks(const PeakSpec& spec, const Map<T>& given, const PeakLists& out, const PublishedScratch& parts,
                    uint32_t* scratch, int64_t index) {
  float* const padded = reinterpret_cast<float*>(scratch);
  float* const columns = padded + parts.padded;
  const int64_t width = given.width + 2 * kPad;
  const Columns reaches{columns, columns + width, columns + 2 * width};
  uint8_t* const may = reinterpret_cast<uint8_t*>(columns + parts.columns);
  out.nonfinite[index] = pad(given, padded);
  const Map<float> map{padded + kPad * width + kPad, given.height, given.width, width, 1, false};
  const float threshold = value_of_key(spec.threshold_key);
  BestOf best{reinterpret_cast<Peak*>(may + sizeof(uint32_t) * static_cast<size_t>(parts.flags)), out.capacity};
  const Weights weights;
  Tile tile;
  for (int32_t r = -1; r < map.height; ++r) {
    reaches.fill(map, r);
    for (int32_t c = -1; c < map.width; ++c) may[c + 1] = may_exceed(reaches.reach(c), threshold);
    for (int32_t c = -1; c < map.width; ++c) {
      if (may[c + 1] != 0) examine_block(map, r, c, threshold, weights, tile, best);
    }
  }
  std::sort(best.entries, best.entries + best.count, [](const Peak& a, const Peak& b) { return a.index < b.index; });
  out.total[index] = best.total;
  out.count[index] = best.count;
  const int32_t upsampled_width = map.width * kUpsample;
  for (int32_t m = 0; m < best.count; ++m) {
    const Peak& peak = best.entries[m];
    const int64_t at = index * out.capacity + m;
    const Place place = upsampled_centroid(map, peak.index / upsampled_width, peak.index % upsampled_width);
    out.xy[2 * at] = place.x;
    out.xy[2 * at + 1] = place.y;
    out.score[at] = value_of_key(peak.key);
  }
}

template <class T>
void trt_pose_peaks(const PeakSpec& spec, const Map<T>& map, const PeakLists& out, int64_t index) {
  int32_t count = 0, total = 0, nonfinite = 0;
  for (int32_t y = 0; y < map.height; ++y) {
    for (int32_t x = 0; x < map.width; ++x) {
      nonfinite += map.key(y, x) == kNever;
      if (!is_window_maximum(map, y, x, spec.threshold_key)) continue;
      ++total;
      if (count == out.capacity) continue;
      const int64_t at = index * out.capacity + count++;
      const Place place = window_centroid(map, y, x);
      out.xy[2 * at] = place.x;
      out.xy[2 * at + 1] = place.y;
      out.score[at] = map.value(y, x);
    }
  }
  out.nonfinite[index] = nonfinite;
  out.total[index] = total;
  out.count[index] = count;
}

template <class T>
void published_peaks_of(PeakRule rule, const PeakSpec& spec, const MapView& maps, const PeakLists& out,
                        uint32_t* scratch, int64_t first, int64_t last) {
  const PublishedScratch parts(rule, maps, out.capacity);
  for (int64_t index = first; index < last; ++index) {
    const Map<T> map = map_at<T>(maps, index, false);
    if (rule == PeakRule::kOpenPose) {
      openpose_peaks(spec, map, out, parts, scratch, index);
    } else {
      trt_pose_peaks(spec, map, out, index);
    }
    const int64_t begin = index * out.capacity + out.count[index];
    const size_t rest = static_cast<size_t>(out.capacity - out.count[index]);
    std::memset(out.xy + 2 * begin, 0, sizeof(float) * 2 * rest);
    std::memset(out.score + begin, 0, sizeof(float) * rest);
  }
}

}  // namespace

void published_peaks(PeakRule rule, const PeakSpec& spec, const MapView& maps, const PeakLists& out, uint32_t* scratch,
                     int64_t first, int64_t last) {
  if (maps.is_half) {
    published_peaks_of<Half>(rule, spec, maps, out, scratch, first, last);
  } else {
    published_peaks_of<float>(rule, spec, maps, out, scratch, first, last);
  }
}

}  // namespace ppf::loops::PPF_ISA

// The best sample of each map, refined; and the same for SimCC vectors.
#include "core/blur.h"
#include "core/simcc.h"
#include "loops/loops.h"
#include "loops/scan.h"

namespace ppf::loops::PPF_ISA {
namespace {

// The second peak of CPN wants the two highest samples of the whole blurred map. Rows are blurred once each into a ring
// of as many as the vertical kernel is high; the blurred map itself passes by one row at a time. scratch:
// kSecondPeakTaps rows of the padded width, and one row padded twice.
template <class T>
TopTwo blurred_top_two(const PeakSpec& spec, const Map<T>& map, float largest, float* scratch) {
  const int padded = map.width + 2 * kSecondPeakPad;
  float* const line = scratch + static_cast<int64_t>(kSecondPeakTaps) * padded;
  TopTwo top;
  for (int y = -kSecondPeakPad; y < map.height + kSecondPeakPad; ++y) {
    const int newest = y + kSecondPeakPad;  // the last source row that blurred row y reads
    if (newest < map.height) {
      float* const row = scratch + static_cast<int64_t>(newest % kSecondPeakTaps) * padded;
      for (int x = 0; x < padded + 2 * kSecondPeakPad; ++x) {
        line[x] = relative_sample(map, largest, newest, x - 2 * kSecondPeakPad);
      }
      for (int x = 0; x < padded; ++x) row[x] = 0.0f;
      for (int t = 0; t < kSecondPeakTaps; ++t) {
        for (int x = 0; x < padded; ++x) row[x] += spec.weights[t] * line[x + t];
      }
    }
    const int first = larger(y - kSecondPeakPad, 0), last = smaller(newest, map.height - 1);
    for (int x = 0; x < padded; ++x) line[x] = 0.0f;
    for (int source = first; source <= last; ++source) {
      const float weight = spec.weights[source - (y - kSecondPeakPad)];
      const float* const row = scratch + static_cast<int64_t>(source % kSecondPeakTaps) * padded;
      for (int x = 0; x < padded; ++x) line[x] += weight * row[x];
    }
    for (int x = 0; x < padded; ++x) top.offer(order_key(line[x]), (y + kSecondPeakPad) * padded + x);
  }
  return top;
}

template <class T>
void write_best(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const BestPeaks& out,
                float* scratch, int64_t index, const Best& best) {
  const Map<T> map = map_at<T>(maps, index, spec.logits);
  const bool found = best.key > spec.threshold_key;
  Place at{0.0f, 0.0f};
  float score = 0.0f;
  if (best.key != kNever) score = map.value(best.index / map.width, best.index % map.width);
  if (found && spec.refine == Refine::kSecondPeak) {
    at = second_peak_place(map, blurred_top_two(spec, map, score, scratch), score);
  } else if (found) {
    at = refine_peak(spec, map, offsets, index, maps.k, best.index / map.width, best.index % map.width);
  }
  out.xy[2 * index] = at.x;
  out.xy[2 * index + 1] = at.y;
  out.score[index] = score;
  out.count[index] = found ? 1 : 0;
  out.nonfinite[index] = best.nonfinite;
}

template <class T>
void best_peaks_of(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const BestPeaks& out,
                   float* scratch, int64_t first, int64_t last) {
  Best best[kLanes];
  for (int64_t index = first; index < last;) {
    int lanes = 1;
    if (maps.stride_k == 1 && maps.stride_x != 1) {
      const int64_t channel = index % maps.k;
      lanes = static_cast<int>(smaller(kLanes, static_cast<int>(maps.k - channel)));
      lanes = static_cast<int>(last - index < lanes ? last - index : lanes);
      scan_channels(maps, map_at<T>(maps, index, false).data, lanes, best);
    } else {
      scan(map_at<T>(maps, index, false), best[0]);
    }
    for (int lane = 0; lane < lanes; ++lane) {
      write_best<T>(spec, maps, offsets, out, scratch, index + lane, best[lane]);
    }
    index += lanes;
  }
}

template <class T>
BestBin best_bin(const Map<T>& vector, const Best& best) {
  bool is_flat = vector.width > 1;
  for (int x = 0; x < vector.width && is_flat; ++x) {
    const int32_t key = vector.key(0, x);
    is_flat = key == best.key || key == kNever;
  }
  return {best.key, best.index, best.nonfinite, is_flat};
}

// Bins whose places are refined together: the Gaussian of one runs while another's waits, and one vector takes the
// logarithms of several.
constexpr int kTogether = 32;
constexpr int kAtOnce = 16;

template <class T>
struct Waiting {
  int count = 0;
  Map<T> vector[kTogether];
  int peak[kTogether];
  float* place[kTogether];

  void add(const Map<T>& along, int bin, float* to) {
    vector[count] = along;
    peak[count] = bin;
    place[count++] = to;
  }
};

template <class T>
void refine_by_blur(const SimccSpec& spec, const Waiting<T>& waiting) {
  float blurred[3][kTogether] = {}, peak[kTogether] = {};
  for (int i = 0; i < waiting.count; ++i) {
    float bins[3];
    blur_bins(spec, waiting.vector[i], waiting.peak[i], bins);
    for (int bin = 0; bin < 3; ++bin) blurred[bin][i] = bins[bin];
    peak[i] = static_cast<float>(waiting.peak[i]);
  }
  for (int i = 0; i < waiting.count; i += kAtOnce) {
    float logs[3][kAtOnce], places[kAtOnce];
    for (int bin = 0; bin < 3; ++bin) {
      for (int j = 0; j < kAtOnce; ++j) logs[bin][j] = log_of_blurred(blurred[bin][i + j], false);
    }
    for (int j = 0; j < kAtOnce; ++j) {
      places[j] = (peak[i + j] + simcc_step(spec, logs[0][j], logs[1][j], logs[2][j])) / spec.bins_per_pixel;
    }
    for (int j = 0; j < kAtOnce && i + j < waiting.count; ++j) *waiting.place[i + j] = places[j];
  }
}

template <class T>
void refine_all(const SimccSpec& spec, const Waiting<T>& waiting) {
  if (spec.refine == Refine::kDark) return refine_by_blur(spec, waiting);
  for (int i = 0; i < waiting.count; ++i) {
    *waiting.place[i] = refine_bin(spec, waiting.vector[i], waiting.peak[i]) / spec.bins_per_pixel;
  }
}

// Joints whose vectors are looked through one behind the other: few enough to stay in the cache until they are refined.
constexpr int kInCache = 32;

template <class T>
void decode_simcc_of(const SimccSpec& spec, const VectorView& x, const VectorView& y, const BestPeaks& out,
                     int64_t first, int64_t last) {
  Waiting<T> waiting;
  for (int64_t index = first; index < last;) {
    const Map<T> first_x = vector_at<T>(x, index), first_y = vector_at<T>(y, index);
    const int64_t of_image = x.k - index % x.k, left = last - index < of_image ? last - index : of_image;
    const int count = left < kInCache ? static_cast<int>(left) : kInCache;
    Best best_x[kInCache], best_y[kInCache];
    scan_vectors(first_x, x.stride_k, count, best_x);
    scan_vectors(first_y, y.stride_k, count, best_y);
    for (int i = 0; i < count; ++i, ++index) {
      Map<T> along_x = first_x, along_y = first_y;
      along_x.data += i * x.stride_k;
      along_y.data += i * y.stride_k;
      if (!write_simcc_score(spec, best_bin(along_x, best_x[i]), best_bin(along_y, best_y[i]), out, index)) continue;
      waiting.add(along_x, best_x[i].index, out.xy + 2 * index);
      waiting.add(along_y, best_y[i].index, out.xy + 2 * index + 1);
      if (waiting.count == kTogether) {
        refine_all(spec, waiting);
        waiting.count = 0;
      }
    }
  }
  refine_all(spec, waiting);
}

}  // namespace

void best_peaks(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const BestPeaks& out,
                float* scratch, int64_t first, int64_t last) {
  if (maps.is_half) {
    best_peaks_of<Half>(spec, maps, offsets, out, scratch, first, last);
  } else {
    best_peaks_of<float>(spec, maps, offsets, out, scratch, first, last);
  }
}

void decode_simcc(const SimccSpec& spec, const VectorView& x, const VectorView& y, const BestPeaks& out, int64_t first,
                  int64_t last) {
  if (x.is_half) {
    decode_simcc_of<Half>(spec, x, y, out, first, last);
  } else {
    decode_simcc_of<float>(spec, x, y, out, first, last);
  }
}

}  // namespace ppf::loops::PPF_ISA

// The best sample of each map, refined.
#include "core/blur.h"
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

}  // namespace

void best_peaks(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const BestPeaks& out,
                float* scratch, int64_t first, int64_t last) {
  if (maps.is_half) {
    best_peaks_of<Half>(spec, maps, offsets, out, scratch, first, last);
  } else {
    best_peaks_of<float>(spec, maps, offsets, out, scratch, first, last);
  }
}

}  // namespace ppf::loops::PPF_ISA

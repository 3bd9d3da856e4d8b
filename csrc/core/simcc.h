// SimCC: a joint as two vectors of bins, one per axis (RTMPose).
#pragma once

#include <cstdint>

#include "core/blur.h"
#include "core/peaks.h"

namespace ppf {

constexpr int kSimccTaps = (kMaxKernel + kLaneCount - 1) / kLaneCount * kLaneCount;

enum class SimccScore : int32_t { kMin, kMean };  // of the two maxima

struct SimccSpec {
  Refine refine = Refine::kDark;  // kNone, kLogParabola or kDark (a step on the blurred vector)
  SimccScore score = SimccScore::kMean;
  float bins_per_pixel = 2.0f;
  float threshold = 0.0f;  // a joint counts when its score is above
  int32_t kernel = 31;
  float weights[kSimccTaps] = {};  // 0 from `kernel` on
};

// Vectors [N, K, length], strides in elements.
struct VectorView {
  const void* data = nullptr;
  bool is_half = false;
  int64_t n = 0, k = 0;
  int32_t length = 0;
  int64_t stride_n = 0, stride_k = 0, stride_bin = 0;
};

// A vector is a map one sample high.
template <class T>
PPF_HD Map<T> vector_at(const VectorView& vectors, int64_t index) {
  const int64_t offset = index / vectors.k * vectors.stride_n + index % vectors.k * vectors.stride_k;
  return {static_cast<const T*>(vectors.data) + offset, 1, vectors.length, 0, vectors.stride_bin, false};
}

// Step from the logs of the blurred bins before, at and after the peak. Further than a quarter of the kernel, the blur
// no longer covers the target.
PPF_HD float simcc_step(const SimccSpec& spec, float before, float centre, float after) {
  const float curvature = (before - centre) + (after - centre);
  const float step = 0.5f * (before - after) / curvature;
  const bool usable = curvature < 0.0f && absolute(step) * 4.0f <= static_cast<float>(spec.kernel);
  return usable ? step : 0.0f;
}

// Where bins can be read as they lie.
PPF_HD const float* as_floats(const float* bins) { return bins; }
PPF_HD const float* as_floats(const Half*) { return nullptr; }

// The blurred bins before, at and after `peak`. Each is a sum of eight, of every eighth tap in ascending order.
template <class T>
PPF_HD void blur_bins(const SimccSpec& spec, const Map<T>& vector, int peak, float blurred[3]) {
  const int first = peak - 1 - spec.kernel / 2;
  const float* bins = as_floats(vector.data);
  float line[kSimccTaps + kLaneCount];
  const bool has_room = first >= 0 && first + spec.kernel + kLaneCount < vector.width;
  if (bins != nullptr && vector.stride_x == 1 && has_room) {
    bins += first;
  } else {
    for (float& bin : line) bin = 0.0f;
    load_line(vector, false, 0, first, spec.kernel + 2, line);
    bins = line;
  }
  Lanes before, at, after;
  int t = 0;
  for (; t + kLaneCount <= spec.kernel; t += kLaneCount) {
    before.add(spec.weights + t, bins + t);
    at.add(spec.weights + t, bins + t + 1);
    after.add(spec.weights + t, bins + t + 2);
  }
  const int left = spec.kernel - t;  // what lies behind the last tap may be no number
  before.add_first(left, spec.weights + t, bins + t);
  at.add_first(left, spec.weights + t, bins + t + 1);
  after.add_first(left, spec.weights + t, bins + t + 2);
  blurred[0] = before.sum();
  blurred[1] = at.sum();
  blurred[2] = after.sum();
}

// Sub-bin place of the peak, in bins.
template <class T>
PPF_HD float refine_bin(const SimccSpec& spec, const Map<T>& vector, int peak) {
  float step = 0.0f;
  if (spec.refine == Refine::kDark) {
    float blurred[3];
    blur_bins(spec, vector, peak, blurred);
    step = simcc_step(spec, log_of_blurred(blurred[0], false), log_of_blurred(blurred[1], false),
                      log_of_blurred(blurred[2], false));
  } else if (spec.refine == Refine::kLogParabola && peak > 0 && peak < vector.width - 1) {
    step = log_parabola(vector.value(0, peak - 1), vector.value(0, peak), vector.value(0, peak + 1));
  }
  return static_cast<float>(peak) + step;
}

// The best bin of a vector, and whether its bins differ at all.
struct BestBin {
  int32_t key, index, nonfinite;
  bool is_flat;  // all finite bins equal: the vector says nothing
};

// From the best bins of both axes to all of entry `index` but its place, which is 0 when the joint does not count. True
// when it does.
PPF_HD bool write_simcc_score(const SimccSpec& spec, const BestBin& best_x, const BestBin& best_y, const BestPeaks& out,
                              int64_t index) {
  out.nonfinite[index] = best_x.nonfinite + best_y.nonfinite;
  out.count[index] = 0;
  out.score[index] = out.xy[2 * index] = out.xy[2 * index + 1] = 0.0f;
  if (best_x.key == kNever || best_y.key == kNever || best_x.is_flat || best_y.is_flat) return false;
  const float score_x = value_of_key(best_x.key), score_y = value_of_key(best_y.key);
  const float score =
      spec.score == SimccScore::kMean ? 0.5f * score_x + 0.5f * score_y : (score_y < score_x ? score_y : score_x);
  out.score[index] = score;
  if (!(score > spec.threshold)) return false;
  out.count[index] = 1;
  return true;
}

}  // namespace ppf

// SimCC: a joint as two vectors of bins, one per axis (RTMPose).
#pragma once

#include <cstdint>

#include "core/blur.h"
#include "core/peaks.h"

namespace ppf {

enum class SimccScore : int32_t { kMin, kMean };  // of the two maxima

struct SimccSpec {
  Refine refine = Refine::kDark;  // kNone, kLogParabola or kDark (a step on the blurred vector)
  SimccScore score = SimccScore::kMean;
  float bins_per_pixel = 2.0f;
  float threshold = 0.0f;  // a joint counts when its score is above
  int32_t kernel = 31;
  float weights[kMaxKernel] = {};
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

// Step from the logs of three blurred bins. Further than a quarter of the kernel, the blur no longer covers the target.
PPF_HD float simcc_step(const SimccSpec& spec, const float blurred[3]) {
  const float l = log_of_blurred(blurred[0], false), c = log_of_blurred(blurred[1], false),
              r = log_of_blurred(blurred[2], false);
  const float curvature = (l - c) + (r - c);
  if (!(curvature < 0.0f)) return 0.0f;
  const float step = 0.5f * (l - r) / curvature;
  return absolute(step) * 4.0f <= static_cast<float>(spec.kernel) ? step : 0.0f;
}

// The blurred bins before, at and after `peak`; summed in ascending order.
template <class T>
PPF_HD void blur_bins(const SimccSpec& spec, const Map<T>& vector, int peak, float blurred[3]) {
  float line[kMaxKernel + kLaneCount] = {}, values[kLaneCount];
  load_line(vector, false, 0, peak - 1 - spec.kernel / 2, spec.kernel + 2, line);
  Lanes sums;
  for (int t = 0; t < spec.kernel; ++t) sums.add(spec.weights[t], line + t);
  sums.store(values);
  for (int i = 0; i < 3; ++i) blurred[i] = values[i];
}

// Sub-bin place of the peak, in bins.
template <class T>
PPF_HD float refine_bin(const SimccSpec& spec, const Map<T>& vector, int peak) {
  float step = 0.0f;
  if (spec.refine == Refine::kDark) {
    float blurred[3];
    blur_bins(spec, vector, peak, blurred);
    step = simcc_step(spec, blurred);
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

// From the best bins of both axes to entry `index` of the results.
template <class T>
PPF_HD void write_simcc(const SimccSpec& spec, const Map<T>& x, const Map<T>& y, const BestBin& best_x,
                        const BestBin& best_y, const BestPeaks& out, int64_t index) {
  out.nonfinite[index] = best_x.nonfinite + best_y.nonfinite;
  out.count[index] = 0;
  out.score[index] = out.xy[2 * index] = out.xy[2 * index + 1] = 0.0f;
  if (best_x.key == kNever || best_y.key == kNever || best_x.is_flat || best_y.is_flat) return;
  const float score_x = value_of_key(best_x.key), score_y = value_of_key(best_y.key);
  const float score =
      spec.score == SimccScore::kMean ? 0.5f * score_x + 0.5f * score_y : (score_y < score_x ? score_y : score_x);
  out.score[index] = score;
  if (!(score > spec.threshold)) return;
  out.count[index] = 1;
  out.xy[2 * index] = refine_bin(spec, x, best_x.index) / spec.bins_per_pixel;
  out.xy[2 * index + 1] = refine_bin(spec, y, best_y.index) / spec.bins_per_pixel;
}

}  // namespace ppf

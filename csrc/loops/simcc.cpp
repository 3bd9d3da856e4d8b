// The best bin of each SimCC vector, refined.
#include "core/simcc.h"

#include "loops/loops.h"
#include "loops/scan.h"

namespace ppf::loops::PPF_ISA {
namespace {

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

void decode_simcc(const SimccSpec& spec, const VectorView& x, const VectorView& y, const BestPeaks& out, int64_t first,
                  int64_t last) {
  if (x.is_half) {
    decode_simcc_of<Half>(spec, x, y, out, first, last);
  } else {
    decode_simcc_of<float>(spec, x, y, out, first, last);
  }
}

}  // namespace ppf::loops::PPF_ISA

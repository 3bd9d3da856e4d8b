// For every limb, the best partners of each candidate: one block per limb of an image.
//
// A candidate of the first joint is a row. Under kLine most pairs of a row end at the first screen, which reads
// no field, so a thread does a whole row. Under the other rules every pair costs alike and rows are few: threads share
// out the pairs, then the rows.
#include "core/limbs.h"
#include "kernels/launch.cuh"
#include "kernels/launch.h"

namespace ppf::kernels {
namespace {

// A crowd's rows are done in one go. Warps without a row end at once on a GPU and cost little in the emulator: there is
// one barrier.
constexpr int kThreads = kMaxCandidates;
// Scores that wait for their rows: 8 KB, so that shared memory leaves room for many blocks.
constexpr int kWaiting = 2048;
static_assert(kWaiting >= kMaxCandidates, "there is room for a row");

// A limb of an image: its field, and the candidates at both ends.
template <class T>
struct Task {
  Field<T> field;
  const float *from_xy, *to_xy;  // [M, 2]
  int32_t from_count, to_count;
  int64_t row;  // of the first candidate in the lists of links

  __device__ Place from(int32_t i) const { return {from_xy[2 * i], from_xy[2 * i + 1]}; }
  __device__ Place to(int32_t j) const { return {to_xy[2 * j], to_xy[2 * j + 1]}; }
};

template <class T>
__device__ Task<T> task_of(const LimbSpec& spec, const MapView& fields, const PeakLists& peaks, int64_t index) {
  const int64_t n = index / spec.limbs;
  const Limb& limb = spec.limb[index % spec.limbs];
  const int64_t first = n * spec.joints + limb.first, second = n * spec.joints + limb.second;
  return {field_at<T>(fields, n, limb),
          peaks.xy + first * peaks.capacity * 2,
          peaks.xy + second * peaks.capacity * 2,
          peaks.count[first],
          peaks.count[second],
          index * peaks.capacity};
}

__device__ inline Row row_of(const LinkLists& out, int64_t row) {
  return {out.partner + row * out.partners, out.score + row * out.partners, out.partners};
}

__device__ inline void finish(const LinkLists& out, int64_t row, const Row& best) {
  out.count[row] = best.count;
  out.total[row] = best.total;
}

// Before any row is filled; in the kernel of lines it is the same thread that fills it.
__device__ inline void clear(const LinkLists& out, int64_t first_row, int32_t capacity) {
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < capacity; i += kThreads) {
    const Row row = row_of(out, first_row + i);
    for (int32_t r = 0; r < out.partners; ++r) {
      row.partner[r] = 0;
      row.score[r] = 0.0f;
    }
    finish(out, first_row + i, row);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    score_lines_kernel(LimbSpec spec, MapView fields, PeakLists peaks, LinkLists out) {
  PPF_SHARED(Place, places, [kMaxCandidates]);  // of the second joint, and the field's directions there
  PPF_SHARED(Vector, directions, [kMaxCandidates]);
  const Task<T> task = task_of<T>(spec, fields, peaks, blockIdx.x);
  if (spec.clears_rest) clear(out, task.row, peaks.capacity);
  const float most_length = spec.longest * static_cast<float>(larger(fields.height, fields.width));
  for (int32_t j = static_cast<int32_t>(threadIdx.x); j < task.to_count; j += kThreads) {
    places[j] = task.to(j);
    directions[j] = direction_of(task.field.nearest(places[j]));
  }
  __syncthreads();
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < task.from_count; i += kThreads) {
    const Place a = task.from(i);
    const Vector at_a = direction_of(task.field.nearest(a));
    Row best = row_of(out, task.row + i);
    const auto judge = [&](int32_t j) {
      const Place b = places[j];
      if (!runs_along(task.field, a, b, 0.5f, spec.threshold) || !runs_along(task.field, a, b, 0.25f, spec.threshold) ||
          !runs_along(task.field, a, b, 0.75f, spec.threshold)) {
        return;
      }
      const float score = line_score(task.field, a, b, spec.threshold);
      if (score > kNoLink) best.offer(j, score);
    };
    Nearest<int32_t> nearest;
    for (int32_t j = 0; j < task.to_count; ++j) {
      const Place b = places[j];
      const Vector at_b = directions[j];
      const float dx = b.x - a.x, dy = b.y - a.y;
      if (!may_be_linked(dx, dy, at_b.x + at_a.x, at_b.y + at_a.y, most_length)) continue;
      if (task.to_count <= kFewCandidates) {
        judge(j);
      } else {
        nearest.offer(nearest.number_of(bits_of(dx * dx + dy * dy), j));
      }
    }
    nearest.keep_indices();
    for (const int32_t j : nearest.near) {
      if (j == kNoCandidate) break;
      judge(j);
    }
    finish(out, task.row + i, best);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    score_pairs_kernel(LimbSpec spec, MapView fields, PeakLists peaks, LinkLists out) {
  PPF_SHARED(Place, places, [kMaxCandidates]);
  PPF_SHARED(float, scores, [kWaiting]);  // [rows, to_count]
  const Task<T> task = task_of<T>(spec, fields, peaks, blockIdx.x);
  if (spec.clears_rest) clear(out, task.row, peaks.capacity);
  for (int32_t j = static_cast<int32_t>(threadIdx.x); j < task.to_count; j += kThreads) places[j] = task.to(j);
  const int32_t at_once = kWaiting / larger(task.to_count, 1);
  for (int32_t first = 0; first < task.from_count; first += at_once) {
    const int32_t rows = smaller(at_once, task.from_count - first);
    __syncthreads();  // the places are there, and the scores before these have been read
    for (int32_t p = static_cast<int32_t>(threadIdx.x); p < rows * task.to_count; p += kThreads) {
      scores[p] = link_score(spec, task.field, task.from(first + p / task.to_count), places[p % task.to_count]);
    }
    __syncthreads();
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < rows; i += kThreads) {
      Row best = row_of(out, task.row + first + i);
      for (int32_t j = 0; j < task.to_count; ++j) {
        const float score = scores[i * task.to_count + j];
        if (score > kNoLink) best.offer(j, score);
      }
      finish(out, task.row + first + i, best);
    }
  }
}

template <class T>
auto kernel_for(LinkRule rule) {
  return rule == LinkRule::kLine ? score_lines_kernel<T> : score_pairs_kernel<T>;
}

}  // namespace

void Launcher::score_limbs(const LimbSpec& spec, const MapView& fields, const PeakLists& peaks,
                           const LinkLists& out) const {
  const DeviceScope scope(device.index);
  const dim3 grid(static_cast<unsigned>(fields.n * spec.limbs));
  const auto kernel = fields.is_half ? kernel_for<Half>(spec.rule) : kernel_for<float>(spec.rule);
  launch("score_limbs", kernel, grid, dim3(kThreads), 0, stream_of(device), spec, fields, peaks, out);
}

}  // namespace ppf::kernels

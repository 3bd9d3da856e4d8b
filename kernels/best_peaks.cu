// The best sample of each map, refined, and the same for SimCC vectors: one block per map.
#include "core/blur.h"
#include "kernels/block.cuh"
#include "kernels/launch.cuh"
#include "kernels/launch.h"

namespace ppf::kernels {
namespace {

constexpr int kThreads = 128;

struct Scanned {
  Champion best;
  int32_t nonfinite;
};

template <class T>
__device__ Scanned scan_map(const Map<T>& map) {
  Champion mine{kNever, 0};
  int32_t nonfinite = 0;
  const int32_t samples = map.height * map.width;
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < samples; i += kThreads) {
    const Champion other{map.key(i / map.width, i % map.width), i};
    nonfinite += other.key == kNever;
    if (other.key > mine.key) mine = other;  // a thread meets its samples in raster order
  }
  return {block_best<kThreads>(mine), block_sum<kThreads>(nonfinite)};
}

// The threads share the sums of blur_patch(): first one each of the 5 columns of every row, then one each of the 25
// samples. The order of each sum is that of blur_patch(), so the bits are too.
template <class T>
__device__ Place refine_by_block(const PeakSpec& spec, const Map<T>& map, int py, int px) {
  PPF_SHARED(float, row_sums, [kMaxLine][kPatch]);
  PPF_SHARED(float, blurred, [kPatch][kPatch]);
  const int radius = spec.kernel / 2, lines = spec.kernel + kPatch - 1;
  const bool mirrored = spec.refine == Refine::kUdpDark;
  for (int i = static_cast<int>(threadIdx.x); i < lines * kPatch; i += kThreads) {
    const int line = i / kPatch, column = i % kPatch;
    float sum = 0.0f;
    for (int t = 0; t < spec.kernel; ++t) {
      sum += spec.weights[t] * blur_tap(map, mirrored, py - radius - 2 + line, px - radius - 2 + column + t);
    }
    row_sums[line][column] = sum;
  }
  __syncthreads();
  if (threadIdx.x < kPatch * kPatch) {
    const int r = static_cast<int>(threadIdx.x) / kPatch, c = static_cast<int>(threadIdx.x) % kPatch;
    float sum = 0.0f;
    for (int t = 0; t < spec.kernel; ++t) sum += spec.weights[t] * row_sums[r + t][c];
    blurred[r][c] = sum;
  }
  __syncthreads();
  return refine_from_blurred(spec, map, blurred, py, px);
}

// As the CPU's blurred_top_two(): a ring of horizontally blurred rows, here in shared memory, and a thread per column.
template <class T>
__device__ TopTwo blurred_top_two(const PeakSpec& spec, const Map<T>& map, float largest) {
  PPF_DYNAMIC_SHARED(float, ring);
  const int padded = map.width + 2 * kSecondPeakPad;
  TopTwo mine;
  for (int y = -kSecondPeakPad; y < map.height + kSecondPeakPad; ++y) {
    const int newest = y + kSecondPeakPad;
    __syncthreads();  // the row that is about to be overwritten has been read
    if (newest < map.height) {
      for (int x = static_cast<int>(threadIdx.x); x < padded; x += kThreads) {
        float sum = 0.0f;
        for (int t = 0; t < kSecondPeakTaps; ++t) {
          sum += spec.weights[t] * relative_sample(map, largest, newest, x + t - 2 * kSecondPeakPad);
        }
        ring[newest % kSecondPeakTaps * padded + x] = sum;
      }
    }
    __syncthreads();
    const int first = larger(y - kSecondPeakPad, 0), last = smaller(newest, map.height - 1);
    for (int x = static_cast<int>(threadIdx.x); x < padded; x += kThreads) {
      float sum = 0.0f;
      for (int source = first; source <= last; ++source) {
        sum += spec.weights[source - (y - kSecondPeakPad)] * ring[source % kSecondPeakTaps * padded + x];
      }
      mine.offer(order_key(sum), (y + kSecondPeakPad) * padded + x);
    }
  }
  // The best of all is somebody's first. The second is another thread's first, or the winner's own second.
  TopTwo top;
  const Champion first = block_best<kThreads>({mine.key[0], mine.index[0]});
  const bool is_winner = mine.index[0] == first.index;
  const Champion second =
      block_best<kThreads>(is_winner ? Champion{mine.key[1], mine.index[1]} : Champion{mine.key[0], mine.index[0]});
  top.offer(first.key, first.index);
  top.offer(second.key, second.index);
  return top;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    best_peaks_kernel(PeakSpec spec, MapView maps, OffsetView offsets, BestPeaks out) {
  const int64_t index = blockIdx.x;
  const Map<T> map = map_at<T>(maps, index, spec.logits);
  const Scanned scanned = scan_map(map);
  const bool found = scanned.best.key > spec.threshold_key;
  const int y = scanned.best.index / map.width, x = scanned.best.index % map.width;
  Place at{0.0f, 0.0f};
  float score = scanned.best.key == kNever ? 0.0f : map.value(y, x);
  if (found && spec.refine == Refine::kSecondPeak) {
    at = second_peak_place(map, blurred_top_two(spec, map, score), score);
  } else if (found && reads_blurred(spec.refine) && is_blur_refined(spec, map, y, x)) {
    at = refine_by_block(spec, map, y, x);
  } else if (found) {
    at = refine_locally(spec, map, offsets, index, maps.k, y, x);
  }
  if (threadIdx.x != 0) return;
  out.xy[2 * index] = at.x;
  out.xy[2 * index + 1] = at.y;
  out.score[index] = score;
  out.count[index] = found ? 1 : 0;
  out.nonfinite[index] = scanned.nonfinite;
}

template <class T>
__device__ BestBin best_bin(const Map<T>& vector) {
  const Scanned scanned = scan_map(vector);
  int32_t different = 0;
  for (int i = static_cast<int>(threadIdx.x); i < vector.width; i += kThreads) {
    const int32_t key = vector.key(0, i);
    different += key != scanned.best.key && key != kNever;
  }
  const bool is_flat = vector.width > 1 && block_sum<kThreads>(different) == 0;
  return {scanned.best.key, scanned.best.index, scanned.nonfinite, is_flat};
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    decode_simcc_kernel(SimccSpec spec, VectorView x, VectorView y, BestPeaks out) {
  const int64_t index = blockIdx.x;
  const Map<T> along_x = vector_at<T>(x, index), along_y = vector_at<T>(y, index);
  const BestBin best_x = best_bin(along_x), best_y = best_bin(along_y);
  if (threadIdx.x != 0 || !write_simcc_score(spec, best_x, best_y, out, index)) return;
  out.xy[2 * index] = refine_bin(spec, along_x, best_x.index) / spec.bins_per_pixel;
  out.xy[2 * index + 1] = refine_bin(spec, along_y, best_y.index) / spec.bins_per_pixel;
}

}  // namespace

void Launcher::best_peaks(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets,
                          const BestPeaks& out) const {
  const DeviceScope scope(device.index);
  const dim3 grid(static_cast<unsigned>(maps.n * maps.k));
  const std::size_t ring =
      spec.refine == Refine::kSecondPeak ? sizeof(float) * kSecondPeakTaps * (maps.width + 2 * kSecondPeakPad) : 0;
  if (maps.is_half) {
    launch("best_peaks", best_peaks_kernel<Half>, grid, dim3(kThreads), ring, stream_of(device), spec, maps, offsets,
           out);
  } else {
    launch("best_peaks", best_peaks_kernel<float>, grid, dim3(kThreads), ring, stream_of(device), spec, maps, offsets,
           out);
  }
}

void Launcher::decode_simcc(const SimccSpec& spec, const VectorView& x, const VectorView& y,
                            const BestPeaks& out) const {
  const DeviceScope scope(device.index);
  const dim3 grid(static_cast<unsigned>(x.n * x.k));
  if (x.is_half) {
    launch("decode_simcc", decode_simcc_kernel<Half>, grid, dim3(kThreads), 0, stream_of(device), spec, x, y, out);
  } else {
    launch("decode_simcc", decode_simcc_kernel<float>, grid, dim3(kThreads), 0, stream_of(device), spec, x, y, out);
  }
}

}  // namespace ppf::kernels

#include "tests/emulation/planted.h"

#include "kernels/launch.cuh"

namespace ppf::planted {
namespace {

constexpr unsigned kEveryLane = 0xffffffffu;
constexpr int kArgmaxThreads = 128;
constexpr int kArgmaxWarps = kArgmaxThreads / 32;
constexpr int kCompactWarps = kCompactThreads / 32;
constexpr int kTile = 16;

struct Best {
  float value;
  int index;
};

__device__ Best better(Best a, Best b) {
  return a.value > b.value || (a.value == b.value && a.index < b.index) ? a : b;
}

__device__ Best best_of_warp(Best best) {
  unsigned mask = kEveryLane;
  if (kPlanted == Mistake::kMaskWithoutCaller) mask = 0x0000ffffu;
  if (kPlanted == Mistake::kShuffleOutsideMask) mask = (threadIdx.x & 31) < 16 ? 0x0000ffffu : 0xffff0000u;
  for (int distance = 16; distance > 0; distance /= 2) {
    const Best other = {__shfl_down_sync(mask, best.value, distance), __shfl_down_sync(mask, best.index, distance)};
    best = better(best, other);
  }
  return best;
}

// A block per map: every thread takes the best of its samples, every warp of its threads, the first warp of the warps.
__global__ void argmax_kernel(const float* maps, int size, float* value, int* index) {
  PPF_SHARED(float, warp_value, [kArgmaxWarps]);
  PPF_SHARED(int, warp_index, [kArgmaxWarps]);
  const float* const map = maps + static_cast<std::int64_t>(blockIdx.x) * size;
  const int thread = static_cast<int>(threadIdx.x);
  const Best none = {-INFINITY, 0x7fffffff};
  Best best = none;
  for (int i = thread; i < size; i += kArgmaxThreads) best = better(best, {map[i], i});
  best = best_of_warp(best);
  if (thread % 32 == 0) {
    warp_value[thread / 32] = best.value;
    warp_index[thread / 32] = best.index;
  }
  if (kPlanted == Mistake::kDivergentBarrier) {
    if (thread < 64) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  } else if (kPlanted != Mistake::kMissingBarrier) {
    __syncthreads();
  }
  if (thread >= 32) return;
  const int readable = kPlanted == Mistake::kReadPastEnd ? 32 : kArgmaxWarps;
  best = best_of_warp(thread < readable ? Best{warp_value[thread], warp_index[thread]} : none);
  if (thread != 0) return;
  value[blockIdx.x] = best.value;
  index[blockIdx.x] = best.index;
}

// A thread per sample. Its place among the kept ones is known without atomics: kept lanes before it, and the counts of
// the warps before its own.
__global__ void compact_kernel(const float* samples, int size, float threshold, int* kept, int* kept_count,
                               int* total) {
  PPF_SHARED(int, counter);
  PPF_SHARED(int, warp_count, [kCompactWarps]);
  PPF_DYNAMIC_SHARED(int, gathered);
  const int thread = static_cast<int>(threadIdx.x);
  const int sample = static_cast<int>(blockIdx.x) * kCompactThreads + thread;
  if (kPlanted == Mistake::kMaskWithEndedLanes && sample >= size) return;
  const bool keep = sample < size && samples[sample] > threshold;

  if (kPlanted != Mistake::kUninitialisedShared && thread == 0) counter = 0;
  const unsigned votes = __ballot_sync(kEveryLane, keep);
  if (thread % 32 == 0) warp_count[thread / 32] = __popc(votes);
  __syncthreads();
  if (thread % 32 == 0) atomicAdd(&counter, __popc(votes));
  int place = __popc(votes & ((1u << (thread % 32)) - 1));
  for (int warp = 0; warp < thread / 32; ++warp) place += warp_count[warp];
  __syncthreads();
  const int count = counter;
  if (kPlanted == Mistake::kAtomicOrder) {
    __syncthreads();
    if (thread == 0) counter = 0;
    __syncthreads();
    if (keep) place = atomicAdd(&counter, 1);
  }
  if (keep) gathered[place] = sample;
  __syncthreads();
  if (kPlanted == Mistake::kReadPastDynamicEnd && gathered[thread + 1] == 0) return;
  if (thread < count) kept[static_cast<std::int64_t>(blockIdx.x) * kCompactThreads + thread] = gathered[thread];
  if (thread != 0) return;
  kept_count[blockIdx.x] = count;
  if (kPlanted == Mistake::kRaceBetweenBlocks) {
    *total += count;
  } else {
    atomicAdd(total, count);
  }
}

// A block per tile of 16x16 pixels, which it first brings into shared memory with a border of one pixel.
__global__ void box_sums_kernel(const int* image, int height, int width, int* sums) {
  constexpr int kSide = kTile + 2;
  constexpr int kRows = kPlanted == Mistake::kWritePastEnd ? kSide - 1 : kSide;
  PPF_SHARED(int, tile, [kRows * kSide]);
  const int left = static_cast<int>(blockIdx.x) * kTile;
  const int top = static_cast<int>(blockIdx.y) * kTile;
  const int thread = static_cast<int>(threadIdx.y) * kTile + static_cast<int>(threadIdx.x);
  for (int i = thread; i < kSide * kSide; i += kTile * kTile) {
    const int y = top + i / kSide - 1;
    const int x = left + i % kSide - 1;
    const bool inside = y >= 0 && y < height && x >= 0 && x < width;
    tile[i] = inside ? image[static_cast<std::int64_t>(y) * width + x] : 0;
  }
  if (kPlanted != Mistake::kMissingTileBarrier) __syncthreads();
  const int y = top + static_cast<int>(threadIdx.y);
  const int x = left + static_cast<int>(threadIdx.x);
  if (y >= height || x >= width) return;
  int sum = 0;
  for (int dy = 0; dy < 3; ++dy) {
    for (int dx = 0; dx < 3; ++dx) {
      sum += tile[(static_cast<int>(threadIdx.y) + dy) * kSide + static_cast<int>(threadIdx.x) + dx];
    }
  }
  sums[static_cast<std::int64_t>(y) * width + x] = sum;
}

unsigned tiles(int size, int tile) { return static_cast<unsigned>((size + tile - 1) / tile); }

}  // namespace

void argmax(const float* maps, int count, int size, float* value, int* index) {
  kernels::launch("argmax", argmax_kernel, dim3(static_cast<unsigned>(count)), dim3(kArgmaxThreads), 0, nullptr, maps,
                  size, value, index);
}

void compact(const float* samples, int size, float threshold, int* kept, int* kept_count, int* total) {
  kernels::launch("compact", compact_kernel, dim3(tiles(size, kCompactThreads)), dim3(kCompactThreads),
                  kCompactThreads * sizeof(int), nullptr, samples, size, threshold, kept, kept_count, total);
}

void box_sums(const int* image, int height, int width, int* sums) {
  kernels::launch("box_sums", box_sums_kernel, dim3(tiles(width, kTile), tiles(height, kTile)), dim3(kTile, kTile), 0,
                  nullptr, image, height, width, sums);
}

}  // namespace ppf::planted

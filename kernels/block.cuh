// What the threads of one block do together: find the best of their candidates, add up their counts, sort.
#pragma once

#include "kernels/launch.cuh"

namespace ppf::kernels {

constexpr unsigned kWholeWarp = 0xffffffffu;
constexpr int kWarp = 32;

// The larger key wins, between equal keys the smaller index: the same answer in whatever order threads meet.
struct Champion {
  int32_t key, index;

  __device__ bool beats(const Champion& other) const {
    return key > other.key || (key == other.key && index < other.index);
  }
};

__device__ inline Champion warp_best(Champion mine) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const Champion other{__shfl_down_sync(kWholeWarp, mine.key, distance),
                         __shfl_down_sync(kWholeWarp, mine.index, distance)};
    if (other.beats(mine)) mine = other;
  }
  return mine;  // right in lane 0
}

__device__ inline int32_t warp_sum(int32_t mine) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) mine += __shfl_down_sync(kWholeWarp, mine, distance);
  return mine;  // right in lane 0
}

// The best over a block of Threads, known to every thread. Starts and ends with a barrier, so calls may follow each
// other.
template <int Threads>
__device__ Champion block_best(Champion mine) {
  PPF_SHARED(int32_t, keys, [Threads / kWarp]);
  PPF_SHARED(int32_t, indices, [Threads / kWarp]);
  mine = warp_best(mine);
  __syncthreads();
  if (threadIdx.x % kWarp == 0) {
    keys[threadIdx.x / kWarp] = mine.key;
    indices[threadIdx.x / kWarp] = mine.index;
  }
  __syncthreads();
  Champion best{keys[0], indices[0]};
  for (int warp = 1; warp < Threads / kWarp; ++warp) {
    const Champion other{keys[warp], indices[warp]};
    if (other.beats(best)) best = other;
  }
  return best;
}

template <int Threads>
__device__ int32_t block_sum(int32_t mine) {
  PPF_SHARED(int32_t, sums, [Threads / kWarp]);
  mine = warp_sum(mine);
  __syncthreads();
  if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = mine;
  __syncthreads();
  int32_t total = 0;
  for (int warp = 0; warp < Threads / kWarp; ++warp) total += sums[warp];
  return total;
}

// Sorts ascending, in memory that has room for a power of two of keys. Any thread may just have written them, and any
// may read them afterwards.
template <int Threads>
__device__ void block_sort(uint64_t* keys, int32_t count) {
  int32_t padded = 1;
  while (padded < count) padded *= 2;
  for (int32_t i = count + static_cast<int32_t>(threadIdx.x); i < padded; i += Threads) keys[i] = ~uint64_t{0};
  __syncthreads();
  for (int32_t run = 2; run <= padded; run *= 2) {
    for (int32_t distance = run / 2; distance > 0; distance /= 2) {
      for (int32_t pair = static_cast<int32_t>(threadIdx.x); pair < padded / 2; pair += Threads) {
        const int32_t low = 2 * pair - (pair & (distance - 1)), high = low + distance;
        const uint64_t at_low = keys[low], at_high = keys[high];
        if ((at_low > at_high) != ((low & run) == 0)) continue;  // every other run is sorted the other way round
        keys[low] = at_high;
        keys[high] = at_low;
      }
      __syncthreads();
    }
  }
}

}  // namespace ppf::kernels

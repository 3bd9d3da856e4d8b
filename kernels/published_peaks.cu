// The peaks of each map by the rules of the published decoders: one block per map.
//
// As in find_peaks.cu peaks are kept as bits in scratch memory, since marking needs no order. kTrtPose has a bit per
// sample, row by row, and kOpenPose a bit per up-sampled pixel, block by block (core/published_peaks.h): 64 bits of
// which a warp marks 32 with one ballot. Blocks that cannot reach the threshold cost their bound and two zeros.
#include "core/published_peaks.h"

#include "kernels/block.cuh"
#include "kernels/launch.cuh"
#include "kernels/launch.h"

namespace ppf::kernels {
namespace {

constexpr int kThreads = 128;
constexpr int kWordsPerBlock = kUpsample * kUpsample / kWarp;

struct Pixel {
  int32_t y, x;
};

// Of a rule: where its bits are, which of them are peaks, how peaks rank and what is written of one.
template <class T>
struct OpenPoseRule {
  Map<T> map;
  int32_t threshold_key;

  PPF_HD static int32_t words(int32_t height, int32_t width) { return (height + 1) * (width + 1) * kWordsPerBlock; }

  __device__ Pixel pixel_of(int32_t bit) const {
    constexpr int32_t kPixels = kUpsample * kUpsample;
    const int32_t block = bit / kPixels, pixel = bit % kPixels, blocks_per_row = map.width + 1;
    return {block_start(block / blocks_per_row - 1) + pixel / kUpsample,
            block_start(block % blocks_per_row - 1) + pixel % kUpsample};
  }

  // By a warp: the same answer in all its lanes.
  __device__ bool may_have_peaks(int32_t word) const {
    const int32_t block = word / kWordsPerBlock, blocks_per_row = map.width + 1;
    return may_exceed(reach_of(map, block / blocks_per_row - 1, block % blocks_per_row - 1),
                      value_of_key(threshold_key));
  }

  __device__ bool is_peak(int32_t bit) const {
    const Pixel at = pixel_of(bit);
    return is_upsampled_peak(map, at.y, at.x, value_of_key(threshold_key));
  }

  __device__ float score(const Pixel& at) const { return upsampled_value(map, at.y, at.x); }
  __device__ Place refined(const Pixel& at) const { return upsampled_centroid(map, at.y, at.x); }
  __device__ uint32_t index_of(const Pixel& at) const {
    return static_cast<uint32_t>(at.y * map.width * kUpsample + at.x);
  }

  // Higher scores first, then earlier pixels. No two peaks of a map share a rank.
  __device__ uint64_t rank(int32_t bit) const {
    const Pixel at = pixel_of(bit);
    const uint32_t key = static_cast<uint32_t>(order_key(score(at))) ^ 0x80000000u;
    return static_cast<uint64_t>(key) << 32 | (0xffffffffu - index_of(at));
  }
};

template <class T>
struct TrtPoseRule {
  Map<T> map;
  int32_t threshold_key;

  PPF_HD static int32_t words_per_row(int32_t width) { return (width + kWarp - 1) / kWarp; }
  PPF_HD static int32_t words(int32_t height, int32_t width) { return height * words_per_row(width); }

  __device__ Pixel pixel_of(int32_t bit) const {
    const int32_t width = words_per_row(map.width) * kWarp;
    return {bit / width, bit % width};
  }

  __device__ bool may_have_peaks(int32_t) const { return true; }

  __device__ bool is_peak(int32_t bit) const {
    const Pixel at = pixel_of(bit);
    return at.x < map.width && is_window_maximum(map, at.y, at.x, threshold_key);
  }

  __device__ float score(const Pixel& at) const { return map.value(at.y, at.x); }
  __device__ Place refined(const Pixel& at) const { return window_centroid(map, at.y, at.x); }
  __device__ uint32_t index_of(const Pixel& at) const { return static_cast<uint32_t>(at.y * map.width + at.x); }

  // Earlier samples first, whatever they hold.
  __device__ uint64_t rank(int32_t bit) const { return 0xffffffffu - index_of(pixel_of(bit)); }
};

template <class Rule>
__device__ void mark(const Rule& rule, uint32_t* bits, int32_t words) {
  const int32_t lane = static_cast<int32_t>(threadIdx.x) % kWarp;
  for (int32_t word = static_cast<int32_t>(threadIdx.x) / kWarp; word < words; word += kThreads / kWarp) {
    uint32_t peaks = 0;
    if (rule.may_have_peaks(word)) peaks = __ballot_sync(kWholeWarp, rule.is_peak(word * kWarp + lane));
    if (lane == 0) bits[word] = peaks;
  }
}

template <class Body>
__device__ void for_each_peak(const uint32_t* bits, int32_t words, const Body& body) {
  for (int32_t word = static_cast<int32_t>(threadIdx.x); word < words; word += kThreads) {
    for (uint32_t left = bits[word]; left != 0; left &= left - 1) body(word * kWarp + lowest_bit(left));
  }
}

// How many peaks of this thread rank at or above `lowest`.
template <class Rule>
struct CountFrom {
  const Rule& rule;
  uint64_t lowest;
  int32_t* count;
  __device__ void operator()(int32_t bit) const { *count += rule.rank(bit) >= lowest ? 1 : 0; }
};

template <class Rule>
struct Collect {
  const Rule& rule;
  uint64_t lowest;
  int32_t* list;
  int32_t* next;
  __device__ void operator()(int32_t bit) const {
    if (rule.rank(bit) >= lowest) list[atomicAdd(next, 1)] = bit;  // any order: they are sorted afterwards
  }
};

// The lowest rank among the first `capacity`, built bit by bit from the top: 64 counts, only in maps that overflow.
template <class Rule>
__device__ uint64_t lowest_kept(const Rule& rule, const uint32_t* bits, int32_t words, int32_t capacity) {
  uint64_t lowest = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const uint64_t higher = lowest | uint64_t{1} << bit;
    int32_t mine = 0;
    for_each_peak(bits, words, CountFrom<Rule>{rule, higher, &mine});
    if (block_sum<kThreads>(mine) >= capacity) lowest = higher;
  }
  return lowest;
}

template <class T>
__device__ int32_t count_nonfinite(const Map<T>& map) {
  int32_t mine = 0;
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < map.height * map.width; i += kThreads) {
    mine += map.key(i / map.width, i % map.width) == kNever;
  }
  return block_sum<kThreads>(mine);
}

template <class Rule>
__device__ void write_peaks(const Rule& rule, const PeakLists& out, uint32_t* bits, int32_t words, int64_t index) {
  PPF_DYNAMIC_SHARED(int32_t, list);  // [capacity]
  PPF_SHARED(int32_t, next);
  if (threadIdx.x == 0) next = 0;
  mark(rule, bits, words);
  __syncthreads();

  int32_t mine = 0;
  for_each_peak(bits, words, CountFrom<Rule>{rule, 0, &mine});
  const int32_t total = block_sum<kThreads>(mine);
  const int32_t kept = smaller(total, out.capacity);
  const uint64_t lowest = total > kept ? lowest_kept(rule, bits, words, kept) : 0;
  for_each_peak(bits, words, Collect<Rule>{rule, lowest, list, &next});
  __syncthreads();

  float* const xy = out.xy + index * out.capacity * 2;
  float* const score = out.score + index * out.capacity;
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < out.capacity; i += kThreads) {
    if (i >= kept) {
      xy[2 * i] = xy[2 * i + 1] = score[i] = 0.0f;
      continue;
    }
    const Pixel at = rule.pixel_of(list[i]);
    int32_t place = 0;
    for (int32_t j = 0; j < kept; ++j) place += rule.index_of(rule.pixel_of(list[j])) < rule.index_of(at) ? 1 : 0;
    const Place refined = rule.refined(at);
    xy[2 * place] = refined.x;
    xy[2 * place + 1] = refined.y;
    score[place] = rule.score(at);
  }
  if (threadIdx.x == 0) {
    out.count[index] = kept;
    out.total[index] = total;
  }
}

template <class T, template <class> class Rule>
__global__ void __launch_bounds__(kThreads)
    published_peaks_kernel(int32_t threshold_key, MapView maps, PeakLists out, uint32_t* scratch) {
  const int64_t index = blockIdx.x;
  const Rule<T> rule{map_at<T>(maps, index, false), threshold_key};
  const int32_t words = rule.words(maps.height, maps.width);
  const int32_t nonfinite = count_nonfinite(rule.map);
  if (threadIdx.x == 0) out.nonfinite[index] = nonfinite;
  write_peaks(rule, out, scratch + index * words, words, index);
}

template <template <class> class Rule>
void start(const PeakSpec& spec, const MapView& maps, const PeakLists& out, uint32_t* scratch, const Device& device) {
  const dim3 grid(static_cast<unsigned>(maps.n * maps.k));
  const std::size_t list = sizeof(int32_t) * static_cast<std::size_t>(out.capacity);
  if (maps.is_half) {
    launch("published_peaks", published_peaks_kernel<Half, Rule>, grid, dim3(kThreads), list, stream_of(device),
           spec.threshold_key, maps, out, scratch);
  } else {
    launch("published_peaks", published_peaks_kernel<float, Rule>, grid, dim3(kThreads), list, stream_of(device),
           spec.threshold_key, maps, out, scratch);
  }
}

}  // namespace

int64_t Launcher::published_peaks_scratch(PeakRule rule, const MapView& maps) {
  return rule == PeakRule::kOpenPose ? OpenPoseRule<float>::words(maps.height, maps.width)
                                     : TrtPoseRule<float>::words(maps.height, maps.width);
}

void Launcher::published_peaks(PeakRule rule, const PeakSpec& spec, const MapView& maps, const PeakLists& out,
                               uint32_t* scratch) const {
  const DeviceScope scope(device.index);
  if (rule == PeakRule::kOpenPose) {
    start<OpenPoseRule>(spec, maps, out, scratch, device);
  } else {
    start<TrtPoseRule>(spec, maps, out, scratch, device);
  }
}

}  // namespace ppf::kernels

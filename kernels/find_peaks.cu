// The local maxima of each map, best first: one block per map.
//
// Peaks are kept as bits, one per sample, in scratch memory: marking needs no order, and whoever needs the peaks in
// order (plateaus, ranking) gets it from the position of the bit. A word holds 32 neighbours of one row, so a warp
// marks a word with one ballot.
#include "core/blur.h"
#include "core/shoulders.h"
#include "kernels/block.cuh"
#include "kernels/launch.cuh"
#include "kernels/launch.h"

namespace ppf::kernels {
namespace {

constexpr int kThreads = 128;
constexpr int kBitmaps = 5;

struct Bitmaps {
  int32_t words_per_row;
  int32_t words;
  uint32_t* peaks;
  uint32_t* seeds;     // first samples of plateaus that may be hilltops
  uint32_t* walked;    // plateaus that are done
  uint32_t* plateau;   // the one being walked
  uint32_t* frontier;  // and the samples it is about to take in
};

__device__ inline Bitmaps bitmaps_of(uint32_t* scratch, int64_t index, int height, int width) {
  const int32_t words_per_row = (width + kWarp - 1) / kWarp;
  const int32_t words = words_per_row * height;
  uint32_t* const own = scratch + index * kBitmaps * words;
  return {words_per_row, words, own, own + words, own + 2 * words, own + 3 * words, own + 4 * words};
}

// First pass: every sample against its neighbours. Returns this thread's count of samples that are not finite.
template <class T>
__device__ int32_t mark(const PeakSpec& spec, const Map<T>& map, const Bitmaps& bits) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  int32_t nonfinite = 0;
  for (int32_t word = static_cast<int32_t>(threadIdx.x) / kWarp; word < bits.words; word += kThreads / kWarp) {
    const int y = word / bits.words_per_row, x = word % bits.words_per_row * kWarp + lane;
    bool is_peak = false, is_seed = false;
    if (x < map.width) {
      const int32_t key = map.key(y, x);
      nonfinite += key == kNever;
      if (key > spec.threshold_key) {
        const Neighbourhood around = look_around(map, y, x, key);
        is_peak = !around.has_greater && !around.has_equal;
        is_seed = !around.has_greater && around.has_equal && !around.has_earlier_equal;
      }
    }
    const uint32_t peaks = __ballot_sync(kWholeWarp, is_peak), seeds = __ballot_sync(kWholeWarp, is_seed);
    if (lane == 0) {
      bits.peaks[word] = peaks;
      bits.seeds[word] = seeds;
      bits.walked[word] = bits.plateau[word] = 0;
    }
  }
  return nonfinite;
}

// The first seed of a plateau that has not been walked, as a bit index (word * 32 + bit); INT32_MAX when there is none.
__device__ inline int32_t next_seed(const Bitmaps& bits) {
  Champion mine{0, INT32_MAX};
  for (int32_t word = static_cast<int32_t>(threadIdx.x); word < bits.words; word += kThreads) {
    const uint32_t left = bits.seeds[word] & ~bits.walked[word];
    if (left == 0) continue;
    mine.index = word * kWarp + __ffs(static_cast<int>(left)) - 1;
    break;
  }
  return block_best<kThreads>(mine).index;
}

// The plateau's samples and their neighbours in a word of one row, and in the rows above and below.
__device__ inline uint32_t widened_row(const uint32_t* row, int32_t word, int32_t words_per_row) {
  uint32_t wide = row[word] | row[word] << 1 | row[word] >> 1;
  if (word > 0) wide |= row[word - 1] >> 31;
  if (word + 1 < words_per_row) wide |= row[word + 1] << 31;
  return wide;
}

// Takes in all samples of the plateau that the seed belongs to; says whether it touches nothing higher.
template <class T>
__device__ bool is_hilltop(const Map<T>& map, const Bitmaps& bits, int32_t seed) {
  const int32_t seed_word = seed / kWarp;
  const int32_t key = map.key(seed_word / bits.words_per_row, seed_word % bits.words_per_row * kWarp + seed % kWarp);
  if (threadIdx.x == 0) bits.plateau[seed_word] = 1u << (seed % kWarp);
  __syncthreads();
  int32_t touches_higher = 0;
  for (;;) {
    int32_t grew = 0;
    for (int32_t word = static_cast<int32_t>(threadIdx.x); word < bits.words; word += kThreads) {
      const int y = word / bits.words_per_row, column = word % bits.words_per_row;
      const uint32_t* row = bits.plateau + y * bits.words_per_row;
      uint32_t around = widened_row(row, column, bits.words_per_row);
      if (y > 0) around |= widened_row(row - bits.words_per_row, column, bits.words_per_row);
      if (y + 1 < map.height) around |= widened_row(row + bits.words_per_row, column, bits.words_per_row);
      uint32_t next = 0;
      for (uint32_t left = around & ~row[column]; left != 0; left &= left - 1) {
        const int bit = __ffs(static_cast<int>(left)) - 1, x = column * kWarp + bit;
        if (x >= map.width || map.key(y, x) != key) continue;
        next |= 1u << bit;
        touches_higher |= look_around(map, y, x, key).has_greater ? 1 : 0;
      }
      bits.frontier[word] = next;
      grew |= next != 0 ? 1 : 0;
    }
    grew = block_sum<kThreads>(grew);
    for (int32_t word = static_cast<int32_t>(threadIdx.x); word < bits.words; word += kThreads) {
      bits.plateau[word] |= bits.frontier[word];
    }
    __syncthreads();
    if (grew == 0) break;
  }
  for (int32_t word = static_cast<int32_t>(threadIdx.x); word < bits.words; word += kThreads) {
    bits.walked[word] |= bits.plateau[word];
    bits.plateau[word] = 0;
  }
  return block_sum<kThreads>(touches_higher) == 0;
}

template <class T>
__device__ void resolve_plateaus(const Map<T>& map, const Bitmaps& bits) {
  for (int32_t seed = next_seed(bits); seed != INT32_MAX; seed = next_seed(bits)) {
    const bool hilltop = is_hilltop(map, bits, seed);
    if (hilltop && threadIdx.x == 0) bits.peaks[seed / kWarp] |= 1u << (seed % kWarp);
    __syncthreads();
  }
}

// Rank of a peak as one number: higher samples first, then earlier ones. No two peaks of a map share it.
template <class T>
__device__ uint64_t rank_of(const Map<T>& map, const Bitmaps& bits, int32_t word, int bit) {
  const int y = word / bits.words_per_row, x = word % bits.words_per_row * kWarp + bit;
  const uint32_t key = static_cast<uint32_t>(map.key(y, x)) ^ 0x80000000u;
  return static_cast<uint64_t>(key) << 32 | (0xffffffffu - static_cast<uint32_t>(y * map.width + x));
}

template <class T, class Body>
__device__ void for_each_peak(const Map<T>& map, const Bitmaps& bits, const Body& body) {
  for (int32_t word = static_cast<int32_t>(threadIdx.x); word < bits.words; word += kThreads) {
    for (uint32_t left = bits.peaks[word]; left != 0; left &= left - 1) {
      body(rank_of(map, bits, word, __ffs(static_cast<int>(left)) - 1));
    }
  }
}

struct CountFrom {
  uint64_t lowest;
  int32_t* count;
  __device__ void operator()(uint64_t rank) const { *count += rank >= lowest ? 1 : 0; }
};

struct Collect {
  uint64_t lowest;
  uint64_t* list;
  int32_t* next;
  __device__ void operator()(uint64_t rank) const {
    if (rank >= lowest) list[atomicAdd(next, 1)] = rank;  // any order: ranks are sorted afterwards
  }
};

// The lowest rank among the best `capacity`, built bit by bit from the top: 64 counts, only in maps that overflow.
template <class T>
__device__ uint64_t lowest_kept(const Map<T>& map, const Bitmaps& bits, int32_t capacity) {
  uint64_t lowest = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const uint64_t higher = lowest | uint64_t{1} << bit;
    int32_t mine = 0;
    for_each_peak(map, bits, CountFrom{higher, &mine});
    if (block_sum<kThreads>(mine) >= capacity) lowest = higher;
  }
  return lowest;
}

// The best peaks of a map by rank, and what was found beside each of them.
struct Ranked {
  int32_t* peak;      // [capacity] samples
  int32_t* shoulder;  // [capacity] samples, -1: there is none
  int32_t* is_own;    // [capacity] 1: no other peak explains the shoulder

  __device__ Ranked(int32_t* memory, int32_t capacity)
      : peak(memory), shoulder(memory + capacity), is_own(memory + 2 * capacity) {}
  static constexpr std::size_t kArrays = 3;
};

template <class T>
__device__ Blob blob_at(const Map<T>& map, int32_t sample) {
  return blob_of(map, sample / map.width, sample % map.width);
}

// Whether the shoulder of peak m is a joint of its own: no other blob reaches up to it, and no earlier peak has it.
template <class T>
__device__ bool is_own_joint(const Map<T>& map, const Ranked& ranked, int32_t peaks, int32_t m) {
  const int32_t at = ranked.shoulder[m];
  const Shoulder shoulder{at / map.width, at % map.width, 0.0f};
  const float sample = map.value(shoulder.y, shoulder.x);
  for (int32_t other = 0; other < peaks; ++other) {
    const int32_t peak = ranked.peak[other];
    if (other == m || !is_within_reach(peak / map.width, peak % map.width, shoulder)) continue;
    if (other < m && ranked.shoulder[other] == at) return false;
    if (!is_rise(sample - blob_at(map, peak).at(shoulder.y, shoulder.x), sample)) return false;
  }
  return true;
}

// As the CPU's: the shoulders of the first `peaks` entries, in their order, as far as there is room. Returns how many
// there are, right in thread 0.
template <class T>
__device__ int32_t append_shoulders(const PeakSpec& spec, const Map<T>& map, const Ranked& ranked, int32_t peaks,
                                    float* xy, float* score, int32_t capacity) {
  __syncthreads();  // the peaks are ranked and refined
  for (int32_t m = static_cast<int32_t>(threadIdx.x); m < peaks; m += kThreads) {
    const Shoulder shoulder = steepest_shoulder(spec, map, blob_at(map, ranked.peak[m]));
    ranked.shoulder[m] = shoulder.x < 0 ? -1 : shoulder.y * map.width + shoulder.x;
  }
  __syncthreads();
  for (int32_t m = static_cast<int32_t>(threadIdx.x); m < peaks; m += kThreads) {
    ranked.is_own[m] = ranked.shoulder[m] >= 0 && is_own_joint(map, ranked, peaks, m) ? 1 : 0;
  }
  __syncthreads();
  if (threadIdx.x != 0) return 0;
  int32_t entry = peaks;
  for (int32_t m = 0; m < peaks; ++m) {
    if (ranked.is_own[m] == 0 || entry++ >= capacity) continue;
    const Shoulder shoulder{ranked.shoulder[m] / map.width, ranked.shoulder[m] % map.width, 0.0f};
    const Place at = shoulder_place(map, shoulder, {xy[2 * m], xy[2 * m + 1]});
    xy[2 * entry - 2] = at.x;
    xy[2 * entry - 1] = at.y;
    score[entry - 1] = map.value(shoulder.y, shoulder.x);
  }
  return entry - peaks;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    find_peaks_kernel(PeakSpec spec, MapView maps, OffsetView offsets, PeakLists out, uint32_t* scratch) {
  PPF_DYNAMIC_SHARED(uint64_t, list);  // [capacity], and with spec.shoulders what `ranked` holds
  PPF_SHARED(int32_t, next);
  const int64_t index = blockIdx.x;
  const Map<T> map = map_at<T>(maps, index, spec.logits);
  const Bitmaps bits = bitmaps_of(scratch, index, map.height, map.width);
  const Ranked ranked(reinterpret_cast<int32_t*>(list + out.capacity), out.capacity);
  if (threadIdx.x == 0) next = 0;
  const int32_t nonfinite = block_sum<kThreads>(mark(spec, map, bits));
  resolve_plateaus(map, bits);

  int32_t mine = 0;
  for_each_peak(map, bits, CountFrom{0, &mine});
  const int32_t total = block_sum<kThreads>(mine);
  const int32_t kept = smaller(total, out.capacity);
  const uint64_t lowest = total > kept ? lowest_kept(map, bits, kept) : 0;
  for_each_peak(map, bits, Collect{lowest, list, &next});
  __syncthreads();

  float* const xy = out.xy + index * out.capacity * 2;
  float* const score = out.score + index * out.capacity;
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < out.capacity; i += kThreads) {
    if (i >= kept) {
      xy[2 * i] = xy[2 * i + 1] = score[i] = 0.0f;
      continue;
    }
    int32_t place = 0;
    for (int32_t j = 0; j < kept; ++j) place += list[j] > list[i] ? 1 : 0;
    const int32_t sample = static_cast<int32_t>(0xffffffffu - static_cast<uint32_t>(list[i]));
    const int y = sample / map.width, x = sample % map.width;
    const Place at = refine_peak(spec, map, offsets, index, maps.k, y, x);
    xy[2 * place] = at.x;
    xy[2 * place + 1] = at.y;
    score[place] = map.value(y, x);
    if (spec.shoulders) ranked.peak[place] = sample;
  }
  const int32_t shoulders = spec.shoulders ? append_shoulders(spec, map, ranked, kept, xy, score, out.capacity) : 0;
  if (threadIdx.x == 0) {
    out.count[index] = smaller(kept + shoulders, out.capacity);
    out.total[index] = total + shoulders;
    out.nonfinite[index] = nonfinite;
  }
}

}  // namespace

int64_t Launcher::find_peaks_scratch(const MapView& maps) {
  return int64_t{kBitmaps} * maps.height * ((maps.width + kWarp - 1) / kWarp);
}

void Launcher::find_peaks(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const PeakLists& out,
                          uint32_t* scratch) const {
  const DeviceScope scope(device.index);
  const dim3 grid(static_cast<unsigned>(maps.n * maps.k));
  const std::size_t entry = sizeof(uint64_t) + (spec.shoulders ? Ranked::kArrays * sizeof(int32_t) : 0);
  const std::size_t shared = entry * static_cast<std::size_t>(out.capacity);
  if (maps.is_half) {
    launch("find_peaks", find_peaks_kernel<Half>, grid, dim3(kThreads), shared, stream_of(device), spec, maps, offsets,
           out, scratch);
  } else {
    launch("find_peaks", find_peaks_kernel<float>, grid, dim3(kThreads), shared, stream_of(device), spec, maps, offsets,
           out, scratch);
  }
}

}  // namespace ppf::kernels

// Three small kernels of the kinds that pyposefast has, each of which can be built with one mistake in it. The emulator
// has to catch every mistake (test_planted.py), and to find nothing in the kernels without one.
#pragma once

#include <cstdint>

namespace ppf::planted {

// -DPPF_PLANTED=kMissingBarrier and so on.
enum class Mistake {
  kNone,
  kMissingBarrier,       // argmax: a result of another warp is read before it is written
  kMissingTileBarrier,   // box_sums: likewise, of the tile
  kReadPastEnd,          // argmax: more partial results are read than there are warps
  kReadPastDynamicEnd,   // compact: likewise in dynamic shared memory, where only AddressSanitizer can tell
  kWritePastEnd,         // box_sums: the tile is one row short
  kDivergentBarrier,     // argmax: two halves of a block meet at different barriers
  kMaskWithoutCaller,    // argmax: a shuffle's mask leaves lanes out that call it
  kMaskWithEndedLanes,   // compact: threads past the end return before a vote that names them
  kShuffleOutsideMask,   // argmax: a shuffle reads a lane that its mask does not name
  kUninitialisedShared,  // compact: a counter in shared memory is never set to zero
  kAtomicOrder,          // compact: atomics decide the order of the output
  kRaceBetweenBlocks,    // compact: a total that all blocks add to, without atomics
};

#ifndef PPF_PLANTED
#define PPF_PLANTED kNone
#endif
constexpr Mistake kPlanted = Mistake::PPF_PLANTED;

// maps [count, size] -> the largest sample of each and its index, the first of equal ones.
void argmax(const float* maps, int count, int size, float* value, int* index);

constexpr int kCompactThreads = 128;
// samples [size] -> for each block of kCompactThreads samples, in ascending order, the indices of those above the
// threshold at kept[block * kCompactThreads], their number kept_count[block]; and how many there are in all.
void compact(const float* samples, int size, float threshold, int* kept, int* kept_count, int* total);

// image [height, width] -> the sum over the 3x3 window of each pixel, zero outside.
void box_sums(const int* image, int height, int width, int* sums);

}  // namespace ppf::planted

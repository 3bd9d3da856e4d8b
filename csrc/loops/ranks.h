// Which of many candidates are the best, and in what order. Included by loops only, so each instruction set has its
// own.
#pragma once

#include <cstdint>
#include <cstring>

#include "loops/wide.h"

namespace ppf::loops::PPF_ISA {
namespace {

// Candidates are better by a larger key, among equal keys by a smaller index. No two have the same index. Arrays are
// read and written in whole vectors.
struct Candidates {
  int32_t *key, *index;
  int32_t* rank;  // how many are better
  int32_t count;
};

// The smallest value of the `wanted` largest. Built from its highest bit down, so that nothing has to be sorted.
int32_t last_of_largest(const int32_t* values, int32_t count, int32_t wanted) {
  uint32_t bound = static_cast<uint32_t>(INT32_MIN);
  for (uint32_t bit = uint32_t{1} << 31; bit != 0; bit >>= 1) {
    const int32_t higher = static_cast<int32_t>(bound + bit);
    int32_t at_least = 0;
    for (int32_t i = 0; i < count; ++i) at_least += values[i] >= higher;
    if (at_least >= wanted) bound += bit;
  }
  return static_cast<int32_t>(bound);
}

// Counts only the best. Behind these, the indices of the others remain.
void keep_best(Candidates& candidates, int32_t wanted) {
  int32_t *const key = candidates.key, *const index = candidates.index, *const spare = candidates.rank;
  const int32_t lowest = last_of_largest(key, candidates.count, wanted);
  int32_t above = 0;
  for (int32_t i = 0; i < candidates.count; ++i) {
    above += key[i] > lowest;
    spare[i] = key[i] == lowest ? -index[i] : INT32_MIN;
  }
  const int32_t last = -last_of_largest(spare, candidates.count, wanted - above);
  int32_t kept = 0, others = 0;
  for (int32_t i = 0; i < candidates.count; ++i) {
    const bool is_kept = key[i] > lowest || (key[i] == lowest && index[i] <= last);
    spare[others] = index[i];
    key[kept] = key[i];
    index[kept] = index[i];
    kept += is_kept;
    others += !is_kept;
  }
  std::memcpy(index + kept, spare, sizeof(int32_t) * static_cast<size_t>(others));
  candidates.count = kept;
}

// A loop without branches over all, for kWide of them at a time: for a few, faster than any way to sort.
void rank_all(const Candidates& candidates) {
  for (int32_t start = 0; start < candidates.count; start += kWide) {
    const WideInt key = load(candidates.key + start), index = load(candidates.index + start);
    WideInt better = {};
    for (int32_t i = 0; i < candidates.count; ++i) {
      const WideInt other = all_of(candidates.key[i]);
      better -= (other > key) | ((other == key) & (all_of(candidates.index[i]) < index));
    }
    store(better, candidates.rank + start);
  }
}

}  // namespace
}  // namespace ppf::loops::PPF_ISA

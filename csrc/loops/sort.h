// Sorts ranks (rank_of() in core/grouping.h): larger scores first, ties by index.
//
// Few are inserted one by one. Scores of many are spread over a range, and where in the range one lies tells nearly all
// of them apart in far fewer bits than its own. So they are sorted by that, in two passes, and then one look at
// neighbours puts right what was too near to be told apart. Where one score lies so far off that the rest seem to be
// one, that look would take too long; then all digits of the scores are sorted by.
#pragma once

#include <cstring>
#include <utility>

#include "core/grouping.h"
#include "loops/loops.h"

namespace ppf::loops::PPF_ISA {
namespace {

// How many came before, of each digit: counts become the places where the digits' keys begin.
template <int Digits>
void places_from_counts(uint32_t (&counts)[Digits]) {
  uint32_t next = 0;
  for (uint32_t& place : counts) next += std::exchange(place, next);
}

class RankSort {
 public:
  // `order` has indices in ascending order; `spare` has twice its room.
  RankSort(uint64_t* order, uint64_t* spare, int32_t count) : order_(order), spare_(spare), count_(count) {}

  void run() {
    if (count_ <= kFew) {
      insert_all();
    } else if (count_ > kMany || !sort_by_place()) {
      sort_by_digits();
    }
  }

 private:
  static constexpr int32_t kFew = 32, kMany = 1 << 16;
  static constexpr int kPlaceBits = 7, kPlaces = 1 << kPlaceBits;

  void insert_all() {
    for (int32_t i = 1; i < count_; ++i) insert(order_, order_[i], i);
  }

  // Inserts a key into the first `count` ones, which are in order; returns how many it goes before.
  static int32_t insert(uint64_t* to, uint64_t key, int32_t count) {
    int32_t at = count;
    for (; at > 0 && to[at - 1] > key; --at) to[at] = to[at - 1];
    to[at] = key;
    return count - at;
  }

  static int32_t key_of(uint64_t rank) { return static_cast<int32_t>(rank >> 32) ^ INT32_MAX; }

  // False when the places tell too few apart.
  bool sort_by_place() {
    int32_t least = key_of(order_[0]), most = least;
    for (int32_t i = 0; i < count_; ++i) {
      const int32_t key = key_of(order_[i]);
      least = smaller(least, key);
      most = larger(most, key);
    }
    const float top = value_of_key(most), scale = (kPlaces * kPlaces - 1) / (top - value_of_key(least));
    if (least == kNever || !is_finite(scale)) return false;
    // Words of place and index in `order`.
    uint32_t* const words = reinterpret_cast<uint32_t*>(spare_);
    uint32_t* const sorted = words + count_;
    for (int32_t i = 0; i < count_; ++i) {
      const float below = top - value_of_key(key_of(order_[i]));
      words[i] = static_cast<uint32_t>(static_cast<int32_t>(below * scale)) << 16 | static_cast<uint32_t>(i);
    }
    uint32_t low[kPlaces] = {}, high[kPlaces] = {};
    for (int32_t i = 0; i < count_; ++i) {
      ++low[words[i] >> 16 & (kPlaces - 1)];
      ++high[words[i] >> (16 + kPlaceBits)];
    }
    places_from_counts(low);
    places_from_counts(high);
    for (int32_t i = 0; i < count_; ++i) sorted[low[words[i] >> 16 & (kPlaces - 1)]++] = words[i];
    for (int32_t i = 0; i < count_; ++i) words[high[sorted[i] >> (16 + kPlaceBits)]++] = sorted[i];
    return put_right(words);
  }

  bool put_right(const uint32_t* words) {
    uint64_t* const result = spare_ + count_;
    uint64_t last = 0;
    int32_t moves = 8 * count_;
    for (int32_t i = 0; i < count_; ++i) {
      const uint64_t key = order_[words[i] & 0xffffu];
      if (key >= last) {
        result[i] = last = key;
      } else {
        moves -= insert(result, key, i);
        if (moves < 0) return false;
      }
    }
    std::memcpy(order_, result, sizeof(uint64_t) * static_cast<size_t>(count_));
    return true;
  }

  static uint32_t digit_of(uint64_t rank, int digit) { return static_cast<uint32_t>(rank >> (32 + 8 * digit)) & 255u; }

  // Each pass keeps the order of equal digits.
  void sort_by_digits() {
    uint32_t places[4][256] = {};
    for (int32_t i = 0; i < count_; ++i) {
      for (int digit = 0; digit < 4; ++digit) ++places[digit][digit_of(order_[i], digit)];
    }
    uint64_t *from = order_, *to = spare_;
    for (int digit = 0; digit < 4; ++digit) {
      uint32_t (&place)[256] = places[digit];
      if (place[digit_of(order_[0], digit)] == static_cast<uint32_t>(count_)) continue;  // the same in all
      places_from_counts(place);
      for (int32_t i = 0; i < count_; ++i) to[place[digit_of(from[i], digit)]++] = from[i];
      std::swap(from, to);
    }
    if (from != order_) std::memcpy(order_, from, sizeof(uint64_t) * static_cast<size_t>(count_));
  }

  uint64_t* order_;
  uint64_t* spare_;
  int32_t count_;
};

}  // namespace
}  // namespace ppf::loops::PPF_ISA

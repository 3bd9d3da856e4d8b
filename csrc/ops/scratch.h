// How the working memory of the CPU loops is laid out: one place for those who allocate it and those who use it.
#pragma once

#include <cstdint>

#include "core/peaks.h"
#include "core/published_peaks.h"

namespace ppf {

// Arrays are read and written in whole vectors.
constexpr int64_t kWholeVectors = 16;

// The CPU refines the peaks of several maps together, until there are this many.
constexpr int64_t kPeaksTogether = 64;

// On the CPU, per thread: lists of the tops of a map, a bit per sample, a stack of spans, and a table of peaks.
struct FindScratch {
  static constexpr int64_t kLists = 3, kColumns = 51;
  int64_t list, bits, stack, column;  // in 32-bit words

  FindScratch(const MapView& maps, int32_t capacity) {
    const int64_t height = maps.height, width = maps.width;
    list = (height + 1) / 2 * ((width + 1) / 2) + kWholeVectors;  // no two tops touch
    bits = (height + 4) * ((width + 35) / 32 + 1);  // with a border as wide as shoulders are far from peaks
    stack = height * width + height + 2;
    column = capacity + kPeaksTogether + kWholeVectors;
  }

  int64_t words() const { return kLists * list + bits + stack + kColumns * column; }
};

// The same for the published rules: the map with its border continued, what each column of blocks mixes, a byte per
// block of a row, and a shortlist.
struct PublishedScratch {
  int64_t padded = 0, columns = 0, flags = 0, shortlist = 0;  // in 32-bit words

  PublishedScratch(PeakRule rule, const MapView& maps, int32_t capacity) {
    if (rule != PeakRule::kOpenPose) return;
    const int64_t width = int64_t{maps.width} + 4;
    padded = (int64_t{maps.height} + 4) * width;
    columns = 3 * width;
    flags = (int64_t{maps.width} + 4) / 4;
    shortlist = 2 * static_cast<int64_t>(capacity);
  }

  int64_t words() const { return padded + columns + flags + shortlist; }
};

// On the CPU, per thread, for the limbs of one field: both ends of each candidate, and lists of pairs, with room
// to work in whole vectors.
inline int64_t pair_words(int32_t capacity) { return static_cast<int64_t>(capacity) * capacity + 64; }
inline int64_t end_words(int32_t capacity) { return static_cast<int64_t>(capacity) + 16; }
inline int64_t limb_words(int32_t capacity) { return 8 * end_words(capacity) + 4 * pair_words(capacity); }

}  // namespace ppf

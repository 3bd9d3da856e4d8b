// How the working memory of the CPU loops is laid out: one place for those who allocate it and those who use it.
#pragma once

#include <cstdint>

#include "core/limbs.h"
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

// On the CPU, per thread, for the limbs of one image: where the candidates of each joint are, the directions of the
// fields at the ends of some limbs, and a list of pairs. All in whole vectors, with room to write past the end.
struct LimbScratch {
  static constexpr int32_t kEnds = 1024, kPairs = 512, kPastEnd = 16, kAtOnce = kPastEnd * kFewCandidates;

  int32_t places, ends, pairs;  // entries of the lists

  explicit LimbScratch(int32_t capacity) {
    const int32_t joint = (capacity + kPastEnd - 1) / kPastEnd * kPastEnd;
    places = kMaxJoints * joint;
    ends = kEnds + 2 * joint + kPastEnd;
    pairs = kPairs + kAtOnce + 2 * kPastEnd;
  }

  int64_t words() const { return int64_t{3} * places + 4 * ends + 12 * pairs; }
};

inline int64_t limb_words(int32_t capacity) { return LimbScratch(capacity).words(); }

}  // namespace ppf

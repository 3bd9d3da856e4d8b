// How the working memory of find_peaks is laid out: one place for those who allocate it and those who use it.
#pragma once

#include <cstdint>

#include "core/peaks.h"

namespace ppf {

// On the CPU, per thread: a shortlist, a bit per sample and a stack with room for every sample.
struct FindScratch {
  int64_t shortlist, bits, stack;  // in 32-bit words

  FindScratch(const MapView& maps, int32_t capacity) {
    const int64_t samples = static_cast<int64_t>(maps.height) * maps.width;
    shortlist = 2 * static_cast<int64_t>(capacity);
    bits = (samples + 31) / 32;
    stack = samples;
  }

  int64_t words() const { return shortlist + bits + stack; }
};

}  // namespace ppf

// Checks that several ops share.
#pragma once

#include <cstdint>
#include <string>

#include "core/peaks.h"
#include "core/published_peaks.h"
#include "ops/device.h"
#include "ops/error.h"

namespace ppf::ops {

inline void check_number(const char* argument, int64_t value, int64_t most) {
  if (value < 1 || value > most) {
    throw InputError(argument, "a number from 1 to " + std::to_string(most), std::to_string(value));
  }
}

// Of lists that have been in the caller's hands. Only on the CPU: on a device nobody can look without waiting.
inline void check_counts(const char* argument, const int32_t* counts, int64_t lists, int32_t capacity) {
  for (int64_t i = 0; i < lists; ++i) {
    if (counts[i] < 0 || counts[i] > capacity) {
      throw InputError(argument, "numbers from 0 to " + std::to_string(capacity), std::to_string(counts[i]));
    }
  }
}

inline void check_scratch(int64_t given, int64_t wanted) {
  if (given < wanted) {
    throw InputError("scratch", std::to_string(wanted) + " elements", std::to_string(given));
  }
}

// At least one sample, and few enough of them for raster indices of 32 bits.
void check_maps(const MapView& maps, const Device& device, const char* argument = "maps");

// What the published rules count fits 32 bits too.
void check_published(PeakRule rule, const MapView& maps, const char* argument);

}  // namespace ppf::ops

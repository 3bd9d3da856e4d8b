// The peaks of a few maps with what is known of them, one array per quantity, so that loops over them become vector
// code. Included by loops only, so each instruction set has its own.
#pragma once

#include <cstdint>

#include "core/shoulders.h"
#include "ops/scratch.h"

namespace ppf::loops::PPF_ISA {
namespace {

struct PeakTable {
  int32_t *y, *x;
  float* score;
  float *west, *east, *north, *south;  // the samples beside them
  float *place_y, *place_x;
  Flanks *flanks_x, *flanks_y;   // of their blobs
  uint32_t* inside;             // which samples around them are in the map
  int32_t *shoulder, *leans_on;  // those of one map: their samples and their peaks
  int32_t count = 0;

  PeakTable(uint32_t* scratch, int64_t column) {
    const auto floats = [&](int which) { return reinterpret_cast<float*>(scratch + which * column); };
    const auto integers = [&](int which) { return reinterpret_cast<int32_t*>(scratch + which * column); };
    y = integers(0), x = integers(1), score = floats(2);
    west = floats(3), east = floats(4), north = floats(5), south = floats(6);
    place_y = floats(7), place_x = floats(8);
    flanks_x = reinterpret_cast<Flanks*>(floats(9)), flanks_y = reinterpret_cast<Flanks*>(floats(11));
    shoulder = integers(13), leans_on = integers(14);
    inside = scratch + 15 * column;
    static_assert(FindScratch::kColumns == 16, "one for each of these words");
  }

  template <class T>
  void set(int32_t m, const Map<T>& map, int32_t at_y, int32_t at_x) const {
    const Beside samples = beside(map, at_y, at_x);
    y[m] = at_y;
    x[m] = at_x;
    score[m] = map.value(at_y, at_x);
    west[m] = samples.west;
    east[m] = samples.east;
    north[m] = samples.north;
    south[m] = samples.south;
  }

  Blob blob(int32_t m) const { return {x[m], y[m], score[m], flanks_x[m], flanks_y[m]}; }
};

}  // namespace
}  // namespace ppf::loops::PPF_ISA

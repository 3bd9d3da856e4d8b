// Which samples of a map are its local maxima, in whatever way finds them first. Included by loops only, so each
// instruction set has its own.
#pragma once

#include <cstdint>

#include "loops/slices.h"

namespace ppf::loops::PPF_ISA {
namespace {

// Any map. Returns how many samples are not finite, and whether a top has an equal neighbour.
template <class T>
int32_t examine_all(const PeakSpec& spec, const Map<T>& map, Tops& tops, bool& has_plateaus) {
  int32_t nonfinite = 0;
  for (int y = 0; y < map.height; ++y) {
    for (int x = 0; x < map.width; ++x) {
      const int32_t key = map.key(y, x);
      nonfinite += key == kNever;
      if (key <= spec.threshold_key) continue;
      const Neighbourhood around = look_around(map, y, x, key);
      if (around.has_greater || around.has_earlier_equal) continue;
      has_plateaus |= around.has_equal;
      tops.add(y * map.width + x, key);
    }
  }
  return nonfinite;
}

// So far, a top is a sample without a greater neighbour or an earlier equal one: of a plateau, one or several. Leaves
// one for each plateau that is a hilltop.
template <class T>
void resolve_plateaus(const Map<T>& map, Tops& tops, Plateaus& plateaus) {
  const int32_t count = tops.count;
  tops.count = 0;
  for (int32_t i = 0; i < count; ++i) {
    const int32_t index = tops.index[i], key = tops.key[i];
    const int y = index / map.width, x = index % map.width;
    const bool is_alone = !look_around(map, y, x, map.key(y, x)).has_equal;
    const int32_t first = is_alone ? index : plateaus.first_of_hilltop(map, y, x, map.key(y, x));
    if (first >= 0) tops.add(first, key);
  }
}

// Whether reading a map as it lies in memory is faster than row by row: where rows begin anywhere, most vectors of a
// row touch two cache lines. Not in the baseline, where the larger of two integers takes several instructions.
template <class T>
bool reads_faster_flat(const Map<T>& map) {
  return kWide > 4 && map.stride_x == 1 && map.stride_y == map.width && map.width % kWide != 0;
}

// Of such a map, whether all samples are finite and none is above the threshold, which is not negative.
template <class T>
bool has_none_above(const PeakSpec& spec, const Map<T>& map) {
  LaneExtremes<T> lanes;
  lanes.take(map.data, map.height * map.width);
  const auto largest = lanes.top(lanes.largest);
  return largest < Raw<T>::kInfinity && largest <= raw_threshold<T>(spec);
}

// False when the map cannot be searched in this way.
template <class Finder, class T>
bool find_quickly(const PeakSpec& spec, const Map<T>& map, Tops& tops, bool& has_plateaus) {
  Finder finder(spec, map, tops);
  if (!Finder::can_read(spec, map) || !finder.run()) return false;
  has_plateaus = finder.has_plateaus();
  tops.is_complete = !has_plateaus;
  return true;
}

// Returns how many samples are not finite. expects_none: what it takes depends on this, what it finds does not.
template <class T>
int32_t find_tops(const PeakSpec& spec, const Map<T>& map, bool expects_none, Tops& tops, Plateaus& plateaus) {
  if (expects_none && spec.threshold_key >= 0 && reads_faster_flat(map) && has_none_above(spec, map)) return 0;
  int32_t nonfinite = 0;
  bool has_plateaus = false;
  const bool is_found = CrestFinder<T>::can_read(spec, map)
                            ? find_quickly<CrestFinder<T>>(spec, map, tops, has_plateaus)
                            : find_quickly<TopFinder<T>>(spec, map, tops, has_plateaus);
  if (!is_found) {
    tops.count = 0;
    nonfinite = examine_all(spec, map, tops, has_plateaus);
  }
  if (has_plateaus) resolve_plateaus(map, tops, plateaus);
  return nonfinite;
}

}  // namespace
}  // namespace ppf::loops::PPF_ISA

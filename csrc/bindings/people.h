// What the bindings of limbs, grouping and part affinity decoding have in common.
#pragma once

#include <cstdint>

#include "bindings/arguments.h"
#include "bindings/maps.h"
#include "bindings/settings.h"
#include "ops/ops.h"

namespace ppf::bindings {

template <>
struct Settings<LimbSpec> {
  static constexpr const char* kName = "pyposefast.LimbSpec";
};
template <>
struct Settings<GroupSpec> {
  static constexpr const char* kName = "pyposefast.GroupSpec";
};

// The arrays that people are written into. They stay imported for as long as this lives, so that who decodes frame
// after frame into the same ones imports them once.
struct PeopleArrays {
  Array xy, score, peak, person_score, count, total, dropped, nonfinite;

  // For N images of up to `capacity` people with K joints.
  PeopleLists lists(int64_t n, int64_t k, int32_t capacity) const {
    PeopleLists out;
    out.xy = result<float, 4>(xy, {n, capacity, k, 2});
    out.score = result<float, 3>(score, {n, capacity, k});
    out.peak = result<int32_t, 3>(peak, {n, capacity, k});
    out.person_score = result<float, 2>(person_score, {n, capacity});
    out.count = result<int32_t, 1>(count, {n});
    out.total = result<int32_t, 1>(total, {n});
    out.dropped = result<int32_t, 1>(dropped, {n});
    out.nonfinite = result<int32_t, 1>(nonfinite, {n});
    out.capacity = capacity;
    return out;
  }

  void require_no_overlap(const Array& input) const {
    for (const Array* out : {&xy, &score, &peak, &person_score, &count, &total, &dropped, &nonfinite}) {
      bindings::require_no_overlap(*out, input);
    }
  }
};
template <>
struct Settings<PeopleArrays> {
  static constexpr const char* kName = "pyposefast.PeopleArrays";
};

}  // namespace ppf::bindings

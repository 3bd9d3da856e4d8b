// Eight sums or minima that advance side by side, as one vector where there are vectors. Written as a loop over eight
// floats, GCC vectorises the loop around it instead and adds up each register in order, at a quarter of the speed.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace ppf {

constexpr int kLaneCount = 8;

struct Lanes {
#if defined(__CUDACC__)
  float value[kLaneCount] = {};
#else
  typedef float Vector __attribute__((vector_size(4 * kLaneCount)));
  Vector value = {};
#endif

  // Lane i takes in weight * from[i].
  PPF_HD void add(float weight, const float* from) {
#if defined(__CUDACC__)
    for (int i = 0; i < kLaneCount; ++i) value[i] += weight * from[i];
#else
    Vector vector;
    __builtin_memcpy(&vector, from, sizeof vector);
    value += weight * vector;
#endif
  }

  // Lane i takes in weight[i] * from[i].
  PPF_HD void add(const float* weight, const float* from) {
#if defined(__CUDACC__)
    for (int i = 0; i < kLaneCount; ++i) value[i] += weight[i] * from[i];
#else
    Vector weights, vector;
    __builtin_memcpy(&weights, weight, sizeof weights);
    __builtin_memcpy(&vector, from, sizeof vector);
    value += weights * vector;
#endif
  }

  // The same for the first `count` lanes. All eight are read.
  PPF_HD void add_first(int count, const float* weight, const float* from) {
#if defined(__CUDACC__)
    for (int i = 0; i < kLaneCount; ++i) value[i] += i < count ? weight[i] * from[i] : 0.0f;
#else
    typedef int32_t Numbers __attribute__((vector_size(4 * kLaneCount)));
    Vector weights, vector;
    __builtin_memcpy(&weights, weight, sizeof weights);
    __builtin_memcpy(&vector, from, sizeof vector);
    const Numbers numbers = {0, 1, 2, 3, 4, 5, 6, 7};
    value += numbers < count ? weights * vector : Vector{};
#endif
  }

  // In pairs four lanes apart, then two, then one.
  PPF_HD float sum() const {
    float half[4];
    for (int i = 0; i < 4; ++i) half[i] = value[i] + value[i + 4];
    return (half[0] + half[2]) + (half[1] + half[3]);
  }

  PPF_HD void store(float* to) const {
    for (int i = 0; i < kLaneCount; ++i) to[i] = value[i];
  }
};

// For the smallest of many doubles, none of them NaN; infinity of none at all.
struct Minima {
#if defined(__CUDACC__)
  double value[kLaneCount];
#else
  typedef double Vector __attribute__((vector_size(8 * kLaneCount)));
  Vector value;
#endif

  PPF_HD Minima() {
    for (int i = 0; i < kLaneCount; ++i) value[i] = __builtin_huge_val();
  }

  PPF_HD void add(const double* from) {
#if defined(__CUDACC__)
    for (int i = 0; i < kLaneCount; ++i) value[i] = from[i] < value[i] ? from[i] : value[i];
#else
    Vector vector;
    __builtin_memcpy(&vector, from, sizeof vector);
    value = vector < value ? vector : value;
#endif
  }

  PPF_HD double smallest() const {
    double least = value[0];
    for (int i = 1; i < kLaneCount; ++i) least = value[i] < least ? value[i] : least;
    return least;
  }
};

}  // namespace ppf

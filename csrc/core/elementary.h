// Elementary functions written out in +, -, *, / and integer steps. The libraries' log and exp differ in the last bit
// between processors, and a different bit can become a different decision; these give the same bits everywhere.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace ppf {

constexpr float kInfinity = __builtin_huge_valf();
constexpr float kLargest = 3.4028235e38f;  // that is finite
constexpr float kNan = __builtin_nanf("");

union FloatBits {
  float value;
  int32_t bits;
};

PPF_HD int32_t bits_of(float value) {
  FloatBits pun;
  pun.value = value;
  return pun.bits;
}

PPF_HD float float_of(int32_t bits) {
  FloatBits pun;
  pun.bits = bits;
  return pun.value;
}

constexpr int32_t kMagnitude = 0x7fffffff;
constexpr int32_t kInfinityBits = 0x7f800000;

PPF_HD bool is_finite(float value) { return (bits_of(value) & kMagnitude) < kInfinityBits; }
PPF_HD float absolute(float value) { return float_of(bits_of(value) & kMagnitude); }
PPF_HD int smaller(int a, int b) { return a < b ? a : b; }
PPF_HD int larger(int a, int b) { return a > b ? a : b; }
PPF_HD int clamp_to(int value, int low, int high) { return value < low ? low : (value > high ? high : value); }

// Of a word that is not 0. nvcc compiles a function twice, and only the device has __ffs.
PPF_HD int lowest_bit(uint32_t word) {
#if defined(__CUDA_ARCH__)
  return __ffs(static_cast<int>(word)) - 1;
#else
  return __builtin_ctz(word);
#endif
}

// Nearest integer, halves to even, for |value| < 2^22. Adding 1.5 * 2^23 leaves no bit for a fraction.
PPF_HD int round_to_even(float value) { return bits_of(value + 12582912.0f) - 0x4b400000; }

// Natural logarithm of a finite value > 0, within 2 ulp. With m in [sqrt(1/2), sqrt(2)) and s = (m - 1) / (m + 1),
// log m = 2 (s + s^3/3 + s^5/5 + ...); the first term left out is below 3e-9 of the result.
PPF_HD float log_of(float value) {
  int32_t bits = bits_of(value);
  int32_t exponent = 0;
  if (bits < 0x00800000) {  // a denormal is its bits times 2^-149; read so, flush-to-zero cannot lose it
    bits = bits_of(static_cast<float>(bits));
    exponent = -149;
  }
  constexpr int32_t kSqrtHalf = 0x3f3504f3;
  const int32_t above = bits - kSqrtHalf;
  exponent += above >> 23;
  const float m = float_of((above & 0x007fffff) + kSqrtHalf);
  const float s = (m - 1.0f) / (m + 1.0f);
  const float s2 = s * s;
  const float series = s2 * (1.0f / 3 + s2 * (1.0f / 5 + s2 * (1.0f / 7 + s2 * (1.0f / 9))));
  const float e = static_cast<float>(exponent);
  // ln 2 in two parts: the first has so few bits that its product with an exponent is exact.
  return e * 0.693359375f + (2.0f * s + (2.0f * s * series + e * -2.12194440e-4f));
}

// e to the power of value, within 2 ulp; 0 below -87.3 and infinity above 88.7.
PPF_HD float exp_of(float value) {
  if (!(value > -87.33f)) return value != value ? value : 0.0f;
  if (value > 88.72f) return kInfinity;
  const int k = round_to_even(value * 1.44269504f);
  const float n = static_cast<float>(k);
  const float r = (value - n * 0.693359375f) - n * -2.12194440e-4f;  // |r| <= ln(2) / 2
  float p = 1.0f + r * (1.0f / 7);  // the Taylor series from its end; the first term left out is below 6e-9
  for (int term = 6; term > 0; --term) p = 1.0f + r * p / static_cast<float>(term);
  const int half = k / 2;  // in two steps, since 2^k itself may not be a float
  return p * float_of((half + 127) << 23) * float_of((k - half + 127) << 23);
}

// Correctly rounded on every processor, as IEEE 754 asks.
PPF_HD float square_root(float value) {
#if defined(__CUDACC__)
  return sqrtf(value);
#else
  return __builtin_sqrtf(value);
#endif
}

PPF_HD float sigmoid(float logit) { return 1.0f / (1.0f + exp_of(-logit)); }

}  // namespace ppf

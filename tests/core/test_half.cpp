// float16 conversions against the definition of the format, over every float16 and over every float32 boundary.
#include "core/half.h"

#include <cmath>
#include <cstdint>
#include <vector>

#include "check.h"

namespace {

using ppf::bits_of;
using ppf::float_of;
using ppf::Half;
using ppf::to_float;
using ppf::to_half;

Half half_of(int bits) { return {static_cast<uint16_t>(bits)}; }

// IEEE 754: (-1)^sign * 2^(exponent - 15) * (1 + fraction / 1024), without the one and at exponent 1 for denormals.
double defined_value(int bits) {
  const int exponent = (bits >> 10) & 0x1f;
  const int fraction = bits & 0x3ff;
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

bool is_finite_half(int bits) { return (bits & 0x7c00) != 0x7c00; }

}  // namespace

TEST(half_widening_is_exact) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    if (!is_finite_half(bits)) continue;
    const float wide = to_float(half_of(bits));
    CHECK(static_cast<double>(wide) == defined_value(bits));
    CHECK(std::signbit(wide) == ((bits & 0x8000) != 0));  // also of zero
  }
}

TEST(half_infinities_and_nans_stay_what_they_are) {
  CHECK(bits_of(to_float(half_of(0x7c00))) == 0x7f800000);
  CHECK(static_cast<uint32_t>(bits_of(to_float(half_of(0xfc00)))) == 0xff800000u);
  for (int bits = 0x7c01; bits < 0x8000; ++bits) CHECK(std::isnan(to_float(half_of(bits))));
  CHECK(to_half(float_of(0x7f800000)).bits == 0x7c00);
  CHECK(to_half(-float_of(0x7f800000)).bits == 0xfc00);
  CHECK(to_half(float_of(0x7fc00000)).bits == 0x7e00);
  CHECK(to_half(float_of(0x7f800001)).bits == 0x7e00);  // a payload that narrowing cuts away must not become infinity
}

TEST(half_round_trip_keeps_every_bit) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const int quiet = is_finite_half(bits) || (bits & 0x3ff) == 0 ? bits : bits | 0x0200;
    CHECK(to_half(to_float(half_of(bits))).bits == quiet);
  }
}

TEST(half_narrowing_rounds_to_nearest_even) {
  // Between any two neighbours there are three cases: below the middle, the middle itself, and above it.
  for (int bits = 0; bits < 0x7bff; ++bits) {
    const float low = to_float(half_of(bits));
    const float high = to_float(half_of(bits + 1));
    const float middle = low + (high - low) * 0.5f;  // exact: float32 has 13 more bits
    const int even = (bits & 1) == 0 ? bits : bits + 1;
    CHECK(to_half(middle).bits == even);
    CHECK(to_half(float_of(bits_of(middle) - 1)).bits == bits);
    CHECK(to_half(float_of(bits_of(middle) + 1)).bits == bits + 1);
    CHECK(to_half(-middle).bits == (even | 0x8000));
  }
}

TEST(half_overflow_and_underflow) {
  CHECK(to_half(65504.0f).bits == 0x7bff);
  CHECK(to_half(65519.996f).bits == 0x7bff);
  CHECK(to_half(65520.0f).bits == 0x7c00);
  CHECK(to_half(3.4e38f).bits == 0x7c00);
  CHECK(to_half(-3.4e38f).bits == 0xfc00);
  CHECK(to_half(std::ldexp(1.0f, -25)).bits == 0);  // the middle of 0 and the smallest: to even
  CHECK(to_half(std::ldexp(1.0f, -25) * 1.0001f).bits == 1);
  CHECK(to_half(float_of(1)).bits == 0);  // the smallest float32
  CHECK(to_half(-float_of(1)).bits == 0x8000);
}

TEST(half_loops_agree_with_single_conversions) {
  // The vector form of a loop must give what one conversion at a time gives.
  std::vector<Half> halves(0x10000), narrowed(0x10000);
  std::vector<float> wide(0x10000);
  for (int bits = 0; bits < 0x10000; ++bits) halves[bits] = half_of(bits);
  for (int i = 0; i < 0x10000; ++i) wide[i] = to_float(halves[i]);
  for (int i = 0; i < 0x10000; ++i) narrowed[i] = to_half(wide[i]);
  for (int i = 0; i < 0x10000; ++i) {
    volatile uint16_t opaque = halves[i].bits;
    const float one = to_float(half_of(opaque));
    CHECK(bits_of(one) == bits_of(wide[i]));
    CHECK(to_half(one).bits == narrowed[i].bits);
  }
}

// float16 (IEEE binary16) as storage: samples are widened when read and narrowed when written, never computed with.
// Written in integer steps and selects, so that loops over it become vector code on any processor, and so that every
// processor gives the same bits, whatever its rounding of denormals.
#pragma once

#include <cstdint>

#include "core/elementary.h"
#include "core/host_device.h"

namespace ppf {

struct Half {
  uint16_t bits;
};

// Exact: every float16 is a float32. A NaN keeps its payload.
PPF_HD float to_float(Half half) {
  const int32_t sign = static_cast<int32_t>(static_cast<uint32_t>(half.bits & 0x8000) << 16);
  const int32_t magnitude = (half.bits & 0x7fff) << 13;  // exponent and fraction where a float32 has them
  constexpr int32_t kExponent = 0x1f << 23;
  constexpr int32_t kRebias = (127 - 15) << 23;
  const int32_t exponent = magnitude & kExponent;
  // The exponent that means "infinite or NaN" is rebiased twice: 31 + 112 + 112 = 255.
  const int32_t normal = magnitude + kRebias + (exponent == kExponent ? kRebias : 0);
  // A denormal has no leading one. Given one, at the smallest normal exponent, it is a normal number that is too large
  // by exactly that smallest number (2^-14).
  constexpr int32_t kSmallest = kRebias + (1 << 23);
  const int32_t denormal = bits_of(float_of(magnitude + kSmallest) - float_of(kSmallest));
  return float_of((exponent == 0 ? denormal : normal) | sign);
}

// The nearest float16, halves to even; past 65520 infinity. A NaN stays one, quiet, with the top of its payload.
PPF_HD Half to_half(float value) {
  const int32_t bits = bits_of(value);
  const int32_t sign = static_cast<int32_t>(static_cast<uint32_t>(bits) >> 16) & 0x8000;
  const int32_t magnitude = bits & kMagnitude;
  constexpr int32_t kRebias = (127 - 15) << 23;
  constexpr int32_t kInfinityHalf = 0x7c00;
  // Half of the last kept bit, less one when that bit is even. A carry into the exponent is the right answer.
  const int32_t rounded = (magnitude - kRebias + 0x0fff + ((magnitude >> 13) & 1)) >> 13;
  const int32_t normal = rounded < kInfinityHalf ? rounded : kInfinityHalf;
  // Below 2^-14 results are multiples of 2^-24, which is the last bit of a float32 in [0.5, 1): the addition rounds. A
  // denormal float32 gives 0, flushed or not.
  const int32_t denormal = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
  const int32_t nan = kInfinityHalf | 0x0200 | ((magnitude >> 13) & 0x01ff);
  constexpr int32_t kSmallestNormal = (127 - 14) << 23;
  const int32_t finite = magnitude < kSmallestNormal ? denormal : normal;
  return {static_cast<uint16_t>((magnitude > kInfinityBits ? nan : finite) | sign)};
}

}  // namespace ppf

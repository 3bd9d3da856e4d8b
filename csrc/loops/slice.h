// As many 32-bit numbers side by side as a register holds. Compilers take wider vectors apart into single numbers
// wherever two are compared.
#pragma once

#include <cstdint>
#include <cstring>

#include "loops/scan.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace ppf::loops::PPF_ISA {
namespace {

typedef Vector<float>::Values Slice;
constexpr int kSlice = Vector<float>::kWidth;

// Volatile, or GCC folds the load into each of its uses, and reads everything twice.
template <class Number>
Slice load_slice(const Number* numbers) {
  typedef Number Numbers __attribute__((vector_size(sizeof(Number) * kSlice), aligned(sizeof(Number)), may_alias));
  return __builtin_convertvector(*reinterpret_cast<const volatile Numbers*>(numbers), Slice);
}

inline void store_slice(const Slice& slice, int32_t* to) { std::memcpy(to, &slice, sizeof slice); }

inline Slice slice_of(int32_t value) { return Slice{} + value; }

inline Slice larger_slice(const Slice& a, const Slice& b) { return a > b ? a : b; }

inline Slice lane_numbers() {
  Slice numbers;
  for (int i = 0; i < kSlice; ++i) numbers[i] = i;
  return numbers;
}

// The numbers one lane further up or down, and `end` in the lane that this leaves.
inline Slice moved_up(const Slice& slice, int32_t end) {
  return __builtin_shuffle(slice, slice_of(end), lane_numbers() > 0 ? lane_numbers() - 1 : slice_of(kSlice));
}

inline Slice moved_down(const Slice& slice, int32_t end) {
  return __builtin_shuffle(slice, slice_of(end), lane_numbers() + 1);
}

#if !defined(__AVX512BW__)
// Bit i: lane i of a comparison is true.
inline uint32_t lanes_of(const Slice& is_true) {
#if defined(__AVX2__)
  return static_cast<uint32_t>(_mm256_movemask_ps(reinterpret_cast<const __m256&>(is_true)));
#elif defined(__SSE2__)
  return static_cast<uint32_t>(_mm_movemask_ps(reinterpret_cast<const __m128&>(is_true)));
#else
  const Slice bits = is_true & Slice{1, 2, 4, 8};
  return static_cast<uint32_t>(bits[0] | bits[1] | bits[2] | bits[3]);
#endif
}
#endif

// Bit i: a[i] > b[i], for those of the wanted lanes.
inline uint32_t lanes_above(const Slice& a, const Slice& b, uint32_t wanted = ~0u) {
#if defined(__AVX512BW__)
  return _mm512_mask_cmpgt_epi32_mask(static_cast<__mmask16>(wanted), reinterpret_cast<const __m512i&>(a),
                                      reinterpret_cast<const __m512i&>(b));
#else
  return lanes_of(a > b) & wanted;
#endif
}

// Bit i: a[i] >= b[i], for those of the wanted lanes.
inline uint32_t lanes_at_least(const Slice& a, const Slice& b, uint32_t wanted = ~0u) {
#if defined(__AVX512BW__)
  return _mm512_mask_cmpge_epi32_mask(static_cast<__mmask16>(wanted), reinterpret_cast<const __m512i&>(a),
                                      reinterpret_cast<const __m512i&>(b));
#else
  return lanes_of(a >= b) & wanted;
#endif
}

// Writes the numbers whose bit is set, one after the other, and returns how many. There is room for kSlice.
inline int32_t pick_lanes(const Slice& numbers, uint32_t lanes, int32_t* to) {
#if defined(__AVX512BW__)
  _mm512_storeu_si512(
      to, _mm512_maskz_compress_epi32(static_cast<__mmask16>(lanes), reinterpret_cast<const __m512i&>(numbers)));
  return __builtin_popcount(lanes);
#else
  int32_t count = 0;
  for (; lanes != 0; lanes &= lanes - 1) to[count++] = numbers[__builtin_ctz(lanes)];
  return count;
#endif
}

}  // namespace
}  // namespace ppf::loops::PPF_ISA

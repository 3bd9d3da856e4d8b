// Sixteen samples side by side. Compilers make vector code of the rest by themselves; what they do not find is that a
// comparison of vectors fits into a word, and that is what looking for the few samples that matter is made of.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace ppf::loops::PPF_ISA {
namespace {

constexpr int kStrip = 16;

typedef int32_t Strip __attribute__((vector_size(4 * kStrip)));

typedef float FloatStrip __attribute__((vector_size(4 * kStrip)));

inline FloatStrip load_strip(const float* samples) {
  FloatStrip strip;
  std::memcpy(&strip, samples, sizeof strip);
  return strip;
}

inline Strip load_strip(const int32_t* samples) {
  Strip strip;
  std::memcpy(&strip, samples, sizeof strip);
  return strip;
}

inline Strip load_strip(const int16_t* samples) {
  typedef int16_t Halves __attribute__((vector_size(2 * kStrip)));
  Halves halves;
  std::memcpy(&halves, samples, sizeof halves);
  return __builtin_convertvector(halves, Strip);
}

inline Strip load_strip(const uint8_t* samples) {
  typedef uint8_t Bytes __attribute__((vector_size(kStrip)));
  Bytes bytes;
  std::memcpy(&bytes, samples, sizeof bytes);
  return __builtin_convertvector(bytes, Strip);
}

inline Strip strip_of(int32_t value) { return Strip{} + value; }

inline Strip larger_of(const Strip& a, const Strip& b) { return a > b ? a : b; }

// Bit i: lane i of a comparison holds, which is to say all of its bits are set.
inline uint32_t mask_of(const Strip& holds) {
  uint32_t mask = 0;
#if defined(__AVX2__)
  __m256 part[2];
  std::memcpy(part, &holds, sizeof part);
  for (int i = 0; i < 2; ++i) mask |= static_cast<uint32_t>(_mm256_movemask_ps(part[i])) << (8 * i);
#elif defined(__SSE2__)
  __m128 part[4];
  std::memcpy(part, &holds, sizeof part);
  for (int i = 0; i < 4; ++i) mask |= static_cast<uint32_t>(_mm_movemask_ps(part[i])) << (4 * i);
#else
  for (int i = 0; i < kStrip; ++i) mask |= static_cast<uint32_t>(holds[i] & 1) << i;
#endif
  return mask;
}

// Bit i: a[i] > b[i].
inline uint32_t mask_above(const Strip& a, const Strip& b) {
#if defined(__AVX512F__)
  return _mm512_cmpgt_epi32_mask(reinterpret_cast<const __m512i&>(a), reinterpret_cast<const __m512i&>(b));
#else
  return mask_of(a > b);
#endif
}

// Bit i: a[i] == b[i].
inline uint32_t mask_equal(const Strip& a, const Strip& b) {
#if defined(__AVX512F__)
  return _mm512_cmpeq_epi32_mask(reinterpret_cast<const __m512i&>(a), reinterpret_cast<const __m512i&>(b));
#else
  return mask_of(a == b);
#endif
}

#if defined(__AVX512BW__)
// Bit i: lane i of a register has this value.
template <class Register>
uint64_t lanes_with(const Register& values, int32_t wanted) {
  return _mm512_cmpeq_epi32_mask(reinterpret_cast<const __m512i&>(values), _mm512_set1_epi32(wanted));
}

template <class Register>
uint64_t lanes_with(const Register& values, int16_t wanted) {
  return _mm512_cmpeq_epi16_mask(reinterpret_cast<const __m512i&>(values), _mm512_set1_epi16(wanted));
}

// How many zeros a word ends with: 64 when it is 0.
inline uint64_t bits_before(uint64_t word) { return _tzcnt_u64(word); }
#endif

// Bit i: bytes[i] is 1; they are 0 or 1.
inline uint32_t mask_of(const uint8_t* bytes) {
#if defined(__SSE2__)
  __m128i sixteen;
  std::memcpy(&sixteen, bytes, sizeof sixteen);
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_slli_epi16(sixteen, 7)));
#else
  uint32_t mask = 0;
  for (int i = 0; i < kStrip; ++i) mask |= static_cast<uint32_t>(bytes[i]) << i;
  return mask;
#endif
}

// Writes the numbers whose bit is set, one after the other, and returns how many. There is room for kStrip.
inline int32_t pick(const Strip& numbers, uint32_t mask, int32_t* to) {
#if defined(__AVX512F__)
  _mm512_storeu_si512(
      to, _mm512_maskz_compress_epi32(static_cast<__mmask16>(mask), reinterpret_cast<const __m512i&>(numbers)));
  return __builtin_popcount(mask);
#else
  int32_t count = 0;
  for (; mask != 0; mask &= mask - 1) to[count++] = numbers[__builtin_ctz(mask)];
  return count;
#endif
}

}  // namespace
}  // namespace ppf::loops::PPF_ISA

// As many 32-bit numbers side by side as a register of the instruction set holds. Compilers make vector code of most
// loops by themselves. What they do not find is that a comparison of vectors fits into a word, and that is what looking
// for the few numbers that matter is made of; and comparisons of longer vectors they take apart number by number.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "core/half.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace ppf::loops::PPF_ISA {
namespace {

// Bytes of a register.
#if defined(__AVX512BW__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

constexpr int kWide = kVectorBytes / 4;

typedef float WideFloat __attribute__((vector_size(kVectorBytes)));
typedef int32_t WideInt __attribute__((vector_size(kVectorBytes)));
typedef uint32_t WideWord __attribute__((vector_size(kVectorBytes)));

// How far a loop over `count` goes that takes kWide at a time.
inline int32_t whole(int32_t count) { return (count + kWide - 1) / kWide * kWide; }

inline WideFloat load(const float* from) {
  WideFloat wide;
  std::memcpy(&wide, from, sizeof wide);
  return wide;
}

inline WideFloat load(const Half* from) {
  WideFloat wide;
  for (int i = 0; i < kWide; ++i) wide[i] = to_float(from[i]);
  return wide;
}

// Integers of any size. Volatile, or GCC folds the load into each of its uses, and reads everything twice.
template <class Integer>
WideInt load(const Integer* from) {
  typedef Integer Integers __attribute__((vector_size(kWide * sizeof(Integer)), aligned(sizeof(Integer)), may_alias));
  return __builtin_convertvector(*reinterpret_cast<const volatile Integers*>(from), WideInt);
}

template <class Wide, class Number>
void store(const Wide& wide, Number* to) {
  static_assert(sizeof wide == kWide * sizeof(Number));
  std::memcpy(to, &wide, sizeof wide);
}

inline WideFloat all_of(float value) { return WideFloat{} + value; }
inline WideInt all_of(int32_t value) { return WideInt{} + value; }

inline WideInt larger_of(const WideInt& a, const WideInt& b) { return a > b ? a : b; }
inline WideWord larger_of(const WideWord& a, const WideWord& b) { return a > b ? a : b; }

inline WideInt counted() {
  WideInt numbers;
  for (int i = 0; i < kWide; ++i) numbers[i] = i;
  return numbers;
}

// The numbers one lane further up or down, and `end` in the lane that this leaves.
template <int... kLane>
WideInt moved_up(const WideInt& wide, int32_t end, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(all_of(end), wide, (kWide - 1 + kLane)...);
}

template <int... kLane>
WideInt moved_down(const WideInt& wide, int32_t end, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(wide, all_of(end), (kLane + 1)...);
}

inline WideInt moved_up(const WideInt& wide, int32_t end) {
  return moved_up(wide, end, std::make_integer_sequence<int, kWide>());
}

inline WideInt moved_down(const WideInt& wide, int32_t end) {
  return moved_down(wide, end, std::make_integer_sequence<int, kWide>());
}

#if defined(__AVX512BW__)
// A mask as a word. Left to GCC 12, the conversion may write 16 bits to the stack and read 32 from there.
inline uint32_t word_of(__mmask16 mask) {
  uint32_t word;
  asm("kmovw %1, %0" : "=r"(word) : "k"(mask));
  return word;
}
#endif

// Bit i: what[i] is true, as comparisons have it: all its bits are set.
inline uint32_t mask_of(const WideInt& what) {
#if defined(__AVX512BW__)
  return word_of(_mm512_movepi32_mask(reinterpret_cast<const __m512i&>(what)));
#elif defined(__AVX2__)
  return static_cast<uint32_t>(_mm256_movemask_ps(reinterpret_cast<const __m256&>(what)));
#elif defined(__SSE2__)
  return static_cast<uint32_t>(_mm_movemask_ps(reinterpret_cast<const __m128&>(what)));
#else
  const WideInt bits = what & (1 << counted());
  int32_t mask = 0;
  for (int i = 0; i < kWide; ++i) mask |= bits[i];
  return static_cast<uint32_t>(mask);
#endif
}

// Bit i: a[i] > b[i], for the wanted ones.
inline uint32_t mask_above(const WideInt& a, const WideInt& b, uint32_t wanted = ~0u) {
#if defined(__AVX512BW__)
  return word_of(_mm512_mask_cmpgt_epi32_mask(static_cast<__mmask16>(wanted), reinterpret_cast<const __m512i&>(a),
                                              reinterpret_cast<const __m512i&>(b)));
#else
  return mask_of(a > b) & wanted;
#endif
}

// Bit i: a[i] >= b[i], for the wanted ones.
inline uint32_t mask_at_least(const WideInt& a, const WideInt& b, uint32_t wanted = ~0u) {
#if defined(__AVX512BW__)
  return word_of(_mm512_mask_cmpge_epi32_mask(static_cast<__mmask16>(wanted), reinterpret_cast<const __m512i&>(a),
                                              reinterpret_cast<const __m512i&>(b)));
#else
  return mask_of(a >= b) & wanted;
#endif
}

// Bit i: a[i] != 0.
inline uint32_t mask_not_0(const WideInt& a) {
#if defined(__AVX512BW__)
  return word_of(_mm512_test_epi32_mask(reinterpret_cast<const __m512i&>(a), reinterpret_cast<const __m512i&>(a)));
#else
  return mask_of(a != 0);
#endif
}

// Bit i: a[i] == b[i].
inline uint32_t mask_equal(const WideInt& a, const WideInt& b) {
#if defined(__AVX512BW__)
  return word_of(_mm512_cmpeq_epi32_mask(reinterpret_cast<const __m512i&>(a), reinterpret_cast<const __m512i&>(b)));
#else
  return mask_of(a == b);
#endif
}

#if defined(__AVX2__) && !defined(__AVX512BW__)
// For each mask, the lanes whose bit is set, one a byte.
struct LaneOrders {
  uint64_t of[1 << kWide] = {};

  constexpr LaneOrders() {
    for (int mask = 0; mask < 1 << kWide; ++mask) {
      int count = 0;
      for (int lane = 0; lane < kWide; ++lane) {
        if ((mask >> lane & 1) != 0) of[mask] |= static_cast<uint64_t>(lane) << (8 * count++);
      }
    }
  }
};

constexpr LaneOrders kLaneOrders;
#endif

// The lanes whose bit is set. `store` puts them one after the other, where there has to be room for all kWide.
class Picked {
 public:
  explicit Picked(uint32_t mask) : mask_(mask) {
#if defined(__AVX2__) && !defined(__AVX512BW__)
    order_ = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(kLaneOrders.of[mask])));
#endif
  }

  int32_t count() const { return __builtin_popcount(mask_); }

  template <class Wide, class Number>
  void store(const Wide& wide, Number* to) const {
    static_assert(sizeof wide == kWide * sizeof(Number));
#if defined(__AVX512BW__)
    _mm512_storeu_si512(
        to, _mm512_maskz_compress_epi32(static_cast<__mmask16>(mask_), reinterpret_cast<const __m512i&>(wide)));
#elif defined(__AVX2__)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        _mm256_permutevar8x32_epi32(reinterpret_cast<const __m256i&>(wide), order_));
#else
    for (int lane = 0; lane < kWide; ++lane) {
      *to = wide[lane];
      to += mask_ >> lane & 1;
    }
#endif
  }

 private:
  uint32_t mask_;
#if defined(__AVX2__) && !defined(__AVX512BW__)
  __m256i order_;
#endif
};

// Of kWide pairs side by side, the first and the second of each.
struct Sides {
  WideFloat first, second;
};

inline Sides sides_of(const WideFloat& a, const WideFloat& b) {
  Sides sides;
#if defined(__AVX512BW__)
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  const __m512 from = reinterpret_cast<const __m512&>(a), to = reinterpret_cast<const __m512&>(b);
  reinterpret_cast<__m512&>(sides.first) = _mm512_permutex2var_ps(from, even, to);
  reinterpret_cast<__m512&>(sides.second) = _mm512_permutex2var_ps(from, odd, to);
#elif defined(__AVX2__)
  const __m256 from = reinterpret_cast<const __m256&>(a), to = reinterpret_cast<const __m256&>(b);
  const auto in_order = [](__m256 halves) {
    return _mm256_permute4x64_pd(_mm256_castps_pd(halves), _MM_SHUFFLE(3, 1, 2, 0));
  };
  reinterpret_cast<__m256d&>(sides.first) = in_order(_mm256_shuffle_ps(from, to, _MM_SHUFFLE(2, 0, 2, 0)));
  reinterpret_cast<__m256d&>(sides.second) = in_order(_mm256_shuffle_ps(from, to, _MM_SHUFFLE(3, 1, 3, 1)));
#else
  for (int i = 0; i < kWide / 2; ++i) {
    sides.first[i] = a[2 * i];
    sides.second[i] = a[2 * i + 1];
    sides.first[i + kWide / 2] = b[2 * i];
    sides.second[i + kWide / 2] = b[2 * i + 1];
  }
#endif
  return sides;
}

// The numbers of two in turn: `low` begins with the first of each, `high` goes on where it ends.
struct Zipped {
  WideInt low, high;
};

template <int... kLane>
Zipped zipped(const WideInt& a, const WideInt& b, std::integer_sequence<int, kLane...>) {
  return {__builtin_shufflevector(a, b, (kLane / 2 + kLane % 2 * kWide)...),
          __builtin_shufflevector(a, b, ((kLane + kWide) / 2 + kLane % 2 * kWide)...)};
}

inline Zipped zipped(const WideInt& a, const WideInt& b) {
  return zipped(a, b, std::make_integer_sequence<int, kWide>());
}

}  // namespace
}  // namespace ppf::loops::PPF_ISA

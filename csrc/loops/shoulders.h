// The shoulders beside the peaks of a map. Included by loops only, so each instruction set has its own.
#pragma once

#include <cstdint>

#include "core/shoulders.h"
#include "loops/peak_table.h"
#include "loops/slice.h"

namespace ppf::loops::PPF_ISA {
namespace {

// Of the rows around a peak, eight samples are looked at together; the five of the blob are among them.
constexpr int kWindow = 8, kWindowRows = 2 * kShoulderReach + 1;

// Where a window begins: at the border it reaches further to the other side.
int window_start(const Map<float>& map, int32_t x) { return clamp_to(x - kShoulderReach, 0, map.width - kWindow); }

// A bit for each sample of the window of peak m, row by row: it is one of the blob's, and rises above it.
uint64_t rises_of(const Map<float>& map, const PeakTable& table, int32_t m) {
  const int32_t x = table.x[m], y = table.y[m], start = window_start(map, x);
  const int32_t first = x - kShoulderReach - start, top = y - kShoulderReach;  // what the blob foretells first
  const float peak = table.score[m];
  const float* row[kWindowRows];
  for (int i = 0; i < kWindowRows; ++i) {
    row[i] = map.data + clamp_to(top + i, 0, map.height - 1) * map.stride_y + start;
  }
  uint64_t rises = 0;
#if defined(__AVX512F__)
  // Both axes side by side: those of the blob's samples at -2 .. 2 in lanes 0 .. 4 and 8 .. 12. The first is
  // before * before * before * after, the second before, the third 1.
  __m128 flanks = _mm_loadl_pi(_mm_setzero_ps(), reinterpret_cast<const __m64*>(table.flanks_x + m));
  flanks = _mm_loadh_pi(flanks, reinterpret_cast<const __m64*>(table.flanks_y + m));
  const __m512 four = _mm512_broadcast_f32x4(flanks), one = _mm512_set1_ps(1.0f);
  const __m512 near =
      _mm512_mask_permutexvar_ps(one, 0x1b1b, _mm512_setr_epi32(0, 0, 0, 1, 1, 0, 0, 0, 2, 2, 0, 3, 3, 0, 0, 0), four);
  const __m512 far = _mm512_mask_mov_ps(one, 0x1111, near);
  const __m512 across =
      _mm512_mask_permutexvar_ps(one, 0x1111, _mm512_setr_epi32(1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0), four);
  const __m512 along = _mm512_mul_ps(_mm512_mul_ps(_mm512_mul_ps(near, far), far), across);
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7);
  const __m512 along_x = _mm512_permutexvar_ps(_mm512_sub_epi32(lanes, _mm512_set1_epi32(first)), along);
  for (int i = 0; i < kWindowRows; i += 2) {
    const int next = i + 1 < kWindowRows ? i + 1 : i;
    const __m512 samples =
        _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(row[i])), _mm256_loadu_ps(row[next]), 1);
    const __m512i rows = _mm512_inserti32x8(_mm512_set1_epi32(8 + i), _mm256_set1_epi32(8 + next), 1);
    const __m512 along_y = _mm512_permutexvar_ps(rows, along);
    const __m512 blob = _mm512_mul_ps(_mm512_set1_ps(peak), _mm512_mul_ps(along_x, along_y));
    const __m512 rise = _mm512_sub_ps(samples, blob);
    const __mmask16 is_high = _mm512_cmp_ps_mask(rise, _mm512_set1_ps(kLeastRise), _CMP_GT_OQ);
    const __m512 least = _mm512_mul_ps(_mm512_set1_ps(kLeastRisePart), samples);
    rises |= uint64_t{_mm512_mask_cmp_ps_mask(is_high, rise, least, _CMP_GT_OQ)} << (kWindow * i);
  }
#else
  Blob blob = table.blob(m);
  float along_x[kWindow] = {};
  for (int i = 0; i < 5; ++i) {
    if (first + i >= 0 && first + i < kWindow) along_x[first + i] = blob.along_x[i];
  }
  for (int i = 0; i < kWindowRows; ++i) {
    const float along_y = blob.along_y[i];
    uint8_t is_rising[kWindow];
    for (int lane = 0; lane < kWindow; ++lane) {
      const float sample = row[i][lane];
      is_rising[lane] = static_cast<uint8_t>(is_rise(sample - peak * (along_x[lane] * along_y), sample));
    }
    uint64_t eight;
    std::memcpy(&eight, is_rising, sizeof eight);
    rises |= (eight * 0x0102040810204080u >> 56) << (kWindow * i);  // one bit of each byte
  }
#endif
  const uint64_t columns = (first < 0 ? 0x1fu >> -first : 0x1fu << first) & 0xffu;
  const int above = larger(-top, 0), below = larger(top + kWindowRows - map.height, 0);
  const uint64_t rows = (0xffffffffffu << (kWindow * above)) & (0xffffffffffu >> (kWindow * below));
  return rises & rows & (columns * 0x0101010101u);
}

// As steepest_shoulder(). Of what rises, the steepest is looked at first, since that is nearly always it.
Shoulder steepest_of(const PeakSpec& spec, const Map<float>& map, const Blob& blob, uint64_t rises) {
  Shoulder high[kWindowRows * kWindow];
  const int32_t start = window_start(map, blob.x);
  int32_t count = 0;
  for (; rises != 0; rises &= rises - 1) {
    const int bit = __builtin_ctzll(rises);
    const int32_t y = blob.y - kShoulderReach + bit / kWindow, x = start + bit % kWindow;
    high[count++] = {y, x, map.value(y, x) - blob.at(y, x)};
  }
  while (count > 0) {
    int32_t steepest = 0;
    for (int32_t i = 1; i < count; ++i) steepest = high[i].rise > high[steepest].rise ? i : steepest;
    Shoulder best{-1, -1, 0.0f};
    compare_shoulder(spec, map, blob, high[steepest].y, high[steepest].x, best);
    if (best.x >= 0) return best;
    for (int32_t i = steepest + 1; i < count; ++i) high[i - 1] = high[i];
    --count;
  }
  return {-1, -1, 0.0f};
}

template <class T>
Shoulder find_shoulder(const PeakSpec& spec, const Map<T>& map, const PeakTable& table, int32_t m) {
  return steepest_shoulder(spec, map, table.blob(m));
}

// Beside most peaks nothing rises at all.
template <>
Shoulder find_shoulder<float>(const PeakSpec& spec, const Map<float>& map, const PeakTable& table, int32_t m) {
  if (map.stride_x != 1 || map.logits || map.width < kWindow) return steepest_shoulder(spec, map, table.blob(m));
  const uint64_t rises = rises_of(map, table, m);
  return rises == 0 ? Shoulder{-1, -1, 0.0f} : steepest_of(spec, map, table.blob(m), rises);
}

// The blobs of all peaks at once.
void shape_blobs(const PeakTable& table) {
  const float *const score = table.score, *const west = table.west, *const east = table.east;
  const float *const north = table.north, *const south = table.south;
  for (int32_t i = 0; i < table.count; ++i) table.flanks_x[i] = flanks_of(west[i], score[i], east[i]);
  for (int32_t i = 0; i < table.count; ++i) table.flanks_y[i] = flanks_of(north[i], score[i], south[i]);
}

// Peaks `first` to `last` of the table are those of the map.
template <class T>
class ShoulderFinder {
 public:
  ShoulderFinder(const PeakSpec& spec, const Map<T>& map, const PeakTable& table, int32_t first, int32_t last)
      : spec_(spec), map_(map), table_(table), first_(first), last_(last) {}

  // Writes them behind the peaks, as far as there is room; returns how many there are.
  int32_t append(float* xy, float* score, int32_t capacity) {
    int32_t found = 0;
    for (int32_t m = first_; m < last_; ++m) {
      const Shoulder shoulder = find_shoulder(spec_, map_, table_, m);
      if (shoulder.x < 0 || !is_new(shoulder) || is_explained(shoulder, m)) continue;
      const int32_t entry = last_ - first_ + found++;
      if (entry >= capacity) continue;
      const Place at = shoulder_place(map_, shoulder, {table_.place_x[m], table_.place_y[m]});
      xy[2 * entry] = at.x;
      xy[2 * entry + 1] = at.y;
      score[entry] = map_.value(shoulder.y, shoulder.x);
    }
    return found;
  }

 private:
  const PeakSpec& spec_;
  const Map<T>& map_;
  const PeakTable& table_;
  const int32_t first_, last_;
  int32_t seen_ = 0;

  // Between two peaks, both find the same one; the first has it.
  bool is_new(const Shoulder& shoulder) {
    const int32_t sample = shoulder.y * map_.width + shoulder.x;
    bool is_known = false;
    for (int32_t i = 0; i < seen_; ++i) is_known |= table_.shoulder[i] == sample;
    table_.shoulder[seen_++] = sample;
    return !is_known;
  }

  // Whether the blob of another peak reaches up to it.
  bool is_explained(const Shoulder& shoulder, int32_t m) const {
    const float sample = map_.value(shoulder.y, shoulder.x);
    for (int32_t start = first_; start < last_; start += kSlice) {
      for (uint32_t near = peaks_within_reach(start, shoulder); near != 0; near &= near - 1) {
        const int32_t other = start + lowest_bit(near);
        if (other == m) continue;
        if (!is_rise(sample - table_.blob(other).at(shoulder.y, shoulder.x), sample)) return true;
      }
    }
    return false;
  }

  // A bit for each peak from `start`.
  uint32_t peaks_within_reach(int32_t start, const Shoulder& shoulder) const {
    const Slice x = load_slice(table_.x + start) - shoulder.x, y = load_slice(table_.y + start) - shoulder.y;
    const Slice distance = larger_slice(larger_slice(x, -x), larger_slice(y, -y));
    const uint32_t exist = last_ - start < kSlice ? (1u << (last_ - start)) - 1 : ~0u;
    return exist & lanes_above(slice_of(kShoulderReach + 1), distance);
  }
};

}  // namespace
}  // namespace ppf::loops::PPF_ISA

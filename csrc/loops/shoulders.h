// The shoulders beside the peaks of a map. Included by loops only, so each instruction set has its own.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/shoulders.h"
#include "loops/peak_table.h"
#include "loops/scan.h"
#include "loops/wide.h"

namespace ppf::loops::PPF_ISA {
namespace {

// The samples within reach of one, row by row.
struct Block {
  static constexpr int kSide = 2 * kShoulderReach + 1, kSamples = kSide * kSide;
  static constexpr uint32_t kRow = (1u << kSide) - 1, kAll = (1u << kSamples) - 1;
  static constexpr uint32_t kFirstColumn = 0x108421;

  static int32_t y(int32_t middle, int sample) { return middle - kShoulderReach + sample / kSide; }
  static int32_t x(int32_t middle, int sample) { return middle - kShoulderReach + sample % kSide; }

  // A bit for each of them that is in the map.
  static uint32_t inside(int32_t height, int32_t width, int32_t y, int32_t x) {
    const int32_t above = larger(kShoulderReach - y, 0), below = larger(y + kShoulderReach + 1 - height, 0);
    const int32_t before = larger(kShoulderReach - x, 0), after = larger(x + kShoulderReach + 1 - width, 0);
    const uint32_t rows = kAll << (kSide * above) & kAll >> (kSide * below);
    const uint32_t columns = kRow << before & kRow >> after;
    return rows & columns * kFirstColumn;
  }
};

// Which samples of a map are tops, and which peaks of the table these are.
class Marks {
 public:
  static int64_t words(int64_t height, int64_t width) { return (height + 2 * kShoulderReach) * row_words(width); }

  static constexpr int32_t kNoPeak = -1;  // the entry of a top for which there was no room

  // `entry`: a word for each sample.
  Marks(uint32_t* bits, int32_t* entry, int32_t height, int32_t width)
      : bits_(bits), entry_(entry), row_words_(static_cast<int32_t>(row_words(width))), width_(width) {
    std::memset(bits, 0, sizeof(uint32_t) * static_cast<size_t>(words(height, width)));
  }

  void set(int32_t sample, int32_t entry) { set(sample / width_, sample % width_, entry); }

  void set(int32_t y, int32_t x, int32_t entry) {
    const int32_t column = x + kShoulderReach;
    bits_[(y + kShoulderReach) * row_words_ + (column >> 5)] |= 1u << (column & 31);
    entry_[y * width_ + x] = entry;
  }

  int32_t entry(int32_t y, int32_t x) const { return entry_[y * width_ + x]; }

  // A bit for each sample of the block around one.
  uint32_t around(int32_t y, int32_t x) const {
    const uint32_t* const row = bits_ + y * row_words_ + (x >> 5);
    uint32_t marks = 0;
    for (int i = 0; i < Block::kSide; ++i) {
      uint64_t word;
      std::memcpy(&word, row + i * row_words_, sizeof word);
      marks |= (static_cast<uint32_t>(word >> (x & 31)) & Block::kRow) << (Block::kSide * i);
    }
    return marks;
  }

 private:
  uint32_t* const bits_;  // with a border as wide as the reach
  int32_t* const entry_;
  const int32_t row_words_, width_;

  // One more than there are bits for, since two are read at once.
  static int64_t row_words(int64_t width) { return (width + 2 * kShoulderReach + 31) / 32 + 1; }
};

// How far each sample of a block rises above the blob in its middle: bits, which sort as positive floats do, or 0.
// Three rows, and two from the second half on.
struct Rises {
  static constexpr int kHalf = 16, kRows = 3, kWords = 2 * kHalf;

  // The sample that rises most, the first of equal ones.
  static int steepest(const int32_t* rises) {
    WideInt largest = {};
    for (int i = 0; i < kWords; i += kWide) largest = larger_of(largest, load(rises + i));
    const WideInt most = all_of(Vector<float>::largest_lane(largest));
    uint32_t at = 0;
    for (int i = 0; i < kWords; i += kWide) at |= mask_at_least(load(rises + i), most) << i;
    const int first = lowest_bit(at);
    return first < kHalf ? first : first - kHalf + kRows * Block::kSide;
  }
};

#if defined(__AVX512F__)
// What the blob of peak m foretells at -2 .. 2 along x, in lanes 0 .. 4, and along y, in lanes 8 .. 12. The first of
// these is near * near * near * far, the second near, the third 1.
__m512 foretold_along(const PeakTable& table, int32_t m) {
  __m128 flanks = _mm_loadl_pi(_mm_setzero_ps(), reinterpret_cast<const __m64*>(table.flanks_x + m));
  flanks = _mm_loadh_pi(flanks, reinterpret_cast<const __m64*>(table.flanks_y + m));
  const __m512 four = _mm512_maskz_broadcast_f32x4(0xffff, flanks), one = _mm512_set1_ps(1.0f);
  const __m512 near =
      _mm512_mask_permutexvar_ps(one, 0x1b1b, _mm512_setr_epi32(0, 0, 0, 1, 1, 0, 0, 0, 2, 2, 0, 3, 3, 0, 0, 0), four);
  const __m512 again = _mm512_mask_mov_ps(one, 0x1111, near);
  const __m512 far =
      _mm512_mask_permutexvar_ps(one, 0x1111, _mm512_setr_epi32(1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0), four);
  return _mm512_mul_ps(_mm512_mul_ps(_mm512_mul_ps(near, again), again), far);
}

// Of the `wanted` samples around peak m that are above the threshold. Returns whether any rises. Without branches,
// since nobody can foretell where one does.
bool find_rises(const Map<float>& map, const PeakTable& table, int32_t m, uint32_t wanted, float threshold,
                int32_t* rises) {
  const int64_t stride = map.stride_y;
  const float* const samples = map.data + (table.y[m] - kShoulderReach) * stride + table.x[m] - kShoulderReach;
  const __m512 along = foretold_along(table, m);
  const __m512 along_x =
      _mm512_maskz_permutexvar_ps(0xffff, _mm512_setr_epi32(0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0), along);
  const __m512 upper_y = _mm512_maskz_permutexvar_ps(
      0xffff, _mm512_setr_epi32(8, 8, 8, 8, 8, 9, 9, 9, 9, 9, 10, 10, 10, 10, 10, 0), along);
  const __m512 lower_y = _mm512_maskz_permutexvar_ps(
      0xffff, _mm512_setr_epi32(11, 11, 11, 11, 11, 12, 12, 12, 12, 12, 0, 0, 0, 0, 0, 0), along);
  const __m512 peak = _mm512_set1_ps(table.score[m]);
  const auto compare = [&](__m512 values, __m512 along_y, __mmask16 mask, int32_t* to) {
    const __m512 rise = _mm512_sub_ps(values, _mm512_mul_ps(peak, _mm512_mul_ps(along_x, along_y)));
    mask = _mm512_mask_cmp_ps_mask(mask, values, _mm512_set1_ps(threshold), _CMP_GT_OQ);
    mask = _mm512_mask_cmp_ps_mask(mask, rise, _mm512_set1_ps(kLeastRise), _CMP_GT_OQ);
    mask = _mm512_mask_cmp_ps_mask(mask, rise, _mm512_mul_ps(_mm512_set1_ps(kLeastRisePart), values), _CMP_GT_OQ);
    _mm512_storeu_ps(to, _mm512_maskz_mov_ps(mask, rise));
    return mask;
  };
  // What a mask leaves out is not read, so that it may lie outside the map.
  const auto upper_mask = static_cast<__mmask16>(wanted & 0x7fff), lower_mask = static_cast<__mmask16>(wanted >> 15);
  __m512 upper = _mm512_maskz_loadu_ps(upper_mask & 0x1f, samples);
  upper = _mm512_mask_loadu_ps(upper, upper_mask & 0x3e0, samples + stride - 5);
  upper = _mm512_mask_loadu_ps(upper, upper_mask & 0x7c00, samples + 2 * stride - 10);
  __m512 lower = _mm512_maskz_loadu_ps(lower_mask & 0x1f, samples + 3 * stride);
  lower = _mm512_mask_loadu_ps(lower, lower_mask & 0x3e0, samples + 4 * stride - 5);
  const __mmask16 above = compare(upper, upper_y, upper_mask, rises);
  return (above | compare(lower, lower_y, lower_mask, rises + Rises::kHalf)) != 0;
}
#else
bool find_rises(const Map<float>& map, const PeakTable& table, int32_t m, uint32_t wanted, float threshold,
                int32_t* rises) {
  constexpr int kSide = Block::kSide, kUpper = Rises::kRows * kSide;
  const float* const samples = map.data + (table.y[m] - kShoulderReach) * map.stride_y + table.x[m] - kShoulderReach;
  float values[Block::kSamples] = {}, blob[Block::kSamples];
  for (int row = 0; row < kSide && table.inside[m] == Block::kAll; ++row) {
    std::memcpy(values + kSide * row, samples + row * map.stride_y, sizeof(float) * kSide);
  }
  for (uint32_t left = table.inside[m] == Block::kAll ? 0 : wanted; left != 0; left &= left - 1) {
    const int i = lowest_bit(left);
    values[i] = samples[i / kSide * map.stride_y + i % kSide];
  }
  for (int i = 0; i < Block::kSamples; ++i) {
    blob[i] = table.score[m] * (foretold(table.flanks_x[m], i % kSide - kShoulderReach) *
                                foretold(table.flanks_y[m], i / kSide - kShoulderReach));
  }
  int32_t all[Block::kSamples];
  int32_t any = 0;
  for (int i = 0; i < Block::kSamples; ++i) {
    const float rise = values[i] - blob[i];
    const bool is_wanted = ((wanted >> i & 1u) != 0) & (values[i] > threshold);
    all[i] = is_wanted & is_rise(rise, values[i]) ? bits_of(rise) : 0;
    any |= all[i];
  }
  for (int i = 0; i < Rises::kWords; ++i) rises[i] = 0;
  for (int i = 0; i < kUpper; ++i) rises[i] = all[i];
  for (int i = kUpper; i < Block::kSamples; ++i) rises[i - kUpper + Rises::kHalf] = all[i];
  return any != 0;
}
#endif

// Tops of a map for which there was no room in the table.
struct Cut {
  const int32_t* sample;
  int32_t count;
};

// Peaks `first` to `last` of the table are those of the map. Nearly every peak that has another one beside it has a
// candidate, the flank of that other one.
template <class T>
class ShoulderFinder {
 public:
  // `bits` and `words`: those of Marks. knows_all_tops: see Tops::is_complete. cut: tops that are none of the peaks.
  ShoulderFinder(const PeakSpec& spec, const Map<T>& map, const PeakTable& table, int32_t first, int32_t last,
                 bool knows_all_tops, const Cut& cut, uint32_t* bits, int32_t* words)
      : spec_(spec),
        map_(map),
        table_(table),
        first_(first),
        last_(last),
        knows_all_tops_(knows_all_tops),
        marks_(bits, words, map.height, map.width) {
    for (int32_t m = first; m < last; ++m) marks_.set(table.y[m], table.x[m], m);
    for (int32_t i = 0; i < cut.count; ++i) marks_.set(cut.sample[i], Marks::kNoPeak);
  }

  // Writes them behind the peaks, as far as there is room; returns how many there are.
  int32_t append(float* xy, float* score, int32_t capacity) {
    const int32_t candidates = collect();
    int32_t found = 0;
    for (int32_t i = 0; i < candidates; ++i) {
      const int32_t m = table_.leans_on[i];
      const Shoulder shoulder{table_.shoulder[i] / map_.width, table_.shoulder[i] % map_.width, 0.0f};
      if (is_explained(shoulder, m) || is_known(i)) continue;
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
  const bool knows_all_tops_;
  Marks marks_;

  // Into the table, for each peak its steepest shoulder, if it has one. Returns how many have.
  int32_t collect() { return collect_slowly(); }

  int32_t collect_slowly() {
    int32_t count = 0;
    for (int32_t m = first_; m < last_; ++m) {
      table_.leans_on[count] = m;
      table_.shoulder[count] = steepest(m);
      count += table_.shoulder[count] >= 0 ? 1 : 0;
    }
    return count;
  }

  // The sample of the peak's steepest shoulder, or -1.
  int32_t steepest(int32_t m) const {
    const Shoulder shoulder = steepest_shoulder(spec_, map_, table_.blob(m));
    return shoulder.x < 0 ? -1 : shoulder.y * map_.width + shoulder.x;
  }

  // Between two peaks, both find the same one; the first has it.
  bool is_known(int32_t candidate) const {
    const int32_t sample = table_.shoulder[candidate];
    bool is_known = false;
    for (int32_t i = 0; i < candidate; ++i) is_known |= table_.shoulder[i] == sample;
    return is_known;
  }

  // Whether the blob of another peak reaches up to it.
  bool is_explained(const Shoulder& shoulder, int32_t m) const {
    const float sample = map_.value(shoulder.y, shoulder.x);
    for (uint32_t peaks = marks_.around(shoulder.y, shoulder.x); peaks != 0; peaks &= peaks - 1) {
      const int at = lowest_bit(peaks);
      const int32_t other = marks_.entry(Block::y(shoulder.y, at), Block::x(shoulder.x, at));
      if (other == m || other == Marks::kNoPeak) continue;
      if (!is_rise(sample - table_.blob(other).at(shoulder.y, shoulder.x), sample)) return true;
    }
    return false;
  }
};

// All samples of a block at once, but for known tops. When all tops are known, whatever else rises is on a slope, and
// nearly always otherwise.
template <>
int32_t ShoulderFinder<float>::collect() {
  if (map_.stride_x != 1 || map_.logits) return collect_slowly();
  const float threshold = value_of_key(spec_.threshold_key);
  int32_t rising = 0;
  for (int32_t m = first_; m < last_; ++m) {
    const uint32_t wanted = table_.inside[m] & ~marks_.around(table_.y[m], table_.x[m]);
    table_.leans_on[rising] = m;
    rising += find_rises(map_, table_, m, wanted, threshold, table_.rises + rising * Rises::kWords) ? 1 : 0;
  }
  for (int32_t i = 0; i < rising; ++i) {
    const int32_t m = table_.leans_on[i], sample = Rises::steepest(table_.rises + i * Rises::kWords);
    table_.shoulder[i] = Block::y(table_.y[m], sample) * map_.width + Block::x(table_.x[m], sample);
  }
  if (knows_all_tops_) return rising;
  int32_t count = 0;
  for (int32_t i = 0; i < rising; ++i) {
    const int32_t m = table_.leans_on[i], sample = table_.shoulder[i];
    const bool is_slope = is_on_slope(spec_, map_, sample / map_.width, sample % map_.width);
    table_.leans_on[count] = m;
    table_.shoulder[count] = is_slope ? sample : steepest(m);
    count += table_.shoulder[count] >= 0 ? 1 : 0;
  }
  return count;
}

// The blobs of all peaks at once, of maps of this size.
void shape_blobs(const PeakTable& table, int32_t height, int32_t width) {
  const float *const score = table.score, *const west = table.west, *const east = table.east;
  const float *const north = table.north, *const south = table.south;
  for (int32_t i = 0; i < table.count; ++i) table.flanks_x[i] = flanks_of(west[i], score[i], east[i]);
  for (int32_t i = 0; i < table.count; ++i) table.flanks_y[i] = flanks_of(north[i], score[i], south[i]);
  for (int32_t i = 0; i < table.count; ++i) table.inside[i] = Block::inside(height, width, table.y[i], table.x[i]);
}

}  // namespace
}  // namespace ppf::loops::PPF_ISA

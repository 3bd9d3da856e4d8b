// For every limb, the pairs of candidates that its field speaks for.
//
// kLine goes through the pairs in passes over short lists, each pass a loop over independent pairs that compilers
// vectorise: a crowd has tens of thousands of pairs, of which the first pass, which reads no field, leaves the eight
// nearest of each candidate.
#include <cstring>

#include "core/limbs.h"
#include "loops/loops.h"
#include "loops/strip.h"
#include "ops/scratch.h"

namespace ppf::loops::PPF_ISA {
namespace {

// The candidates of one joint, axis by axis, and the field at each.
struct Ends {
  float *x, *y, *field_x, *field_y;
  int32_t count;

  // In whole strips: past the last candidate are some that are nowhere.
  int32_t padded() const { return (count + kStrip - 1) / kStrip * kStrip; }
};

struct Pairs {
  int32_t *a, *b;
  float* score;
  uint8_t* passes;
};

Place place_of(const PeakLists& peaks, int64_t list, int32_t index) {
  const float* xy = peaks.xy + (list * peaks.capacity + index) * 2;
  return {xy[0], xy[1]};
}

template <class T>
void fill(const PeakLists& peaks, int64_t list, const Field<T>& field, const Ends& ends) {
  const float* xy = peaks.xy + list * peaks.capacity * 2;
  for (int32_t i = 0; i < ends.count; ++i) {
    ends.x[i] = xy[2 * i];
    ends.y[i] = xy[2 * i + 1];
  }
  for (int32_t i = 0; i < ends.count; ++i) {
    const Vector sample = direction_of(field.nearest({ends.x[i], ends.y[i]}));
    ends.field_x[i] = sample.x;
    ends.field_y[i] = sample.y;
  }
  for (int32_t i = ends.count; i < ends.padded(); ++i) ends.x[i] = ends.y[i] = ends.field_x[i] = ends.field_y[i] = kNan;
}

// Keeps the pairs for which `passes` says so. What is written never reaches what has not been read.
int32_t keep(const Pairs& pairs, int32_t count) {
  int32_t kept = 0;
  for (int32_t p = 0; p < count; p += kStrip) {
    uint32_t mask = mask_of(pairs.passes + p);
    if (count - p < kStrip) mask &= (1u << (count - p)) - 1;
    const Strip a = load_strip(pairs.a + p), b = load_strip(pairs.b + p);
    pick(a, mask, pairs.a + kept);
    kept += pick(b, mask, pairs.b + kept);
  }
  return kept;
}

// A few pairs are worked through one by one, more in whole vectors: to their end with copies of the last, which nobody
// reads.
int32_t padded(const Pairs& pairs, int32_t count) {
  constexpr int32_t kFew = 6, kVector = 8;
  if (count < kFew) return count;
  const int32_t whole = (count + kVector - 1) / kVector * kVector;
  for (int32_t p = count; p < whole; ++p) {
    pairs.a[p] = pairs.a[count - 1];
    pairs.b[p] = pairs.b[count - 1];
  }
  return whole;
}

// In the next loops everything they read is a local: bytes written through `passes` could otherwise be anything,
// and each would be read again.

// Leaves the nearest kMostScored of one candidate's pairs, in order; returns how many.
int32_t nearest_pairs(const Ends& from, const Ends& to, int32_t i, int32_t* b, int32_t count) {
  if (count <= kMostScored) return count;
  Nearest nearest;
  for (int32_t p = 0; p < count; ++p) {
    const float dx = to.x[b[p]] - from.x[i], dy = to.y[b[p]] - from.y[i];
    nearest.offer(b[p], dx * dx + dy * dy);
  }
  for (int32_t p = 0; p < nearest.count; ++p) b[p] = nearest.index[p];
  return nearest.count;
}

int32_t pairs_that_may(float most_length, const Ends& from, const Ends& to, const Pairs& pairs) {
  const Strip numbers{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, none = strip_of(0);
  int32_t count = 0;
  for (int32_t i = 0; i < from.count; ++i) {
    const int32_t first = count;
    for (int32_t j = 0; j < to.count; j += kStrip) {
      const FloatStrip dx = load_strip(to.x + j) - from.x[i], dy = load_strip(to.y + j) - from.y[i];
      const FloatStrip field_x = load_strip(to.field_x + j) + from.field_x[i],
                       field_y = load_strip(to.field_y + j) + from.field_y[i];
      const uint32_t mask = mask_above(none, may_be_linked(dx, dy, field_x, field_y, most_length));
      pick(strip_of(i), mask, pairs.a + count);
      count += pick(numbers + j, mask, pairs.b + count);
    }
    count = first + nearest_pairs(from, to, i, pairs.b + first, count - first);
  }
  return count;
}

template <class T>
int32_t pairs_that_run_along(const LimbSpec& spec, const Field<T>& limb_field, const Ends& from, const Ends& to,
                             const Pairs& pairs, int32_t count) {
  const Field<T> field = limb_field;
  const float *const from_x = from.x, *const from_y = from.y, *const to_x = to.x, *const to_y = to.y;
  const float threshold = spec.threshold;
  uint8_t* const __restrict passes = pairs.passes;
  const int32_t* const a = pairs.a;
  const int32_t* const b = pairs.b;
  for (const float part : {0.5f, 0.25f, 0.75f}) {
    const int32_t whole = padded(pairs, count);
#pragma GCC ivdep
    for (int32_t p = 0; p < whole; ++p) {
      const int32_t i = a[p], j = b[p];
      passes[p] = runs_along(field, {from_x[i], from_y[i]}, {to_x[j], to_y[j]}, part, threshold);
    }
    count = keep(pairs, count);
  }
  return count;
}

// Both screens, one pair after the other: with few of them vectors would be mostly empty, and all are near.
template <class T>
int32_t few_pairs(const LimbSpec& spec, const Field<T>& field, float most_length, const Ends& from, const Ends& to,
                  const Pairs& pairs) {
  int32_t count = 0;
  for (int32_t i = 0; i < from.count; ++i) {
    for (int32_t j = 0; j < to.count; ++j) {
      const Place a{from.x[i], from.y[i]}, b{to.x[j], to.y[j]};
      const bool passes = may_be_linked(b.x - a.x, b.y - a.y, to.field_x[j] + from.field_x[i],
                                        to.field_y[j] + from.field_y[i], most_length) &&
                          runs_along(field, a, b, 0.5f, spec.threshold) &&
                          runs_along(field, a, b, 0.25f, spec.threshold) &&
                          runs_along(field, a, b, 0.75f, spec.threshold);
      if (!passes) continue;
      pairs.a[count] = i;
      pairs.b[count++] = j;
    }
  }
  return count;
}

template <class T>
void score_pairs(const LimbSpec& spec, const Field<T>& limb_field, const Ends& from, const Ends& to, const Pairs& pairs,
                 int32_t count) {
  const Field<T> field = limb_field;
  const float *const from_x = from.x, *const from_y = from.y, *const to_x = to.x, *const to_y = to.y;
  const float threshold = spec.threshold;
  const int32_t* const a = pairs.a;
  const int32_t* const b = pairs.b;
  float* const __restrict score = pairs.score;
  const int32_t whole = padded(pairs, count);
#pragma GCC ivdep
  for (int32_t p = 0; p < whole; ++p) {
    const int32_t i = a[p], j = b[p];
    score[p] = line_score(field, {from_x[i], from_y[i]}, {to_x[j], to_y[j]}, threshold);
  }
}

template <class T>
void score_lines(const LimbSpec& spec, const Field<T>& field, const PeakLists& peaks, int64_t first, int64_t second,
                 const LinkLists& out, int64_t row, float* scratch) {
  const int64_t m = end_words(peaks.capacity);
  const Ends from{scratch, scratch + m, scratch + 2 * m, scratch + 3 * m, peaks.count[first]};
  const Ends to{scratch + 4 * m, scratch + 5 * m, scratch + 6 * m, scratch + 7 * m, peaks.count[second]};
  float* const rest = scratch + 8 * m;
  const int64_t room = pair_words(peaks.capacity);
  const Pairs pairs{reinterpret_cast<int32_t*>(rest), reinterpret_cast<int32_t*>(rest + room), rest + 2 * room,
                    reinterpret_cast<uint8_t*>(rest + 3 * room)};
  const float most_length = spec.longest * static_cast<float>(larger(field.height, field.width));
  if (from.count == 0 || to.count == 0) {
    for (int32_t i = 0; i < from.count; ++i) out.count[row + i] = out.total[row + i] = 0;
    return;
  }
  constexpr int32_t kFew = 8;
  static_assert(kFew <= kMostScored);
  fill(peaks, first, field, from);
  fill(peaks, second, field, to);
  int32_t count;
  if (from.count * to.count <= kFew) {
    count = few_pairs(spec, field, most_length, from, to, pairs);
  } else {
    count = pairs_that_may(most_length, from, to, pairs);
    count = pairs_that_run_along(spec, field, from, to, pairs, count);
  }
  score_pairs(spec, field, from, to, pairs, count);
  int32_t p = 0;
  for (int32_t i = 0; i < from.count; ++i, ++row) {
    Row best{out.partner + row * out.partners, out.score + row * out.partners, out.partners};
    for (; p < count && pairs.a[p] == i; ++p) {
      if (pairs.score[p] > kNoLink) best.offer(pairs.b[p], pairs.score[p]);
    }
    out.count[row] = best.count;
    out.total[row] = best.total;
  }
}

template <class T>
void score_all(const LimbSpec& spec, const Field<T>& field, const PeakLists& peaks, int64_t first, int64_t second,
               const LinkLists& out, int64_t row) {
  for (int32_t i = 0; i < peaks.count[first]; ++i, ++row) {
    Row best{out.partner + row * out.partners, out.score + row * out.partners, out.partners};
    for (int32_t j = 0; j < peaks.count[second]; ++j) {
      const float score = link_score(spec, field, place_of(peaks, first, i), place_of(peaks, second, j));
      if (score > kNoLink) best.offer(j, score);
    }
    out.count[row] = best.count;
    out.total[row] = best.total;
  }
}

template <class T>
void score_limbs_of(const LimbSpec& spec, const MapView& fields, const PeakLists& peaks, const LinkLists& out,
                    float* scratch, int64_t index) {
  const int64_t n = index / spec.limbs;
  const Limb& limb = spec.limb[index % spec.limbs];
  const int64_t first = n * spec.joints + limb.first, second = n * spec.joints + limb.second;
  const Field<T> field = field_at<T>(fields, n, limb);
  const int64_t row = index * peaks.capacity;
  if (spec.rule == LinkRule::kLine) {
    score_lines(spec, field, peaks, first, second, out, row, scratch);
  } else {
    score_all(spec, field, peaks, first, second, out, row);
  }
}

}  // namespace

void score_limbs(const LimbSpec& spec, const MapView& fields, const PeakLists& peaks, const LinkLists& out,
                 float* scratch, int64_t begin, int64_t end) {
  for (int64_t index = begin; index < end; ++index) {
    if (fields.is_half) {
      score_limbs_of<Half>(spec, fields, peaks, out, scratch, index);
    } else {
      score_limbs_of<float>(spec, fields, peaks, out, scratch, index);
    }
  }
}

}  // namespace ppf::loops::PPF_ISA

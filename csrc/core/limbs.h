// How likely two joints belong to one limb: line integrals of a part affinity field.
//
// A field is a vector per map pixel that points along the limb. Everything is in map pixels. A sample that is not
// finite makes the pair no link, whatever the other samples say.
#pragma once

#include <cstdint>

#include "core/elementary.h"
#include "core/half.h"
#include "core/host_device.h"
#include "core/peaks.h"
#include "core/upsample.h"
#include "core/view.h"

namespace ppf {

enum class LinkRule : int32_t {
  kLine,      // bilinear samples; what the direction of the field says against the length of the pair
  kOpenPose,  // nearest samples of the field up-sampled eight times; mean of those above the threshold
  kTrtPose,   // seven samples, cut off to whole pixels; mean of all
};

constexpr int kMaxJoints = 32;  // of a skeleton with fields: a set of joints is one word
constexpr int kMaxLimbs = 48;

// A limb joins `first` to `second`; its field has these channels of the network's output.
struct Limb {
  int32_t first, second, x, y;
};

struct LimbSpec {
  LinkRule rule = LinkRule::kLine;
  int32_t joints = 0, limbs = 0;
  float threshold = 0.05f;  // of the field along the limb, at one sample
  float longest = 0.5f;     // pairs longer than this part of the fields' larger side are no limb (kLine)
  bool clears_rest = true;  // entries past the counts are 0; without, they may be anything
  Limb limb[kMaxLimbs] = {};
};

// For every candidate of a limb's first joint, its best partners among those of the second.
struct LinkLists {
  int32_t* partner = nullptr;  // [N, L, M, R], best first, ties by index
  float* score = nullptr;      // [N, L, M, R]
  int32_t* count = nullptr;    // [N, L, M]
  int32_t* total = nullptr;    // [N, L, M], how many there were before the cut to R
  int32_t capacity = 0;        // M
  int32_t partners = 0;        // R
};

constexpr float kNoLink = -kInfinity;
constexpr int kMaxPartners = 128;
constexpr int kMaxCandidates = 128;  // of one joint
// Of one candidate, pairs that pass the first screen and are looked at any further: the shortest ones, or all where
// there are few. A few people may be so large that others' joints are nearer than their own.
constexpr int kMostScored = 4;
constexpr int kFewCandidates = 8;

struct Vector {
  float x, y;
};

// The four samples around a place: where those on the left lie in a channel, and how far the place is from the first.
struct Cell {
  int32_t upper, lower;
  float fx, fy;
};

// Bilinear; Number: float, or a vector of them. On the last column (fx is 1 there) the samples on the right are those
// of the place, and those on the left do not count.
template <class Number>
PPF_HD Number mix(Number fx, Number fy, Number upper_left, Number upper_right, Number lower_left, Number lower_right) {
  const auto is_last = fx >= 1.0f;
  const Number x = is_last ? Number{} : fx;
  const Number a = is_last ? upper_right : upper_left, c = is_last ? lower_right : lower_left;
  const Number w00 = (1.0f - x) * (1.0f - fy), w01 = x * (1.0f - fy), w10 = (1.0f - x) * fy, w11 = x * fy;
  return (a * w00 + upper_right * w01) + (c * w10 + lower_right * w11);
}

// Where the samples of a channel [H, W] lie. Offsets into a channel fit 32 bits: ops sees to that.
struct Grid {
  int32_t height, width;
  int32_t stride_y, stride_x;

  PPF_HD static int32_t rounded(float value, int32_t size) { return static_cast<int32_t>(inside(value, size) + 0.5f); }

  // Written so that anything that is no number comes out as 0.
  PPF_HD static float inside(float value, int32_t size) {
    const float last = static_cast<float>(size - 1);
    const float low = value > 0.0f ? value : 0.0f;
    return low < last ? low : last;
  }

  PPF_HD int32_t nearest(Place place) const {
    return rounded(place.y, height) * stride_y + rounded(place.x, width) * stride_x;
  }

  // From a sample to the one on its right: always two that lie side by side, unless the map has one column.
  PPF_HD int32_t step_x() const { return width > 1 ? stride_x : 0; }

  PPF_HD Cell cell(Place place) const {
    const float px = inside(place.x, width), py = inside(place.y, height);
    const int32_t left = larger(smaller(static_cast<int32_t>(px), width - 2), 0), top = static_cast<int32_t>(py);
    const int32_t bottom = smaller(top + 1, height - 1), west = left * stride_x;
    return {top * stride_y + west, bottom * stride_y + west, px - static_cast<float>(left),
            py - static_cast<float>(top)};
  }
};

PPF_HD Grid grid_of(const MapView& fields) {
  return {fields.height, fields.width, static_cast<int32_t>(fields.stride_y), static_cast<int32_t>(fields.stride_x)};
}

// The two channels of one limb.
template <class T>
struct Field {
  const T* x;
  const T* y;
  Grid grid;

  PPF_HD Vector at(int32_t offset) const { return {to_float(x[offset]), to_float(y[offset])}; }

  PPF_HD Vector nearest(Place place) const { return at(grid.nearest(place)); }

  PPF_HD Vector bilinear(Place place) const {
    const Cell cell = grid.cell(place);
    const int32_t step = grid.step_x();
    const Vector a = at(cell.upper), b = at(cell.upper + step), c = at(cell.lower), d = at(cell.lower + step);
    return {mix(cell.fx, cell.fy, a.x, b.x, c.x, d.x), mix(cell.fx, cell.fy, a.y, b.y, c.y, d.y)};
  }
};

template <class T>
PPF_HD Field<T> field_at(const MapView& fields, int64_t n, const Limb& limb) {
  const T* const first = static_cast<const T*>(fields.data) + n * fields.stride_n;
  return {first + limb.x * fields.stride_k, first + limb.y * fields.stride_k, grid_of(fields)};
}

PPF_HD Place along(Place from, Vector step, float part) { return {from.x + step.x * part, from.y + step.y * part}; }

// ---- kLine ------------------------------------------------------------------------------------------------------
//
// Two screens that cost little, then the integral. Most pairs of a crowd end at the first, which reads nothing from the
// field but its directions at the joints, fetched once per joint; of those left, only the nearest go on.

constexpr int kLineSamples = 5;              // all have to be above the threshold
constexpr float kLeastMisalignment = 1e-3f;  // 2.6 degrees: below it noise decides

// A field's sample at a joint, as a direction: weak samples count less.
PPF_HD Vector direction_of(Vector sample) {
  const float magnitude = square_root(sample.x * sample.x + sample.y * sample.y);
  const float divisor = magnitude > 0.1f ? magnitude : 0.1f;
  return {sample.x / divisor, sample.y / divisor};
}

constexpr float kLeastAgreement = 0.8f;  // sum of the cosines at both joints

// Number: float, or a vector of them; the result is a bool, or a vector of masks.
template <class Number>
PPF_HD auto may_be_linked(Number dx, Number dy, Number at_both_x, Number at_both_y, float most_length) {
  const Number square = dx * dx + dy * dy;
  const Number along = at_both_x * dx + at_both_y * dy;
  // along / length > kLeastAgreement, without the root; what is not finite fails.
  return (along > 0.0f) & (along * along > kLeastAgreement * kLeastAgreement * square) & (square > 0.0f) &
         (square <= most_length * most_length);
}

// A sample of the field between two joints that are `step` apart.
PPF_HD bool runs_along(Vector sample, Vector step, float threshold) {
  const float along = sample.x * step.x + sample.y * step.y;
  return (along > 0.0f) & (along * along > threshold * threshold * (step.x * step.x + step.y * step.y)) &
         (along < kInfinity);
}

template <class T>
PPF_HD bool runs_along(const Field<T>& field, Place a, Place b, float part, float threshold) {
  const Vector step{b.x - a.x, b.y - a.y};
  return runs_along(field.nearest(along(a, step, part)), step, threshold);
}

struct LineSums {
  float good = 0.0f;     // samples above the threshold
  float total = 0.0f;    // of magnitudes: finite when all samples are
  float aligned = 0.0f;  // of cosines

  PPF_HD void add(Vector sample, Vector unit, float threshold) {
    const float along = sample.x * unit.x + sample.y * unit.y;
    const float magnitude = square_root(sample.x * sample.x + sample.y * sample.y);
    good += along > threshold ? 1.0f : 0.0f;
    total += magnitude;
    aligned += along / (magnitude > 1e-3f ? magnitude : 1e-3f);
  }
};

// Tells `visit` each sample of a line: its number, and which part of the way it is at. Written out one by one, since
// compilers do not vectorise a loop over pairs that has another inside.
template <class Visit>
PPF_HD void visit_line(const Visit& visit) {
  visit(0, 0.1f);
  visit(1, 0.3f);
  visit(2, 0.5f);
  visit(3, 0.7f);
  visit(4, 0.9f);
}

// Half the logarithm of how far, relative to chance, the field speaks for the pair: how well its direction agrees
// (1 - cos is half the squared angle), against how many other candidates as near as this one are to be expected.
// Weighed by logistic regression over synthetic crowds. `sample_at` takes what `visit_line` tells.
template <class SampleAt>
PPF_HD float line_score(Vector step, float threshold, const SampleAt& sample_at) {
  const float length = square_root(step.x * step.x + step.y * step.y);
  const Vector unit{step.x / length, step.y / length};
  LineSums sums;
  const auto add = [&](int number, float part) { sums.add(sample_at(number, part), unit, threshold); };
  visit_line(add);
  const float off = 1.0f - sums.aligned * (1.0f / kLineSamples);
  const float misalignment = off > kLeastMisalignment ? off : kLeastMisalignment;
  const float score = -0.7f * log_of(misalignment) - log_of(length);
  return ((sums.good == kLineSamples) & is_finite(sums.total) & is_finite(score)) ? score : kNoLink;
}

template <class T>
PPF_HD float line_score(const Field<T>& field, Place a, Place b, float threshold) {
  const Vector step{b.x - a.x, b.y - a.y};
  return line_score(step, threshold, [&](int, float part) { return field.bilinear(along(a, step, part)); });
}

// ---- kOpenPose --------------------------------------------------------------------------------------------------

constexpr int kLeastOpenPoseSamples = 5, kMostOpenPoseSamples = 25;
constexpr float kOpenPoseFraction = 0.95f;
constexpr float kOpenPosePeakThreshold = 0.05f;

template <class T>
PPF_HD float openpose_score(const Field<T>& field, Place a, Place b, float threshold) {
  const Place from{to_upsampled(a.x), to_upsampled(a.y)}, to{to_upsampled(b.x), to_upsampled(b.y)};
  const float dx = to.x - from.x, dy = to.y - from.y;
  const float length = square_root(dx * dx + dy * dy);
  if (!(length > 1e-6f) || !is_finite(length)) return kNoLink;
  const float longest = absolute(dx) > absolute(dy) ? absolute(dx) : absolute(dy);
  const int32_t count =
      clamp_to(static_cast<int32_t>(square_root(5.0f * longest) + 0.5f), kLeastOpenPoseSamples, kMostOpenPoseSamples);
  const float ux = dx / length, uy = dy / length;
  const float step_x = dx / static_cast<float>(count), step_y = dy / static_cast<float>(count);
  const Grid& grid = field.grid;
  const int32_t height = grid.height * kUpsample, width = grid.width * kUpsample;
  const Map<T> map_x{field.x, grid.height, grid.width, grid.stride_y, grid.stride_x, false};
  const Map<T> map_y{field.y, grid.height, grid.width, grid.stride_y, grid.stride_x, false};
  // So near that the field between the two is hardly there: they pass for one place.
  const float side = square_root(static_cast<float>(width) * static_cast<float>(height));
  const bool is_near = length < side / 150.0f;
  const float needed = kOpenPoseFraction * static_cast<float>(count);
  float samples[kMostOpenPoseSamples];
  int32_t good = count;
  for (int32_t s = 0; s < count; ++s) {
    // From the middle, since the field near both ends may be that of limbs which end there too: most pairs that are no
    // limb are through after one sample. A prime above all counts leads to every sample.
    const int32_t i = (count / 2 + s * 29) % count;
    const float t = static_cast<float>(i);
    const int32_t x = Grid::rounded(from.x + t * step_x, width), y = Grid::rounded(from.y + t * step_y, height);
    samples[i] = ux * upsampled_value(map_x, y, x) + uy * upsampled_value(map_y, y, x);
    if (!is_finite(samples[i])) return kNoLink;
    if (samples[i] > threshold) continue;
    --good;
    if (!is_near && !(static_cast<float>(good) > needed)) return kNoLink;
  }
  if (!(static_cast<float>(good) > needed)) return is_near ? kOpenPosePeakThreshold + 1e-6f : kNoLink;
  float total = 0.0f;
  for (int32_t i = 0; i < count; ++i) total += samples[i] > threshold ? samples[i] : 0.0f;
  return total / static_cast<float>(good);
}

// ---- kTrtPose ---------------------------------------------------------------------------------------------------

constexpr int kTrtPoseSamples = 7;

// Every pair has a score, good or bad: the assignment weighs them all.
template <class T>
PPF_HD float trt_pose_score(const Field<T>& field, Place a, Place b) {
  const Grid& grid = field.grid;
  const float dx = b.x - a.x, dy = b.y - a.y;
  const float length = square_root(dx * dx + dy * dy) + 1e-5f;
  const float ux = dx / length, uy = dy / length;
  float total = 0.0f;
  for (int i = 0; i < kTrtPoseSamples; ++i) {
    const float part = static_cast<float>(i) / (kTrtPoseSamples - 1);
    const float x = a.x + 0.5f + dx * part, y = a.y + 0.5f + dy * part;
    // Cut off towards zero, so that the pixel left of the map is still its first.
    const bool is_inside =
        (x > -1.0f) & (x < static_cast<float>(grid.width)) & (y > -1.0f) & (y < static_cast<float>(grid.height));
    if (!is_inside) continue;
    const Vector sample = field.at(static_cast<int32_t>(y) * grid.stride_y + static_cast<int32_t>(x) * grid.stride_x);
    total += sample.x * ux + sample.y * uy;
  }
  const float score = total / kTrtPoseSamples;
  return is_finite(score) ? score : kNoLink;
}

// Every rule but kLine, which is screened first.
template <class T>
PPF_HD float link_score(const LimbSpec& spec, const Field<T>& field, Place a, Place b) {
  return spec.rule == LinkRule::kOpenPose ? openpose_score(field, a, b, spec.threshold) : trt_pose_score(field, a, b);
}

// ---- the best partners of one candidate -------------------------------------------------------------------------

struct Row {
  int32_t* partner;
  float* score;
  int32_t capacity;
  int32_t count = 0, total = 0;

  // Offers come in the order of their index, so that of equal scores the earlier stays before the later.
  PPF_HD void offer(int32_t index, float value) {
    ++total;
    if (count == capacity) {
      if (!(value > score[count - 1])) return;
      --count;
    }
    int32_t at = count++;
    for (; at > 0 && value > score[at - 1]; --at) {
      score[at] = score[at - 1];
      partner[at] = partner[at - 1];
    }
    score[at] = value;
    partner[at] = index;
  }
};

constexpr int32_t kNoCandidate = 0x7fffffff;

// The nearest kMostScored of the other candidates. Integer: int32_t, or a vector of them for as many candidates at
// once. One that is near is a number: its distance, squared and to 17 binary digits, with its index where the others
// were. Such numbers are in the order of distances, and of equally near ones in that of the index.
template <class Integer>
struct Nearest {
  static constexpr int32_t kIndex = kMaxCandidates - 1;
  static_assert((kMaxCandidates & kIndex) == 0, "an index is some bits");

  Integer near[kMostScored];

  PPF_HD Nearest() {
    for (Integer& each : near) each = Integer{} + kNoCandidate;
  }

  // `square`: the bits of a float. Those of floats that are not negative are in the order of the floats.
  PPF_HD static Integer number_of(const Integer& square, int32_t index) { return (square & ~kIndex) | index; }

  PPF_HD void offer(Integer number) {
    for (Integer& each : near) put_in_order(each, number);
  }

  PPF_HD void sort() {
    static_assert(kMostScored == 4, "a network for four");
    put_in_order(near[0], near[1]);
    put_in_order(near[2], near[3]);
    put_in_order(near[0], near[2]);
    put_in_order(near[1], near[3]);
    put_in_order(near[1], near[2]);
  }

  // Leaves the indices, in order; kNoCandidate where there are fewer.
  PPF_HD void keep_indices() {
    for (Integer& each : near) each = each == kNoCandidate ? each : each & kIndex;
    sort();
  }

 private:
  PPF_HD static void put_in_order(Integer& a, Integer& b) {
    const Integer first = a < b ? a : b;
    b = a < b ? b : a;
    a = first;
  }
};

}  // namespace ppf

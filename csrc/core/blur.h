// The sub-pixel rules that read a blurred map: DARK, UDP-DARK and CPN's second peak. No blurred map is ever written. A
// Taylor step needs 25 of its samples, which are summed from the samples around the peak, row by row.
#pragma once

#include <cstdint>

#include "core/lanes.h"
#include "core/peaks.h"

namespace ppf {

constexpr int kPatch = 5;                            // blurred samples per side around the peak
constexpr int kMaxLine = kMaxKernel + kPatch - 1;    // samples of one row that they read
constexpr float kFlat = 1e-10f;                      // DARK clamps here before the logarithm
constexpr float kUdpLow = 0.001f, kUdpHigh = 50.0f;  // and UDP-DARK to this interval
constexpr float kLongestStep = 2.0f;                 // a longer step leaves the samples it was fitted to

// The sample as the border rule of the spec shows it: mirrored (UDP-DARK) or zero outside.
template <class T>
PPF_HD float blur_tap(const Map<T>& map, bool mirrored, int y, int x) {
  if (mirrored) return map.value(reflect_101(y, map.height), reflect_101(x, map.width));
  return map.contains(y, x) ? map.value(y, x) : 0.0f;
}

// Copies `length` samples of row y from column x on.
template <class T>
PPF_HD void load_line(const Map<T>& map, bool mirrored, int y, int x, int length, float* line) {
  const bool is_inside = y >= 0 && y < map.height && x >= 0 && x + length <= map.width;
  if (is_inside && map.stride_x == 1 && !map.logits) {
    const T* samples = map.data + y * map.stride_y + x;
    for (int i = 0; i < length; ++i) line[i] = to_float(samples[i]);
  } else {
    for (int i = 0; i < length; ++i) line[i] = blur_tap(map, mirrored, y, x + i);
  }
}

// Logarithm of a blurred sample after the rule's clamp. NaN when the blur met a sample that is not finite: every test
// of taylor_step then fails.
PPF_HD float log_of_blurred(float blurred, bool udp) {
  const float low = udp ? kUdpLow : kFlat, high = udp ? kUdpHigh : kLargest;
  float clamped = blurred > low ? blurred : low;
  clamped = clamped < high ? clamped : high;
  return is_finite(blurred) ? log_of(clamped) : kNan;
}

// Solves H step = -gradient. False when the surface is not a hilltop there, or the step leaves the fitted samples.
PPF_HD bool taylor_step(float dx, float dy, float dxx, float dxy, float dyy, Place& step) {
  const float determinant = dxx * dyy - dxy * dxy;
  if (!(dxx < 0.0f && dyy < 0.0f && determinant > 0.0f)) return false;
  step.x = -(dyy * dx - dxy * dy) / determinant;
  step.y = -(dxx * dy - dxy * dx) / determinant;
  return absolute(step.x) <= kLongestStep && absolute(step.y) <= kLongestStep;
}

// The step of DARK from the logarithms l[5][5] of the blurred samples around the peak.
PPF_HD bool dark_step(const float l[kPatch][kPatch], Place& step) {
  const float centre = l[2][2];
  const float dx = 0.5f * (l[2][3] - l[2][1]), dy = 0.5f * (l[3][2] - l[1][2]);
  const float dxx = 0.25f * (l[2][4] - 2.0f * centre + l[2][0]);
  const float dyy = 0.25f * (l[4][2] - 2.0f * centre + l[0][2]);
  const float dxy = 0.25f * (l[3][3] - l[1][3] - l[3][1] + l[1][1]);
  return taylor_step(dx, dy, dxx, dxy, dyy, step);
}

// The same in UDP's form, which takes second differences over one sample and adds an epsilon to the diagonal.
PPF_HD bool udp_step(const float l[kPatch][kPatch], Place& step) {
  constexpr float kEpsilon = 1.1920929e-7f;
  const float centre = l[2][2];
  const float dx = 0.5f * (l[2][3] - l[2][1]), dy = 0.5f * (l[3][2] - l[1][2]);
  const float dxx = l[2][3] - 2.0f * centre + l[2][1] + kEpsilon;
  const float dyy = l[3][2] - 2.0f * centre + l[1][2] + kEpsilon;
  const float dxy = 0.5f * (l[3][3] - l[2][3] - l[3][2] + 2.0f * centre - l[2][1] - l[1][2] + l[1][1]);
  return taylor_step(dx, dy, dxx, dxy, dyy, step);
}

// DARK leaves peaks within two cells of the border where they are.
template <class T>
PPF_HD bool is_blur_refined(const PeakSpec& spec, const Map<T>& map, int py, int px) {
  if (spec.refine == Refine::kUdpDark) return true;
  return px > 1 && px < map.width - 2 && py > 1 && py < map.height - 2;
}

// From the blurred samples around the peak, [5][5], to its place. UDP repeats the outermost blurred sample beyond the
// border.
template <class T>
PPF_HD Place refine_from_blurred(const PeakSpec& spec, const Map<T>& map, const float blurred[kPatch][kPatch], int py,
                                 int px) {
  const bool udp = spec.refine == Refine::kUdpDark;
  float all[kPatch * kPatch];  // in one loop, so that a vector unit takes several at once
  const float* samples = blurred[0];
  for (int i = 0; i < kPatch * kPatch; ++i) all[i] = log_of_blurred(samples[i], udp);
  float logs[kPatch][kPatch];
  for (int i = 0; i < kPatch; ++i) {
    for (int j = 0; j < kPatch; ++j) {
      const int row = udp ? clamp_to(py + i - 2, 0, map.height - 1) - py + 2 : i;
      const int column = udp ? clamp_to(px + j - 2, 0, map.width - 1) - px + 2 : j;
      logs[i][j] = all[row * kPatch + column];
    }
  }
  Place step{0.0f, 0.0f};
  if (!(udp ? udp_step(logs, step) : dark_step(logs, step))) return quarter_step(map, py, px);
  return {static_cast<float>(px) + step.x, static_cast<float>(py) + step.y};
}

// One thread computes the whole patch: sums over a row first, then over rows, both in ascending order.
template <class T>
PPF_HD void blur_patch(const PeakSpec& spec, const Map<T>& map, int py, int px, float blurred[kPatch][kPatch]) {
  const int radius = spec.kernel / 2, line_length = spec.kernel + kPatch - 1;
  const bool mirrored = spec.refine == Refine::kUdpDark;
  Lanes sums[kPatch];  // three lanes more than the patch is wide
  float line[kMaxLine + kLaneCount] = {};
  for (int i = 0; i < line_length; ++i) {
    load_line(map, mirrored, py - radius - 2 + i, px - radius - 2, line_length, line);
    Lanes row;
    for (int t = 0; t < spec.kernel; ++t) row.add(spec.weights[t], line + t);
    float row_sums[kLaneCount];
    row.store(row_sums);
    for (int r = 0; r < kPatch; ++r) {
      const int t = i - r;  // which tap of blurred row r this source row is
      if (t >= 0 && t < spec.kernel) sums[r].add(spec.weights[t], row_sums);
    }
  }
  for (int r = 0; r < kPatch; ++r) {
    float row_sums[kLaneCount];
    sums[r].store(row_sums);
    for (int c = 0; c < kPatch; ++c) blurred[r][c] = row_sums[c];
  }
}

PPF_HD bool reads_blurred(Refine refine) { return refine == Refine::kDark || refine == Refine::kUdpDark; }

// Any rule but kSecondPeak, by one thread.
template <class T>
PPF_HD Place refine_peak(const PeakSpec& spec, const Map<T>& map, const OffsetView& offsets, int64_t index,
                         int64_t channels, int py, int px) {
  if (!reads_blurred(spec.refine) || !is_blur_refined(spec, map, py, px)) {
    return refine_locally(spec, map, offsets, index, channels, py, px);
  }
  float blurred[kPatch][kPatch];
  blur_patch(spec, map, py, px, blurred);
  return refine_from_blurred(spec, map, blurred, py, px);
}

// ---- CPN's second peak ------------------------------------------------------------------------------------------

constexpr int kSecondPeakTaps = 21;
constexpr int kSecondPeakPad = 10;  // blurred samples exist this far outside the map

// Sample of the map over its largest one, zero outside and where it is not finite.
template <class T>
PPF_HD float relative_sample(const Map<T>& map, float largest, int y, int x) {
  return map.contains(y, x) ? map.weight(y, x) / largest : 0.0f;
}

// The two highest blurred samples; the better of two equal ones is the earlier in raster order.
struct TopTwo {
  int32_t key[2] = {kNever, kNever};
  int32_t index[2] = {INT32_MAX, INT32_MAX};

  PPF_HD static bool is_better(int32_t key, int32_t index, int32_t than_key, int32_t than_index) {
    return key > than_key || (key == than_key && index < than_index);
  }

  PPF_HD void offer(int32_t new_key, int32_t new_index) {
    if (is_better(new_key, new_index, key[0], index[0])) {
      key[1] = key[0];
      index[1] = index[0];
      key[0] = new_key;
      index[0] = new_index;
    } else if (is_better(new_key, new_index, key[1], index[1])) {
      key[1] = new_key;
      index[1] = new_index;
    }
  }
};

// From the two highest blurred samples, indices into the padded map, to the place and the score there.
template <class T>
PPF_HD Place second_peak_place(const Map<T>& map, const TopTwo& top, float& score) {
  const int padded_width = map.width + 2 * kSecondPeakPad;
  const int first_row = top.index[0] / padded_width, second_row = top.index[1] / padded_width;
  const float x = static_cast<float>(top.index[0] % padded_width - kSecondPeakPad);
  const float y = static_cast<float>(first_row - kSecondPeakPad);
  const float dx = static_cast<float>(top.index[1] % padded_width - kSecondPeakPad) - x;
  const float dy = static_cast<float>(second_row - kSecondPeakPad) - y;
  // A negative second sample would lose to the erased first one, and the way to oneself has no direction.
  const bool has_direction = top.key[1] >= 0;
  const float distance = square_root(dx * dx + dy * dy);
  Place at{x, y};
  if (has_direction && distance > 1e-3f) {
    at.x += 0.25f * dx / distance;
    at.y += 0.25f * dy / distance;
  }
  const float right = static_cast<float>(map.width - 1), bottom = static_cast<float>(map.height - 1);
  at.x = at.x < 0.0f ? 0.0f : (at.x > right ? right : at.x);
  at.y = at.y < 0.0f ? 0.0f : (at.y > bottom ? bottom : at.y);
  score = map.weight(round_to_even(at.y), round_to_even(at.x));
  return {at.x + 0.5f, at.y + 0.5f};
}

}  // namespace ppf

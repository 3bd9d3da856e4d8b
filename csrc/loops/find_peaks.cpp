// The local maxima of each map, best first.
#include <cstring>

#include "core/blur.h"
#include "core/shoulders.h"
#include "loops/loops.h"
#include "loops/scan.h"
#include "loops/tops.h"
#include "ops/scratch.h"

namespace ppf::loops::PPF_ISA {
namespace {

// The peaks of one map with what their refinement reads, one array per quantity, so that loops over them become vector
// code.
struct PeakTable {
  int32_t *x, *y;
  float *west, *east, *north, *south;
  float *step_x, *step_y;
  float *left, *right, *up, *down;  // flanks of the blobs
  Shoulder* shoulder;

  PeakTable(uint32_t* scratch, int32_t capacity) {
    const int64_t length = table_length(capacity);
    const auto floats = [&](int which) { return reinterpret_cast<float*>(scratch + which * length); };
    const auto integers = [&](int which) { return reinterpret_cast<int32_t*>(scratch + which * length); };
    x = integers(0), y = integers(1);
    west = floats(2), east = floats(3), north = floats(4), south = floats(5);
    step_x = floats(6), step_y = floats(7);
    left = floats(8), right = floats(9), up = floats(10), down = floats(11);
    shoulder = reinterpret_cast<Shoulder*>(scratch + 12 * length);
  }
};

template <class T>
void fill_table(const Map<T>& map, const Shortlist& list, const PeakTable& table, float* score) {
  for (int32_t i = 0; i < list.count; ++i) {
    const int y = list.index[i] / map.width, x = list.index[i] - y * map.width;
    // 0 where there is nothing, or nothing finite: without both neighbours there is no parabola.
    const bool has_row = x > 0 && x < map.width - 1, has_column = y > 0 && y < map.height - 1;
    score[i] = map.value(y, x);
    table.x[i] = x;
    table.y[i] = y;
    table.west[i] = has_row ? map.weight(y, x - 1) : 0.0f;
    table.east[i] = has_row ? map.weight(y, x + 1) : 0.0f;
    table.north[i] = has_column ? map.weight(y - 1, x) : 0.0f;
    table.south[i] = has_column ? map.weight(y + 1, x) : 0.0f;
  }
}

// The rule that part affinity decoding uses, for all peaks at once.
void refine_log_parabolas(int32_t count, const PeakTable& table, float* xy, const float* score) {
  const float *west = table.west, *east = table.east, *north = table.north, *south = table.south;
  float *step_x = table.step_x, *step_y = table.step_y;
  for (int32_t i = 0; i < count; ++i) step_x[i] = log_parabola(west[i], score[i], east[i]);
  for (int32_t i = 0; i < count; ++i) step_y[i] = log_parabola(north[i], score[i], south[i]);
  for (int32_t i = 0; i < count; ++i) {
    xy[2 * i] = static_cast<float>(table.x[i]) + step_x[i];
    xy[2 * i + 1] = static_cast<float>(table.y[i]) + step_y[i];
  }
}

// ---- shoulders ----------------------------------------------------------------------------------------------------

constexpr int kWindow = 8;  // samples of a row that are looked at together; the five of a blob are among them

// Peaks whose window lies in the map: there the flanks are those that were read for the refinement.
template <class T>
bool is_inside(const Map<T>& map, int32_t y, int32_t x) {
  return x >= kShoulderReach && x < map.width - kShoulderReach && y >= kShoulderReach &&
         y < map.height - kShoulderReach && map.width >= kWindow;
}

template <class T>
Blob table_blob(const Map<T>& map, const PeakTable& table, const float* score, int32_t m) {
  if (!is_inside(map, table.y[m], table.x[m])) return blob_of(map, table.y[m], table.x[m]);
  Blob blob;
  blob.x = table.x[m];
  blob.y = table.y[m];
  blob.peak = score[m];
  foretell({table.left[m], table.right[m]}, blob.along_x);
  foretell({table.up[m], table.down[m]}, blob.along_y);
  return blob;
}

// As steepest_shoulder(), for a plain map: most windows hold nothing that rises at all, which forty comparisons side
// by side find out. Of what rises, the steepest is looked at first, since that is nearly always it.
Shoulder steepest_inside(const PeakSpec& spec, const Map<float>& map, const Blob& blob) {
  constexpr int kRows = 2 * kShoulderReach + 1;
  const int32_t west = blob.x - kShoulderReach, start = smaller(west, map.width - kWindow);
  // Beyond the blob's five samples nothing can rise.
  alignas(64) float padded[3 * kWindow];
  for (float& part : padded) part = 1e30f;
  std::memcpy(padded + kWindow, blob.along_x, sizeof blob.along_x);
  const float* const along_x = padded + kWindow - (west - start);
  alignas(64) uint8_t rises[kRows * kWindow];
  for (int32_t row = 0; row < kRows; ++row) {
    const float* const samples = map.data + (blob.y - kShoulderReach + row) * map.stride_y + start;
    const float along_y = blob.along_y[row], peak = blob.peak;
    uint8_t* const out = rises + row * kWindow;
    for (int32_t i = 0; i < kWindow; ++i) {
      const float rise = samples[i] - peak * (along_x[i] * along_y);
      out[i] = static_cast<uint8_t>((rise > kLeastRise) & (rise > kLeastRisePart * samples[i]));
    }
  }
  Shoulder high[kRows * kWindow];
  int32_t count = 0;
  for (int32_t row = 0; row < kRows; ++row) {
    uint64_t eight;
    std::memcpy(&eight, rises + row * kWindow, sizeof eight);
    for (; eight != 0; eight &= eight - 1) {
      const int32_t x = start + __builtin_ctzll(eight) / 8, y = blob.y - kShoulderReach + row;
      high[count++] = {y, x, map.value(y, x) - blob.at(y, x)};
    }
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
Shoulder find_shoulder(const PeakSpec& spec, const Map<T>& map, const Blob& blob) {
  return steepest_shoulder(spec, map, blob);
}

template <>
Shoulder find_shoulder<float>(const PeakSpec& spec, const Map<float>& map, const Blob& blob) {
  const bool is_plain = map.stride_x == 1 && !map.logits && is_inside(map, blob.y, blob.x);
  return is_plain ? steepest_inside(spec, map, blob) : steepest_shoulder(spec, map, blob);
}

// A bit for each of kStrip peaks from `start`.
uint32_t peaks_within_reach(const PeakTable& table, int32_t start, int32_t peaks, const Shoulder& shoulder) {
  constexpr int32_t kBeyond = kShoulderReach + 1;
  const Strip x = load_strip(table.x + start), y = load_strip(table.y + start);
  const uint32_t exist = peaks - start < kStrip ? (1u << (peaks - start)) - 1 : 0xffffu;
  return exist & mask_above(x, strip_of(shoulder.x - kBeyond)) & mask_above(strip_of(shoulder.x + kBeyond), x) &
         mask_above(y, strip_of(shoulder.y - kBeyond)) & mask_above(strip_of(shoulder.y + kBeyond), y);
}

// Appends the shoulders of the peaks, in their order; returns how many there are, kept or not.
template <class T>
int32_t append_shoulders(const PeakSpec& spec, const Map<T>& map, int32_t peaks, const PeakTable& table, float* xy,
                         float* score, int32_t capacity) {
  const float *west = table.west, *east = table.east, *north = table.north, *south = table.south;
  for (int32_t i = 0; i < peaks; ++i) {
    const Flanks flanks = flanks_of(west[i], score[i], east[i]);
    table.left[i] = flanks.before;
    table.right[i] = flanks.after;
  }
  for (int32_t i = 0; i < peaks; ++i) {
    const Flanks flanks = flanks_of(north[i], score[i], south[i]);
    table.up[i] = flanks.before;
    table.down[i] = flanks.after;
  }
  int32_t found = 0;
  for (int32_t m = 0; m < peaks; ++m) {
    const Shoulder shoulder = find_shoulder(spec, map, table_blob(map, table, score, m));
    table.shoulder[m] = shoulder;
    if (shoulder.x < 0) continue;
    const float sample = map.value(shoulder.y, shoulder.x);
    bool is_explained = false;
    for (int32_t start = 0; start < peaks && !is_explained; start += kStrip) {
      for (uint32_t near = peaks_within_reach(table, start, peaks, shoulder); near != 0; near &= near - 1) {
        const int32_t other = start + lowest_bit(near);
        if (other == m) continue;
        // Between two peaks, both find the same one; the first has it.
        is_explained |= (other < m && table.shoulder[other].is_at(shoulder)) ||
                        !is_rise(sample - table_blob(map, table, score, other).at(shoulder.y, shoulder.x), sample);
      }
    }
    if (is_explained) continue;
    const int32_t entry = peaks + found++;
    if (entry >= capacity) continue;
    const Place at = shoulder_place(map, shoulder, {xy[2 * m], xy[2 * m + 1]});
    xy[2 * entry] = at.x;
    xy[2 * entry + 1] = at.y;
    score[entry] = sample;
  }
  return found;
}

template <class T>
void find_peaks_of(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const PeakLists& out,
                   uint32_t* scratch, int64_t first, int64_t last) {
  const FindScratch parts(maps, out.capacity);
  const PeakTable table(scratch + parts.shortlist + parts.bits + parts.stack, out.capacity);
  for (int64_t index = first; index < last; ++index) {
    const Map<T> map = map_at<T>(maps, index, spec.logits);
    int32_t* const words = reinterpret_cast<int32_t*>(scratch);
    Shortlist list{words, words + out.capacity, words + 2 * out.capacity, out.capacity};
    Plateaus plateaus{scratch + parts.shortlist, reinterpret_cast<int32_t*>(scratch + parts.shortlist + parts.bits),
                      parts.bits};
    out.nonfinite[index] = examine_map(spec, map, list, plateaus);
    list.order();
    float* const xy = out.xy + index * out.capacity * 2;
    float* const score = out.score + index * out.capacity;
    fill_table(map, list, table, score);
    if (spec.refine == Refine::kLogParabola) {
      refine_log_parabolas(list.count, table, xy, score);
    } else {
      for (int32_t m = 0; m < list.count; ++m) {
        const Place at = refine_peak(spec, map, offsets, index, maps.k, table.y[m], table.x[m]);
        xy[2 * m] = at.x;
        xy[2 * m + 1] = at.y;
      }
    }
    const int32_t shoulders =
        spec.shoulders ? append_shoulders(spec, map, list.count, table, xy, score, out.capacity) : 0;
    out.total[index] = list.total + shoulders;
    out.count[index] = smaller(list.count + shoulders, out.capacity);
    if (!spec.clears_rest) continue;
    const int32_t count = out.count[index];
    std::memset(xy + 2 * count, 0, sizeof(float) * 2 * static_cast<size_t>(out.capacity - count));
    std::memset(score + count, 0, sizeof(float) * static_cast<size_t>(out.capacity - count));
  }
}

}  // namespace

void find_peaks(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const PeakLists& out,
                uint32_t* scratch, int64_t first, int64_t last) {
  if (maps.is_half) {
    find_peaks_of<Half>(spec, maps, offsets, out, scratch, first, last);
  } else {
    find_peaks_of<float>(spec, maps, offsets, out, scratch, first, last);
  }
}

}  // namespace ppf::loops::PPF_ISA

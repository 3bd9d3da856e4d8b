// For every limb, the pairs of candidates that its field speaks for.
//
// kLine makes one list of the pairs of all limbs of an image, since a limb by itself has few, and takes it through pass
// after pass. What is read from the fields lies anywhere, so each pass is in three: where to read, for all pairs in
// vectors; reading, pair by pair; and judging, in vectors again.
#include <cstring>

#include "core/limbs.h"
#include "loops/loops.h"
#include "loops/wide.h"
#include "ops/scratch.h"

namespace ppf::loops::PPF_ISA {
namespace {

// The candidates of all joints: `room` entries for each, those past the last candidate nowhere.
struct Places {
  float *x, *y;
  int32_t* sample;  // the nearest, as an offset into any channel
  int32_t room;
};

// The directions of fields at candidates, one after the other.
struct Directions {
  float *x, *y;
  void *sample_x, *sample_y;
};

// A pair as one number: limb, first and second candidate.
constexpr int32_t kLimbShift = 16, kFirstShift = 8, kCandidate = 0xff;
static_assert(kMaxCandidates <= kCandidate + 1 && kLimbShift == 2 * kFirstShift);

struct Pairs {
  int32_t* key;
  float *x, *y;            // of the first candidate
  float *step_x, *step_y;  // from there to the second
  int32_t* sample;
  void *sample_x, *sample_y;
  float* score;
  int32_t* passes;
  int32_t *row, *rank, *earlier;
};

Place place_of(const PeakLists& peaks, int64_t list, int32_t index) {
  const float* xy = peaks.xy + (list * peaks.capacity + index) * 2;
  return {xy[0], xy[1]};
}

template <class T>
struct Channels {
  const T *x, *y;
};

// In the loops below everything they read is a local: what is written could otherwise be anything, and each would be
// read again.

// Entries past `count` are read where there are any, and forgotten.
void fill_places(const PeakLists& peaks, int64_t list, const Grid& map, const Places& places) {
  const Grid grid = map;
  const int32_t count = peaks.count[list];
  const float* xy = peaks.xy + list * peaks.capacity * 2;
  for (int32_t i = 0; i < count; i += kWide, xy += 2 * kWide) {
    float last[2 * kWide];
    const bool is_whole = i + kWide <= peaks.capacity;
    if (!is_whole) std::memcpy(last, xy, static_cast<std::size_t>(peaks.capacity - i) * 2 * sizeof(float));
    const float* const from = is_whole ? xy : last;
    const Sides place = sides_of(load(from), load(from + kWide));
    const WideInt is_there = counted() + i < count;
    store(is_there ? place.first : all_of(kNan), places.x + i);
    store(is_there ? place.second : all_of(kNan), places.y + i);
  }
  const float *const x = places.x, *const y = places.y;
  int32_t* const __restrict sample = places.sample;
  const int32_t end = whole(count);
#pragma GCC ivdep
  for (int32_t i = 0; i < end; ++i) sample[i] = grid.nearest({x[i], y[i]});
}

// Keeps those entries for which `passes` says so. What is written never reaches what has not been read.
template <class... Value>
int32_t keep(const int32_t* passes, int32_t count, Value*... values) {
  int32_t kept = 0;
  for (int32_t p = 0; p < count; p += kWide) {
    uint32_t mask = mask_of(load(passes + p));
    if (count - p < kWide) mask &= (1u << (count - p)) - 1;
    const Picked picked(mask);
    (picked.store(load(values + p), values + kept), ...);
    kept += picked.count();
  }
  return kept;
}

// Leaves the nearest kMostScored of more pairs of one candidate, in order.
void keep_nearest(const Pairs& pairs, int32_t first, int32_t count) {
  float squares[kMaxCandidates + kWide];
  WideFloat square[kMaxCandidates / kWide];
  uint32_t mask[kMaxCandidates / kWide];
  const int32_t strips = whole(count) / kWide;
  for (int32_t s = 0; s < strips; ++s) {
    const WideFloat dx = load(pairs.step_x + first + s * kWide), dy = load(pairs.step_y + first + s * kWide);
    square[s] = counted() + s * kWide < all_of(count) ? dx * dx + dy * dy : all_of(kInfinity);
    store(square[s], squares + s * kWide);
  }
  int32_t kept = 0;
  for (int32_t s = 0; s < strips; ++s) {
    WideInt nearer = all_of(0);
    for (int32_t r = 0; r < count; ++r) nearer = squares[r] < square[s] ? nearer + 1 : nearer;
    mask[s] = mask_of(nearer < kMostScored);
    kept += __builtin_popcount(mask[s]);
  }
  // Of equally far ones the last are too many.
  if (kept > kMostScored) {
    float farthest = 0.0f;
    for (int32_t r = 0; r < count; ++r) {
      if ((mask[r / kWide] >> (r % kWide) & 1) != 0 && squares[r] > farthest) farthest = squares[r];
    }
    for (int32_t r = count - 1; kept > kMostScored; --r) {
      if ((mask[r / kWide] >> (r % kWide) & 1) == 0 || squares[r] != farthest) continue;
      mask[r / kWide] &= ~(1u << (r % kWide));
      --kept;
    }
  }
  for (int32_t s = 0, to = first; s < strips; ++s) {
    const int32_t from = first + s * kWide;
    const Picked picked(mask[s]);
    picked.store(load(pairs.step_x + from), pairs.step_x + to);
    picked.store(load(pairs.step_y + from), pairs.step_y + to);
    picked.store(load(pairs.key + from), pairs.key + to);
    to += picked.count();
  }
}

template <class T>
class Lines {
 public:
  Lines(const LimbSpec& spec, const MapView& fields, const PeakLists& peaks, const LinkLists& out, float* scratch)
      : spec_(spec), grid_(grid_of(fields)), fields_(fields), peaks_(peaks), out_(out) {
    const LimbScratch room(peaks.capacity);
    const auto floats = [&](int64_t count) {
      float* const here = scratch;
      scratch += count;
      return here;
    };
    const auto integers = [&](int64_t count) { return reinterpret_cast<int32_t*>(floats(count)); };
    const int64_t all = int64_t{kMaxJoints} * room.joint;
    places_ = {floats(all), floats(all), integers(all), room.joint};
    directions_ = {floats(room.ends), floats(room.ends), floats(room.ends), floats(room.ends)};
    const auto list = [&] { return floats(room.pairs) + LimbScratch::kPastEnd; };
    const auto integer_list = [&] { return reinterpret_cast<int32_t*>(list()); };
    pairs_ = {integer_list(), list(), list(),         list(),         list(),         integer_list(), list(),
              list(),         list(), integer_list(), integer_list(), integer_list(), integer_list()};
  }

  // Limbs first..last of image n.
  void score(int64_t n, int32_t first, int32_t last) {
    image_ = n;
    for (int32_t k = 0; k < spec_.joints; ++k) fill_places(peaks_, n * spec_.joints + k, grid_, places_of(k));
    for (int32_t l = first; l < last; ++l) {
      const Field<T> field = field_at<T>(fields_, n, spec_.limb[l]);
      channels_[l] = {field.x, field.y};
    }
    while (first < last) {
      const int32_t end = fill_directions(first, last);
      int32_t direction = 0;
      for (; first < end; ++first) direction = screen(first, direction);
    }
    finish();
  }

 private:
  int32_t count_of(int32_t joint) const { return peaks_.count[image_ * spec_.joints + joint]; }

  Places places_of(int32_t joint) const {
    const int32_t first = joint * places_.room;
    return {places_.x + first, places_.y + first, places_.sample + first, places_.room};
  }

  int32_t read_directions(int32_t joint, const Channels<T>& channels, int32_t to) const {
    const int32_t count = count_of(joint);
    const int32_t* const sample = places_of(joint).sample;
    T* const x = static_cast<T*>(directions_.sample_x) + to;
    T* const y = static_cast<T*>(directions_.sample_y) + to;
    for (int32_t i = 0; i < count; ++i) {
      x[i] = channels.x[sample[i]];
      y[i] = channels.y[sample[i]];
    }
    return to + count;
  }

  // Of as many limbs as there is room for; returns the first one left.
  int32_t fill_directions(int32_t limb, int32_t last) const {
    int32_t count = 0;
    for (; limb < last && count <= LimbScratch::kEnds; ++limb) {
      const Limb& ends = spec_.limb[limb];
      if (count_of(ends.first) == 0 || count_of(ends.second) == 0) continue;
      count = read_directions(ends.first, channels_[limb], count);
      count = read_directions(ends.second, channels_[limb], count);
    }
    const int32_t end = whole(count);
    const T *const sample_x = static_cast<T*>(directions_.sample_x), *const sample_y =
                                                                         static_cast<T*>(directions_.sample_y);
    float* const __restrict x = directions_.x, * const __restrict y = directions_.y;
#pragma GCC ivdep
    for (int32_t e = 0; e < end; ++e) {
      const Vector direction = direction_of({to_float(sample_x[e]), to_float(sample_y[e])});
      x[e] = direction.x;
      y[e] = direction.y;
    }
    return limb;
  }

  // Appends the pairs of a limb that may be linked; its directions begin at `direction`, and end where it returns.
  int32_t screen(int32_t limb, int32_t direction) {
    const Limb& ends = spec_.limb[limb];
    const int32_t rows = count_of(ends.first), columns = count_of(ends.second);
    const int64_t first_row = (image_ * spec_.limbs + limb) * peaks_.capacity;
    int32_t *const counts = out_.count + first_row, *const totals = out_.total + first_row;
    for (int32_t i = 0; i < rows; ++i) counts[i] = totals[i] = 0;
    if (rows == 0 || columns == 0) return direction;
    const Places from = places_of(ends.first), to = places_of(ends.second);
    const float *const first_x = directions_.x + direction, *const first_y = directions_.y + direction;
    const float *const second_x = first_x + rows, *const second_y = first_y + rows;
    const float most_length = spec_.longest * static_cast<float>(larger(grid_.height, grid_.width));
    const Pairs pairs = pairs_;
    int32_t count = count_;
    for (int32_t i = 0; i < rows; ++i) {
      const WideInt key = counted() + (limb << kLimbShift | i << kFirstShift);
      int32_t end = count;
      for (int32_t j = 0; j < columns; j += kWide) {
        const WideFloat dx = load(to.x + j) - from.x[i], dy = load(to.y + j) - from.y[i];
        const WideFloat x = load(second_x + j) + first_x[i], y = load(second_y + j) + first_y[i];
        const Picked picked(mask_of(may_be_linked(dx, dy, x, y, most_length)));
        picked.store(dx, pairs.step_x + end);
        picked.store(dy, pairs.step_y + end);
        picked.store(key + j, pairs.key + end);
        end += picked.count();
      }
      if (end - count > kMostScored) {
        keep_nearest(pairs, count, end - count);
        end = count + kMostScored;
      }
      for (int32_t p = count; p < count + kMostScored; p += kWide) {
        store(all_of(from.x[i]), pairs.x + p);
        store(all_of(from.y[i]), pairs.y + p);
      }
      count = end;
      if (count > LimbScratch::kPairs) {
        count_ = count;
        finish();
        count = 0;
      }
    }
    count_ = count;
    return direction + rows + columns;
  }

  // Takes the list to its end and empties it.
  void finish() {
    keep_those_along(0.5f);
    keep_those_along(0.25f, 0.75f);
    score_pairs();
    write_out();
    count_ = 0;
  }

  // Pairs that the field runs along at some places between the two candidates.
  template <class... Part>
  void keep_those_along(Part... parts) {
    const int32_t count = count_, end = whole(count);
    const Grid grid = grid_;
    const float threshold = spec_.threshold;
    const float *const x = pairs_.x, *const y = pairs_.y, *const step_x = pairs_.step_x, *const step_y = pairs_.step_y;
    int32_t* const __restrict passes = pairs_.passes;
    for (int32_t p = 0; p < end; ++p) passes[p] = -1;
    for (const float part : {parts...}) {
      int32_t* const __restrict sample = pairs_.sample;
#pragma GCC ivdep
      for (int32_t p = 0; p < end; ++p) sample[p] = grid.nearest(along({x[p], y[p]}, {step_x[p], step_y[p]}, part));
      T* const __restrict sample_x = static_cast<T*>(pairs_.sample_x), * const __restrict sample_y =
                                                                           static_cast<T*>(pairs_.sample_y);
      read(pairs_.key, count);
#pragma GCC ivdep
      for (int32_t p = 0; p < end; ++p) {
        passes[p] &= -static_cast<int32_t>(
            runs_along({to_float(sample_x[p]), to_float(sample_y[p])}, {step_x[p], step_y[p]}, threshold));
      }
    }
    count_ = keep(passes, count, pairs_.key, pairs_.x, pairs_.y, pairs_.step_x, pairs_.step_y);
  }

  // The fields' samples of all pairs.
  void read(const int32_t* key, int32_t count) const {
    const int32_t* const sample = pairs_.sample;
    T* const x = static_cast<T*>(pairs_.sample_x);
    T* const y = static_cast<T*>(pairs_.sample_y);
    for (int32_t p = 0; p < count; ++p) {
      const Channels<T>& channels = channels_[key[p] >> kLimbShift];
      x[p] = channels.x[sample[p]];
      y[p] = channels.y[sample[p]];
    }
  }

  // The samples of one strip of pairs, and where they are between those of the map.
  struct Samples {
    int32_t upper[kLineSamples][kWide], lower[kLineSamples][kWide];
    float fx[kLineSamples][kWide], fy[kLineSamples][kWide];
    T corners_x[kLineSamples][4 * kWide], corners_y[kLineSamples][4 * kWide];  // of each pair, row by row
    WideFloat x[kLineSamples], y[kLineSamples];
  };

  void find_samples(int32_t first, Samples& samples) const {
    const Grid grid = grid_;
    const float *const x = pairs_.x + first, *const y = pairs_.y + first;
    const float *const step_x = pairs_.step_x + first, *const step_y = pairs_.step_y + first;
#pragma GCC ivdep
    for (int32_t p = 0; p < kWide; ++p) {
      const auto find = [&](int number, float part) {
        const Cell cell = grid.cell(along({x[p], y[p]}, {step_x[p], step_y[p]}, part));
        samples.upper[number][p] = cell.upper;
        samples.lower[number][p] = cell.lower;
        samples.fx[number][p] = cell.fx;
        samples.fy[number][p] = cell.fy;
      };
      visit_line(find);
    }
  }

  // Two samples that are `step` apart.
  template <bool kSideBySide>
  static void copy_two(const T* from, int32_t step, T* to) {
    if (kSideBySide) {
      std::memcpy(to, from, 2 * sizeof(T));
    } else {
      to[0] = from[0];
      to[1] = from[step];
    }
  }

  template <bool kSideBySide>
  void read_samples(const int32_t* key, int32_t count, Samples& samples) const {
    const int32_t step = grid_.step_x();
    for (int32_t p = 0; p < count; ++p) {
      const Channels<T> channels = channels_[key[p] >> kLimbShift];
      for (int32_t s = 0; s < kLineSamples; ++s) {
        const int32_t upper = samples.upper[s][p], lower = samples.lower[s][p];
        T *const x = samples.corners_x[s] + 4 * p, *const y = samples.corners_y[s] + 4 * p;
        copy_two<kSideBySide>(channels.x + upper, step, x);
        copy_two<kSideBySide>(channels.x + lower, step, x + 2);
        copy_two<kSideBySide>(channels.y + upper, step, y);
        copy_two<kSideBySide>(channels.y + lower, step, y + 2);
      }
    }
  }

  static WideFloat mixed(const WideFloat& fx, const WideFloat& fy, const T* corners) {
    const Sides few = sides_of(load(corners), load(corners + kWide));
    const Sides more = sides_of(load(corners + 2 * kWide), load(corners + 3 * kWide));
    const Sides left = sides_of(few.first, more.first), right = sides_of(few.second, more.second);
    return mix(fx, fy, left.first, right.first, left.second, right.second);
  }

  void mix_samples(Samples& samples) const {
    for (int32_t s = 0; s < kLineSamples; ++s) {
      const WideFloat fx = load(samples.fx[s]), fy = load(samples.fy[s]);
      samples.x[s] = mixed(fx, fy, samples.corners_x[s]);
      samples.y[s] = mixed(fx, fy, samples.corners_y[s]);
    }
  }

  void score_pairs() {
    const float threshold = spec_.threshold;
    Samples samples;
    for (int32_t first = 0; first < count_; first += kWide) {
      find_samples(first, samples);
      const int32_t few = smaller(count_ - first, kWide);
      if (grid_.step_x() == 1) {
        read_samples<true>(pairs_.key + first, few, samples);
      } else {
        read_samples<false>(pairs_.key + first, few, samples);
      }
      mix_samples(samples);
      const float *const step_x = pairs_.step_x + first, *const step_y = pairs_.step_y + first;
      float* const __restrict score = pairs_.score + first;
#pragma GCC ivdep
      for (int32_t p = 0; p < kWide; ++p) {
        const auto sample_at = [&](int number, float) { return Vector{samples.x[number][p], samples.y[number][p]}; };
        score[p] = line_score({step_x[p], step_y[p]}, threshold, sample_at);
      }
    }
    int32_t* const __restrict passes = pairs_.passes;
    const float* const score = pairs_.score;
    const int32_t end = whole(count_);
    for (int32_t p = 0; p < end; ++p) passes[p] = -static_cast<int32_t>(score[p] > kNoLink);
    count_ = keep(pairs_.passes, count_, pairs_.key, pairs_.score);
  }

  // Pairs of one candidate lie side by side, at most kMostScored: each counts those before it in the order of score.
  void write_out() {
    const int32_t count = count_;
    for (int32_t p = 1; p < kMostScored; ++p) pairs_.key[-p] = pairs_.key[count - 1 + p] = -1;
    for (int32_t p = 0; p < count; p += kWide) {
      const WideFloat score = load(pairs_.score + p);
      const WideInt row = load(pairs_.key + p) >> kFirstShift;
      WideInt better = all_of(0), earlier = better;  // less one for each
      for (int32_t d = 1; d < kMostScored; ++d) {
        const WideInt before = (load(pairs_.key + p - d) >> kFirstShift) == row;
        const WideInt after = (load(pairs_.key + p + d) >> kFirstShift) == row;
        earlier += before;
        better += (before & (load(pairs_.score + p - d) >= score)) + (after & (load(pairs_.score + p + d) > score));
      }
      store(-better, pairs_.rank + p);
      store(-earlier, pairs_.earlier + p);
      store((row >> kFirstShift) * peaks_.capacity + (row & kCandidate), pairs_.row + p);
    }
    const int64_t first = image_ * spec_.limbs * peaks_.capacity, partners = out_.partners;
    int32_t *const counts = out_.count + first, *const totals = out_.total + first;
    int32_t* const partner = out_.partner + first * partners;
    float* const score = out_.score + first * partners;
    const int32_t *const rows = pairs_.row, *const ranks = pairs_.rank, *const earlier = pairs_.earlier;
    for (int32_t p = 0; p < count; ++p) {
      const int64_t row = rows[p], rank = ranks[p];
      const int32_t total = earlier[p] + 1;
      totals[row] = total;
      counts[row] = smaller(total, static_cast<int32_t>(partners));
      if (rank >= partners) continue;
      partner[row * partners + rank] = pairs_.key[p] & kCandidate;
      score[row * partners + rank] = pairs_.score[p];
    }
  }

  const LimbSpec& spec_;
  const Grid grid_;
  const MapView& fields_;
  const PeakLists& peaks_;
  const LinkLists& out_;
  Places places_;
  Directions directions_;
  Pairs pairs_;
  int64_t image_ = 0;
  int32_t count_ = 0;
  Channels<T> channels_[kMaxLimbs];
};

template <class T>
void score_all(const LimbSpec& spec, const MapView& fields, const PeakLists& peaks, const LinkLists& out,
               int64_t index) {
  const int64_t n = index / spec.limbs;
  const Limb& limb = spec.limb[index % spec.limbs];
  const int64_t first = n * spec.joints + limb.first, second = n * spec.joints + limb.second;
  const Field<T> field = field_at<T>(fields, n, limb);
  int64_t row = index * peaks.capacity;
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
                    float* scratch, int64_t begin, int64_t end) {
  if (spec.rule != LinkRule::kLine) {
    for (int64_t index = begin; index < end; ++index) score_all<T>(spec, fields, peaks, out, index);
    return;
  }
  Lines<T> lines(spec, fields, peaks, out, scratch);
  while (begin < end) {
    const int64_t n = begin / spec.limbs, first = n * spec.limbs;
    const int64_t last = first + spec.limbs < end ? first + spec.limbs : end;
    lines.score(n, static_cast<int32_t>(begin - first), static_cast<int32_t>(last - first));
    begin = last;
  }
}

}  // namespace

void score_limbs(const LimbSpec& spec, const MapView& fields, const PeakLists& peaks, const LinkLists& out,
                 float* scratch, int64_t begin, int64_t end) {
  if (fields.is_half) {
    score_limbs_of<Half>(spec, fields, peaks, out, scratch, begin, end);
  } else {
    score_limbs_of<float>(spec, fields, peaks, out, scratch, begin, end);
  }
}

}  // namespace ppf::loops::PPF_ISA

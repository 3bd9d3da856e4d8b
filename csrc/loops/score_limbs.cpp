// For every limb, the pairs of candidates that its field speaks for.
//
// kLine makes one list of the pairs of all limbs of an image, since a limb by itself has few, and takes it through pass
// after pass. What is read from the fields lies anywhere, so each pass is in three: where to read, for all pairs in
// vectors; reading, pair by pair; and judging, in vectors again.
#include <algorithm>
#include <cstring>

#include "core/limbs.h"
#include "loops/loops.h"
#include "loops/wide.h"
#include "ops/scratch.h"

namespace ppf::loops::PPF_ISA {
namespace {

// The candidates of one joint or of one after the other: in whole vectors, past the last candidate nowhere.
struct Places {
  float *x, *y;
  int32_t* sample;  // the nearest, as an offset into any channel

  Places after(int32_t count) const { return {x + count, y + count, sample + count}; }
};

// The directions of fields at candidates, one after the other.
struct Directions {
  float *x, *y;
  void *sample_x, *sample_y;
};

// A pair as one number: limb, and where the first and the second candidate are among those of all joints.
constexpr int32_t kLimbShift = 24, kFirstShift = 12, kCandidate = 0xfff;
static_assert(kMaxJoints * kMaxCandidates <= kCandidate + 1 && kLimbShift == 2 * kFirstShift && kMaxLimbs <= 64);
static_assert(kWide <= LimbScratch::kPastEnd && kFewCandidates <= LimbScratch::kPastEnd);
static_assert(kMostScored <= kFewCandidates);

struct Pairs {
  int32_t* key;
  float *x, *y;            // of the first candidate
  float *step_x, *step_y;  // from there to the second
  int32_t* sample;
  void *sample_x, *sample_y;
  float* score;
  int32_t* passes;
  int32_t *rank, *earlier;
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
void fill_places(const PeakLists& peaks, int64_t list, const Places& places) {
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
}

// Of all joints together, since most have less than a vector of candidates.
void fill_samples(const Grid& map, const Places& places, int32_t count) {
  const Grid grid = map;
  const float *const x = places.x, *const y = places.y;
  int32_t* const __restrict sample = places.sample;
#pragma GCC ivdep
  for (int32_t i = 0; i < count; ++i) sample[i] = grid.nearest({x[i], y[i]});
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

using NearestOfEach = Nearest<WideInt>;  // for kWide first candidates, the nearest second ones

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
    places_ = {floats(room.places), floats(room.places), integers(room.places)};
    directions_ = {floats(room.ends), floats(room.ends), floats(room.ends), floats(room.ends)};
    const auto list = [&] { return floats(room.pairs) + LimbScratch::kPastEnd; };
    const auto integer_list = [&] { return reinterpret_cast<int32_t*>(list()); };
    pairs_ = {integer_list(), list(), list(), list(),         list(),         integer_list(),
              list(),         list(), list(), integer_list(), integer_list(), integer_list()};
  }

  // Limbs first to last - 1 of image n.
  void score(int64_t n, int32_t first, int32_t last) {
    image_ = n;
    // Close together, since rows of the lists of peaks lie so far apart that they push each other out of the cache.
    int32_t end = 0;
    for (int32_t k = 0; k < spec_.joints; ++k) {
      start_[k] = end;
      fill_places(peaks_, n * spec_.joints + k, places_.after(end));
      end += whole(count_of(k));
    }
    fill_samples(grid_, places_, end);
    for (int32_t l = first; l < last; ++l) {
      const Field<T> field = field_at<T>(fields_, n, spec_.limb[l]);
      channels_[l] = {field.x, field.y};
      row_[l] = l * peaks_.capacity - start_[spec_.limb[l].first];
    }
    while (first < last) {
      const int32_t filled = fill_directions(first, last);
      int32_t direction = 0;
      for (; first < filled; ++first) direction = screen(first, direction);
    }
    finish();
  }

 private:
  int32_t count_of(int32_t joint) const { return peaks_.count[image_ * spec_.joints + joint]; }

  int32_t read_directions(int32_t joint, const Channels<T>& channels, int32_t to) const {
    const int32_t count = count_of(joint);
    const int32_t* const sample = places_.after(start_[joint]).sample;
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
    const T* const sample_x = static_cast<T*>(directions_.sample_x);
    const T* const sample_y = static_cast<T*>(directions_.sample_y);
    float* const __restrict x = directions_.x;
    float* const __restrict y = directions_.y;
#pragma GCC ivdep
    for (int32_t e = 0; e < end; ++e) {
      const Vector direction = direction_of({to_float(sample_x[e]), to_float(sample_y[e])});
      x[e] = direction.x;
      y[e] = direction.y;
    }
    return limb;
  }

  // Appends the nearest pairs of a limb that may be linked; its directions begin at `direction`, and end where it
  // returns. A first candidate has a lane to itself, so that its nearest are found without looking across lanes, and
  // without a branch; where there are few second candidates, all of them are near.
  int32_t screen(int32_t limb, int32_t direction) {
    const Limb& ends = spec_.limb[limb];
    const int32_t rows = count_of(ends.first), columns = count_of(ends.second);
    const int64_t first_row = (image_ * spec_.limbs + limb) * peaks_.capacity;
    int32_t *const counts = out_.count + first_row, *const totals = out_.total + first_row;
    for (int32_t i = 0; i < rows; ++i) counts[i] = totals[i] = 0;
    if (rows == 0 || columns == 0) return direction;
    const Places from = places_.after(start_[ends.first]), to = places_.after(start_[ends.second]);
    const float *const first_x = directions_.x + direction, *const first_y = directions_.y + direction;
    const float *const second_x = first_x + rows, *const second_y = first_y + rows;
    const float most_length = spec_.longest * static_cast<float>(larger(grid_.height, grid_.width));
    for (int32_t i = 0; i < rows; i += kWide) {
      const WideFloat x = load(from.x + i), y = load(from.y + i);
      const WideFloat at_x = load(first_x + i), at_y = load(first_y + i);
      const auto number_of = [&](int32_t j) {
        const WideFloat dx = to.x[j] - x, dy = to.y[j] - y;
        const WideFloat square = dx * dx + dy * dy;
        const WideInt passes = may_be_linked(dx, dy, second_x[j] + at_x, second_y[j] + at_y, most_length);
        return passes ? NearestOfEach::number_of(reinterpret_cast<WideInt>(square), j) : all_of(kNoCandidate);
      };
      const int32_t key = limb << kLimbShift | (start_[ends.first] + i) << kFirstShift | start_[ends.second];
      const int32_t few = smaller(rows - i, kWide);
      if (columns <= kMostScored) {
        append_all<kMostScored>(columns, number_of, key, few);
      } else if (columns <= kFewCandidates) {
        append_all<kFewCandidates>(columns, number_of, key, few);
      } else {
        append_nearest(columns, number_of, key, few);
      }
    }
    return direction + rows + columns;
  }

  template <int kMost, class NumberOf>
  void append_all(int32_t columns, const NumberOf& number_of, int32_t key, int32_t rows) {
    WideInt near[kMost];
    for (int32_t j = 0; j < kMost; ++j) near[j] = j < columns ? number_of(j) : all_of(kNoCandidate);
    append(near, key, rows);
  }

  template <class NumberOf>
  void append_nearest(int32_t columns, const NumberOf& number_of, int32_t key, int32_t rows) {
    NearestOfEach nearest;
    for (int32_t j = 0; j < kMostScored; ++j) nearest.near[j] = number_of(j);
    nearest.sort();
    for (int32_t j = kMostScored; j < columns; ++j) nearest.offer(number_of(j));
    nearest.keep_indices();
    append(nearest.near, key, rows);
  }

  // The pairs of the first `rows` candidates; `key` is that of the first one with the first of the others. Zipped with
  // themselves as often as kMost is halved, the vectors go on candidate by candidate.
  template <int kMost>
  void append(WideInt (&near)[kMost], int32_t key, int32_t rows) {
    for (int halves = kMost; halves > 1; halves /= 2) {
      WideInt next[kMost];
      for (int i = 0; i < kMost / 2; ++i) {
        const Zipped both = zipped(near[i], near[i + kMost / 2]);
        next[2 * i] = both.low;
        next[2 * i + 1] = both.high;
      }
      for (int i = 0; i < kMost; ++i) near[i] = next[i];
    }
    for (int32_t v = 0; v * kWide < rows * kMost; ++v) {
      const WideInt row = (counted() + v * kWide) / kMost;
      const Picked picked(mask_above(all_of(kNoCandidate), near[v]));
      picked.store((near[v] & NearestOfEach::kIndex) + (row << kFirstShift) + key, pairs_.key + count_);
      count_ += picked.count();
    }
    if (count_ > LimbScratch::kPairs) finish();
  }

  // Takes the list to its end and empties it.
  void finish() {
    find_ends();
    keep_those_along(0.5f);
    keep_those_along(0.25f, 0.75f);
    score_pairs();
    rank();
    write_out();
    count_ = 0;
  }

  // Keeps the pairs that the field runs along at some parts of the way.
  template <class... Part>
  void keep_those_along(Part... parts) {
    for (int32_t p = 0; p < count_; p += kWide) store(all_of(-1), pairs_.passes + p);
    for (const float part : {parts...}) {
      find_nearest(part);
      read_nearest();
      judge_nearest();
    }
    count_ = keep(pairs_.passes, count_, pairs_.key, pairs_.x, pairs_.y, pairs_.step_x, pairs_.step_y);
  }

  void find_ends() const {
    const Places places = places_;
    const Pairs pairs = pairs_;
    const int32_t count = count_;
    for (int32_t p = 0; p < count; ++p) {
      const int32_t first = pairs.key[p] >> kFirstShift & kCandidate, second = pairs.key[p] & kCandidate;
      const float x = places.x[first], y = places.y[first];
      pairs.x[p] = x;
      pairs.y[p] = y;
      pairs.step_x[p] = places.x[second] - x;
      pairs.step_y[p] = places.y[second] - y;
    }
  }

  void find_nearest(float part) const {
    const Grid grid = grid_;
    const int32_t end = whole(count_);
    const float *const x = pairs_.x, *const y = pairs_.y, *const step_x = pairs_.step_x, *const step_y = pairs_.step_y;
    int32_t* const __restrict sample = pairs_.sample;
#pragma GCC ivdep
    for (int32_t p = 0; p < end; ++p) sample[p] = grid.nearest(along({x[p], y[p]}, {step_x[p], step_y[p]}, part));
  }

  void read_nearest() const {
    const int32_t count = count_;
    const int32_t *const key = pairs_.key, *const sample = pairs_.sample;
    T* const x = static_cast<T*>(pairs_.sample_x);
    T* const y = static_cast<T*>(pairs_.sample_y);
    for (int32_t p = 0; p < count; ++p) {
      const Channels<T>& channels = channels_[key[p] >> kLimbShift];
      x[p] = channels.x[sample[p]];
      y[p] = channels.y[sample[p]];
    }
  }

  void judge_nearest() const {
    const float threshold = spec_.threshold;
    const int32_t end = whole(count_);
    const T* const x = static_cast<T*>(pairs_.sample_x);
    const T* const y = static_cast<T*>(pairs_.sample_y);
    const float *const step_x = pairs_.step_x, *const step_y = pairs_.step_y;
    int32_t* const __restrict passes = pairs_.passes;
#pragma GCC ivdep
    for (int32_t p = 0; p < end; ++p) {
      const bool is_along = runs_along({to_float(x[p]), to_float(y[p])}, {step_x[p], step_y[p]}, threshold);
      passes[p] &= -static_cast<int32_t>(is_along);
    }
  }

  // The samples of kWide pairs, and where they are between those of the map.
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
      score_samples(first, samples);
    }
    for (int32_t p = 0; p < count_; p += kWide) store(load(pairs_.score + p) > kNoLink, pairs_.passes + p);
    count_ = keep(pairs_.passes, count_, pairs_.key, pairs_.score);
  }

  void score_samples(int32_t first, const Samples& samples) const {
    const float threshold = spec_.threshold;
    const float *const step_x = pairs_.step_x + first, *const step_y = pairs_.step_y + first;
    float* const __restrict score = pairs_.score + first;
#pragma GCC ivdep
    for (int32_t p = 0; p < kWide; ++p) {
      const auto sample_at = [&](int number, float) { return Vector{samples.x[number][p], samples.y[number][p]}; };
      score[p] = line_score({step_x[p], step_y[p]}, threshold, sample_at);
    }
  }

  // Pairs of one candidate lie side by side, at most kFewCandidates: each counts those before it, in the list and in
  // the order of scores.
  void rank() const {
    const int32_t count = count_;
    for (int32_t p = 1; p < kFewCandidates; ++p) pairs_.key[-p] = pairs_.key[count - 1 + p] = -1;
    for (int32_t p = 0; p < count; p += kWide) {
      const WideFloat score = load(pairs_.score + p);
      const WideInt row = load(pairs_.key + p) >> kFirstShift;
      WideInt better = all_of(0), earlier = better;  // less one for each
      for (int32_t d = 1; d < kFewCandidates; ++d) {
        const WideInt before = (load(pairs_.key + p - d) >> kFirstShift) == row;
        const WideInt after = (load(pairs_.key + p + d) >> kFirstShift) == row;
        earlier += before;
        better += (before & (load(pairs_.score + p - d) >= score)) + (after & (load(pairs_.score + p + d) > score));
      }
      store(-better, pairs_.rank + p);
      store(-earlier, pairs_.earlier + p);
    }
  }

  // The last pair of each candidate tells how many there are.
  void write_out() const {
    const int64_t first = image_ * spec_.limbs * peaks_.capacity;
    const int32_t count = count_, partners = out_.partners;
    int32_t *const counts = out_.count + first, *const totals = out_.total + first;
    int32_t* const partner = out_.partner + first * partners;
    float* const score = out_.score + first * partners;
    for (int32_t p = 0; p < count; ++p) {
      const int32_t key = pairs_.key[p], limb = key >> kLimbShift;
      const int32_t row = row_[limb] + (key >> kFirstShift & kCandidate);
      const int32_t rank = pairs_.rank[p], total = pairs_.earlier[p] + 1;
      totals[row] = total;
      counts[row] = smaller(total, partners);
      if (rank >= partners) continue;
      partner[row * partners + rank] = (key & kCandidate) - start_[spec_.limb[limb].second];
      score[row * partners + rank] = pairs_.score[p];
    }
  }

  const LimbSpec& spec_;
  const Grid grid_;
  const MapView& fields_;
  const PeakLists& peaks_;
  const LinkLists& out_;
  Places places_;
  int32_t start_[kMaxJoints];  // of the candidates of each joint among those of all
  int32_t row_[kMaxLimbs];     // from the places of its first candidates to their lists
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

// Limbs begin to end - 1.
void clear(const LinkLists& out, int32_t capacity, int64_t begin, int64_t end) {
  const int64_t first = begin * capacity, rows = (end - begin) * capacity;
  std::fill_n(out.partner + first * out.partners, rows * out.partners, 0);
  std::fill_n(out.score + first * out.partners, rows * out.partners, 0.0f);
  std::fill_n(out.count + first, rows, 0);
  std::fill_n(out.total + first, rows, 0);
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
  if (spec.clears_rest) clear(out, peaks.capacity, begin, end);
  if (fields.is_half) {
    score_limbs_of<Half>(spec, fields, peaks, out, scratch, begin, end);
  } else {
    score_limbs_of<float>(spec, fields, peaks, out, scratch, begin, end);
  }
}

}  // namespace ppf::loops::PPF_ISA

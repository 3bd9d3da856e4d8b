// The local maxima of each map, best first.
#include <cstring>

#include "core/blur.h"
#include "loops/find_tops.h"
#include "loops/loops.h"
#include "loops/peak_table.h"
#include "loops/ranks.h"
#include "loops/shoulders.h"
#include "ops/scratch.h"

namespace ppf::loops::PPF_ISA {
namespace {

// Maps are searched one by one. What happens to single peaks afterwards is done for those of several maps together:
// where each map has one or two, vectors would be nearly empty otherwise.
template <class T>
class PeakFinder {
 public:
  PeakFinder(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const PeakLists& out,
             uint32_t* scratch)
      : spec_(spec),
        maps_(maps),
        offsets_(offsets),
        out_(out),
        scratch_(scratch),
        parts_(maps, out.capacity),
        table_(scratch + parts_.words() - FindScratch::kColumns * parts_.column, parts_.column) {}

  void run(int64_t first, int64_t last) {
    for (int64_t index = first; index < last; index += count_) {
      first_ = index;
      count_ = 0;
      table_.count = 0;
      cut_.count = 0;
      while (index + count_ < last && count_ < kMapsTogether && table_.count < kPeaksTogether && cut_.count == 0) {
        is_complete_[count_] = find(index + count_);
        end_[count_++] = table_.count;
      }
      table_.read<T>(maps_, spec_.logits);
      refine();
      if (spec_.shoulders) shape_blobs(table_, maps_.height, maps_.width);
      for (int32_t i = 0; i < count_; ++i) write(i);
    }
  }

 private:
  static constexpr int32_t kMapsTogether = 64;

  const PeakSpec& spec_;
  const MapView& maps_;
  const OffsetView& offsets_;
  const PeakLists& out_;
  uint32_t* const scratch_;
  const FindScratch parts_;
  PeakTable table_;
  int64_t first_ = 0;  // of the maps whose peaks are in the table
  int32_t count_ = 0;
  bool is_empty_ = false;            // no map of the image had a peak so far, so that the others hardly have any
  int32_t end_[kMapsTogether];       // of the peaks of each
  bool is_complete_[kMapsTogether];  // all tops of the map are known
  Cut cut_;                          // of the last map, which stays the last for this

  int32_t* list(int which) const { return reinterpret_cast<int32_t*>(scratch_) + which * parts_.list; }
  uint32_t* bits() const { return scratch_ + FindScratch::kLists * parts_.list; }
  int32_t* stack() const { return reinterpret_cast<int32_t*>(bits() + parts_.bits); }
  int32_t start(int32_t i) const { return i > 0 ? end_[i - 1] : 0; }
  Map<T> map(int64_t index) const { return map_at<T>(maps_, index, spec_.logits); }

  // Appends the peaks of a map to the table, best first. Returns whether all tops that it has are known.
  bool find(int64_t index) {
    const Map<T> map = this->map(index);
    const bool is_first = index % maps_.k == 0;
    Plateaus plateaus{bits(), stack(), parts_.bits};
    Tops tops{list(0), list(1)};
    out_.nonfinite[index] = find_tops(spec_, map, !is_first && is_empty_, tops, plateaus);
    out_.total[index] = tops.count;
    is_empty_ = tops.count == 0 && (is_first || is_empty_);
    if (tops.count == 0) return false;
    Candidates candidates{tops.key, tops.index, list(2), tops.count};
    if (tops.count > out_.capacity) keep_best(candidates, out_.capacity);
    cut_ = {tops.index + candidates.count, spec_.shoulders ? tops.count - candidates.count : 0};
    rank_all(candidates);
    const int64_t offset = index / maps_.k * maps_.stride_n + index % maps_.k * maps_.stride_k;
    for (int32_t i = 0; i < candidates.count; ++i) {
      const int32_t entry = table_.count + candidates.rank[i];
      table_.map[entry] = offset;
      table_.sample[entry] = candidates.index[i];
    }
    table_.count += candidates.count;
    return tops.is_complete;
  }

  void refine() const {
    if (spec_.refine == Refine::kLogParabola) return refine_log_parabolas();
    for (int32_t i = 0; i < count_; ++i) {
      const Map<T> map = this->map(first_ + i);
      for (int32_t m = start(i); m < end_[i]; ++m) {
        const Place at = refine_peak(spec_, map, offsets_, first_ + i, maps_.k, table_.y[m], table_.x[m]);
        table_.place_x[m] = at.x;
        table_.place_y[m] = at.y;
      }
    }
  }

  // The rule that part affinity decoding uses, for all peaks at once.
  void refine_log_parabolas() const {
    const int32_t *const y = table_.y, *const x = table_.x;
    const float *const west = table_.west, *const east = table_.east, *const score = table_.score;
    const float *const north = table_.north, *const south = table_.south;
    float *const place_y = table_.place_y, *const place_x = table_.place_x;
#pragma GCC ivdep  // too many arrays to compare their places
    for (int32_t i = 0; i < table_.count; ++i) {
      const float step_x = log_parabola(west[i], score[i], east[i]),
                  step_y = log_parabola(north[i], score[i], south[i]);
      // Without both neighbours there is no parabola.
      place_x[i] = static_cast<float>(x[i]) + ((x[i] > 0) & (x[i] < maps_.width - 1) ? step_x : 0.0f);
      place_y[i] = static_cast<float>(y[i]) + ((y[i] > 0) & (y[i] < maps_.height - 1) ? step_y : 0.0f);
    }
  }

  void write(int32_t i) const {
    const int32_t first = start(i), peaks = end_[i] - first, capacity = out_.capacity;
    const int64_t index = first_ + i;
    float* const xy = out_.xy + index * capacity * 2;
    float* const score = out_.score + index * capacity;
    const float *const place_x = table_.place_x + first, *const place_y = table_.place_y + first;
    for (int32_t m = 0; m < peaks; ++m) {
      xy[2 * m] = place_x[m];
      xy[2 * m + 1] = place_y[m];
    }
    for (int32_t m = 0; m < peaks; ++m) score[m] = table_.score[first + m];
    const Map<T> map = this->map(index);
    int32_t shoulders = 0;
    if (spec_.shoulders && peaks > 0) {
      const Cut cut{cut_.sample, i == count_ - 1 ? cut_.count : 0};
      shoulders = ShoulderFinder<T>(spec_, map, table_, first, end_[i], is_complete_[i], cut, bits(), stack())
                      .append(xy, score, capacity);
    }
    out_.total[index] += shoulders;
    const int32_t count = out_.count[index] = smaller(peaks + shoulders, capacity);
    if (!spec_.clears_rest) return;
    std::memset(xy + 2 * count, 0, sizeof(float) * 2 * static_cast<size_t>(capacity - count));
    std::memset(score + count, 0, sizeof(float) * static_cast<size_t>(capacity - count));
  }
};

}  // namespace

void find_peaks(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const PeakLists& out,
                uint32_t* scratch, int64_t first, int64_t last) {
  if (maps.is_half) {
    PeakFinder<Half>(spec, maps, offsets, out, scratch).run(first, last);
  } else {
    PeakFinder<float>(spec, maps, offsets, out, scratch).run(first, last);
  }
}

}  // namespace ppf::loops::PPF_ISA

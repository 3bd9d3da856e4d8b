// The local maxima of each map, best first.
#include <cstring>

#include "core/blur.h"
#include "loops/loops.h"
#include "loops/peak_table.h"
#include "loops/ranks.h"
#include "loops/shoulders.h"
#include "loops/tops.h"
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
      while (index + count_ < last && count_ < kMapsTogether && table_.count < kPeaksTogether) {
        find(index + count_);
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
  int32_t end_[kMapsTogether];  // of the peaks of each

  int32_t* list(int which) const { return reinterpret_cast<int32_t*>(scratch_) + which * parts_.list; }
  uint32_t* bits() const { return scratch_ + FindScratch::kLists * parts_.list; }
  int32_t* stack() const { return reinterpret_cast<int32_t*>(bits() + parts_.bits); }
  int32_t start(int32_t i) const { return i > 0 ? end_[i - 1] : 0; }
  Map<T> map(int64_t index) const { return map_at<T>(maps_, index, spec_.logits); }

  // Appends the peaks of a map to the table, best first.
  void find(int64_t index) {
    const Map<T> map = this->map(index);
    Plateaus plateaus{bits(), stack(), parts_.bits};
    Tops tops{list(0), list(1)};
    out_.nonfinite[index] = find_tops(spec_, map, tops, plateaus);
    out_.total[index] = tops.count;
    if (tops.count == 0) return;
    Candidates candidates{tops.key, tops.index, list(2), tops.count};
    if (tops.count > out_.capacity) keep_best(candidates, out_.capacity);
    rank_all(candidates);
    const int64_t offset = index / maps_.k * maps_.stride_n + index % maps_.k * maps_.stride_k;
    for (int32_t i = 0; i < candidates.count; ++i) {
      const int32_t entry = table_.count + candidates.rank[i];
      table_.map[entry] = offset;
      table_.sample[entry] = candidates.index[i];
    }
    table_.count += candidates.count;
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
    refine_axis(table_.x, maps_.width, table_.west, table_.east, table_.place_x);
    refine_axis(table_.y, maps_.height, table_.north, table_.south, table_.place_y);
  }

  void refine_axis(const int32_t* at, int32_t size, const float* before, const float* after, float* place) const {
    const float* const score = table_.score;
    for (int32_t i = 0; i < table_.count; ++i) {
      const bool is_inner = (at[i] > 0) & (at[i] < size - 1);  // without both neighbours there is no parabola
      const float step = log_parabola(before[i], score[i], after[i]);
      place[i] = static_cast<float>(at[i]) + (is_inner ? step : 0.0f);
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
      shoulders = ShoulderFinder<T>(spec_, map, table_, first, end_[i], bits(), stack()).append(xy, score, capacity);
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

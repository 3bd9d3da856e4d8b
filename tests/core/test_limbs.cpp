// The loops over limbs, of every instruction set that this CPU runs, against one pair after the other: the same bits.
#include "core/limbs.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "check.h"
#include "loops/loops.h"
#include "ops/scratch.h"

using namespace ppf;

namespace {

constexpr int32_t kImages = 2, kJoints = 4, kLimbs = 6, kChannels = 9;
constexpr int32_t kUntouched = 0x5a5a5a5a;

enum class Layout { kRows, kGaps, kChannelsLast };

template <class T>
T sample_of(float value);

template <>
float sample_of<float>(float value) {
  return value;
}

template <>
Half sample_of<Half>(float value) {
  return to_half(value);
}

struct Case {
  int32_t height, width, capacity, partners;
  float noise;
  float broken;  // share of samples and places that are no numbers
  Layout layout;
};

template <class T>
struct Scene {
  LimbSpec spec;
  std::vector<T> samples;
  MapView fields;
  std::vector<float> xy;
  std::vector<int32_t> count;
  PeakLists peaks;

  Scene(const Case& with, unsigned seed) : random(seed) {
    spec.joints = kJoints;
    spec.limbs = kLimbs;
    // A joint at the end of many limbs, channels in no order, some of them shared.
    const Limb limbs[kLimbs] = {{0, 1, 0, 1}, {1, 2, 3, 2}, {0, 3, 4, 5}, {3, 1, 8, 6}, {2, 0, 7, 0}, {0, 2, 0, 1}};
    std::memcpy(spec.limb, limbs, sizeof limbs);
    spec.threshold = 0.05f;
    spec.longest = 0.7f;
    spec.clears_rest = seed % 2 == 0;
    fill_fields(with);
    fill_peaks(with);
  }

  // Everywhere about the same direction, so that many pairs pass every screen.
  void fill_fields(const Case& with) {
    const int64_t height = with.height, width = with.width, gap = with.layout == Layout::kGaps ? 3 : 0;
    fields.is_half = sizeof(T) == 2;
    fields.n = kImages;
    fields.k = kChannels;
    fields.height = with.height;
    fields.width = with.width;
    if (with.layout == Layout::kChannelsLast) {
      fields.stride_k = 1;
      fields.stride_x = kChannels;
      fields.stride_y = width * kChannels;
      fields.stride_n = height * width * kChannels;
    } else {
      fields.stride_x = 1;
      fields.stride_y = width + gap;
      fields.stride_k = height * fields.stride_y + gap;
      fields.stride_n = kChannels * fields.stride_k + gap;
    }
    samples.resize(static_cast<std::size_t>(kImages * fields.stride_n));
    for (T& sample : samples) {
      const float value = 0.7f + with.noise * (uniform() - 0.5f);
      sample = sample_of<T>(uniform() < with.broken ? broken() : value);
    }
    fields.data = samples.data();
  }

  // In steps of a half, so that many pairs are equally long. Past the last candidate there is anything.
  void fill_peaks(const Case& with) {
    const int32_t lists = kImages * kJoints;
    for (int32_t i = 0; i < lists * with.capacity; ++i) {
      const float x = static_cast<float>(static_cast<int32_t>(uniform() * static_cast<float>(2 * with.width))) / 2.0f;
      const float y = static_cast<float>(static_cast<int32_t>(uniform() * static_cast<float>(2 * with.height))) / 2.0f;
      xy.push_back(uniform() < with.broken ? broken() : x);
      xy.push_back(uniform() < with.broken ? broken() : y);
    }
    for (int32_t list = 0; list < lists; ++list) {
      const int32_t some = static_cast<int32_t>(uniform() * static_cast<float>(with.capacity + 1));
      count.push_back(list % 3 == 0 ? with.capacity : some);
    }
    peaks.xy = xy.data();
    peaks.count = count.data();
    peaks.capacity = with.capacity;
  }

  float uniform() { return static_cast<float>(random() >> 8) / (1 << 24); }

  float broken() {
    const float values[] = {kNan, kInfinity, -kInfinity, kLargest, 1e-42f, -3.0f};
    return values[random() % 6];
  }

  std::mt19937 random;
};

struct Links {
  std::vector<int32_t> partner, score, count, total;  // scores as their bits, since NaN is never equal

  Links(const Case& with, int32_t rest)
      : partner(kImages * kLimbs * with.capacity * with.partners, rest),
        score(partner.size(), rest),
        count(kImages * kLimbs * with.capacity, rest),
        total(count.size(), rest) {}

  LinkLists lists(const Case& with) {
    LinkLists out;
    out.partner = partner.data();
    out.score = reinterpret_cast<float*>(score.data());
    out.count = count.data();
    out.total = total.data();
    out.capacity = with.capacity;
    out.partners = with.partners;
    return out;
  }

  bool operator==(const Links& other) const {
    return partner == other.partner && score == other.score && count == other.count && total == other.total;
  }
};

template <class T>
void score_row(const Scene<T>& scene, const Field<T>& field, int32_t first, int32_t i, int32_t second, Row& best) {
  const LimbSpec& spec = scene.spec;
  const auto place = [&](int32_t list, int32_t index) {
    const float* const at = scene.peaks.xy + (list * scene.peaks.capacity + index) * 2;
    return Place{at[0], at[1]};
  };
  const float most_length = spec.longest * static_cast<float>(larger(field.grid.height, field.grid.width));
  const Place a = place(first, i);
  const Vector at_a = direction_of(field.nearest(a));
  std::vector<std::pair<int32_t, int32_t>> passed;  // distances, and whose they are
  for (int32_t j = 0; j < scene.count[second]; ++j) {
    const Place b = place(second, j);
    const Vector at_b = direction_of(field.nearest(b));
    const float dx = b.x - a.x, dy = b.y - a.y;
    if (!may_be_linked(dx, dy, at_b.x + at_a.x, at_b.y + at_a.y, most_length)) continue;
    passed.emplace_back(Nearest<int32_t>::number_of(bits_of(dx * dx + dy * dy), 0), j);
  }
  std::sort(passed.begin(), passed.end());
  if (scene.count[second] > kFewCandidates && passed.size() > kMostScored) passed.resize(kMostScored);
  std::sort(passed.begin(), passed.end(), [](const auto& one, const auto& other) { return one.second < other.second; });
  for (const auto& [distance, j] : passed) {
    const Place b = place(second, j);
    bool passes = true;
    for (const float part : {0.5f, 0.25f, 0.75f}) passes &= runs_along(field, a, b, part, spec.threshold);
    const float score = passes ? line_score(field, a, b, spec.threshold) : kNoLink;
    if (score > kNoLink) best.offer(j, score);
  }
}

template <class T>
int64_t score_plainly(const Scene<T>& scene, const Case& with, Links& links) {
  int64_t found = 0;
  for (int32_t index = 0; index < kImages * kLimbs; ++index) {
    const int32_t n = index / kLimbs;
    const Limb& limb = scene.spec.limb[index % kLimbs];
    const Field<T> field = field_at<T>(scene.fields, n, limb);
    const int32_t first = n * kJoints + limb.first, second = n * kJoints + limb.second;
    for (int32_t i = 0; i < scene.count[first]; ++i) {
      std::vector<int32_t> partner(with.partners);
      std::vector<float> score(with.partners);
      Row best{partner.data(), score.data(), with.partners};
      score_row(scene, field, first, i, second, best);
      const int64_t row = int64_t{index} * with.capacity + i;
      std::memcpy(links.partner.data() + row * with.partners, partner.data(), 4 * best.count);
      std::memcpy(links.score.data() + row * with.partners, score.data(), 4 * best.count);
      links.count[row] = best.count;
      links.total[row] = best.total;
      found += best.total;
    }
  }
  return found;
}

// Returns how many links there are.
template <class T>
int64_t compare(const Case& with, unsigned seed) {
  const Scene<T> scene(with, seed);
  Links expected(with, scene.spec.clears_rest ? 0 : kUntouched);
  const int64_t found = score_plainly(scene, with, expected);
  for (const loops::Table& table : loops::tables()) {
    for (const int64_t at_once : {kImages * kLimbs, kLimbs + 1, 1}) {
      Links links(with, kUntouched);
      constexpr int64_t kPast = 64;
      const int64_t words = limb_words(with.capacity);
      std::vector<int32_t> scratch(words + kPast, kUntouched);
      for (int64_t begin = 0; begin < kImages * kLimbs; begin += at_once) {
        const int64_t end = begin + at_once < kImages * kLimbs ? begin + at_once : kImages * kLimbs;
        table.score_limbs(scene.spec, scene.fields, scene.peaks, links.lists(with),
                          reinterpret_cast<float*>(scratch.data()), begin, end);
      }
      const bool same = links == expected;
      if (!same) {
        std::printf("    %s: %d x %d, capacity %d, partners %d, layout %d, seed %u\n", table.name, with.height,
                    with.width, with.capacity, with.partners, static_cast<int>(with.layout), seed);
      }
      CHECK(same);
      for (int64_t i = words; i < words + kPast; ++i) CHECK(scratch[i] == kUntouched);
    }
  }
  return found;
}

}  // namespace

TEST(links_are_those_of_one_pair_after_the_other) {
  const int32_t sizes[][2] = {{46, 46}, {30, 61}, {1, 1}, {1, 9}, {9, 1}, {2, 2}, {17, 3}};
  const int32_t capacities[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 47, 100, 128};
  unsigned seed = 0;
  int64_t found = 0;
  for (const auto& size : sizes) {
    for (const int32_t capacity : capacities) {
      for (const Layout layout : {Layout::kRows, Layout::kGaps, Layout::kChannelsLast}) {
        const int32_t partners = 1 + static_cast<int32_t>(seed * 5 % 11);
        const float noise = static_cast<float>(seed % 4) * 0.6f, broken = seed % 3 == 0 ? 0.02f : 0.0f;
        const Case with{size[0], size[1], capacity, partners, noise, broken, layout};
        found += compare<float>(with, seed);
        found += compare<Half>(with, seed++);
      }
    }
  }
  CHECK(found > 100000);
}

// Equally far pairs of one candidate, more than are looked at: the first ones are.
TEST(of_equally_far_pairs_the_first_are_kept) {
  const int64_t found = compare<float>({5, 5, 128, 8, 0.0f, 0.0f, Layout::kRows}, 1);
  CHECK(found > 5000);
}

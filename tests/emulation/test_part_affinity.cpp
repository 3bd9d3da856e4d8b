// The kernels of bottom-up decoding against the CPU loops, stage by stage, so that a difference is named where it
// begins. tests/ops/test_part_affinity_agreement.py has the thousands of scenes; these are for the sanitizers too.
#include <cstdint>
#include <utility>
#include <vector>

#include "ops/ops.h"
#include "tests/emulation/compare.h"
#include "tests/emulation/scenes.h"

using namespace ppf;

namespace {

// Results of one stage in one vector. What a stage leaves alone holds the same bytes on both processors.
class Results {
 public:
  explicit Results(int64_t words) : words_(static_cast<size_t>(words), -7) {}

  template <class T>
  T* take(int64_t count) {
    T* const here = reinterpret_cast<T*>(words_.data() + used_);
    used_ += static_cast<size_t>(count);
    return here;
  }
  std::vector<int32_t> all() && { return std::move(words_); }

 private:
  std::vector<int32_t> words_;
  size_t used_ = 0;
};

struct Scratch {
  std::vector<int32_t> words;
  View<int32_t, 1> view;

  explicit Scratch(int64_t count) : words(static_cast<size_t>(count), -1), view{words.data(), {count}, {1}} {}
};

struct Stages {
  const scenes::Scene& scene;
  const ops::PartAffinitySpec& spec;
  int64_t n, lists, entries, rows, people;

  explicit Stages(const scenes::Scene& from)
      : scene(from),
        spec(from.skeleton.spec),
        n(from.maps.n),
        lists(n * spec.limbs.joints),
        entries(lists * spec.capacity),
        rows(n * spec.limbs.limbs * spec.capacity),
        people(n * from.people) {}

  PeakLists peaks_in(Results& results) const {
    auto* const xy = results.take<float>(2 * entries);
    auto* const score = results.take<float>(entries);
    auto* const count = results.take<int32_t>(3 * lists);
    return {xy, score, count, count + lists, count + 2 * lists, spec.capacity};
  }

  LinkLists links_in(Results& results) const {
    auto* const partner = results.take<int32_t>(rows * spec.partners);
    auto* const score = results.take<float>(rows * spec.partners);
    auto* const count = results.take<int32_t>(2 * rows);
    return {partner, score, count, count + rows, spec.capacity, spec.partners};
  }

  PeopleLists people_in(Results& results) const {
    auto* const xy = results.take<float>(2 * people * spec.limbs.joints);
    auto* const score = results.take<float>(people * spec.limbs.joints);
    auto* const peak = results.take<int32_t>(people * spec.limbs.joints);
    auto* const person_score = results.take<float>(people);
    auto* const count = results.take<int32_t>(4 * n);
    return {xy, score, peak, person_score, count, count + n, count + 2 * n, count + 3 * n, scene.people};
  }

  int64_t peak_words() const { return 3 * entries + 3 * lists; }
  int64_t link_words() const { return 2 * rows * spec.partners + 2 * rows; }
  int64_t people_words() const { return (4 * people) * spec.limbs.joints + people + 4 * n; }

  void find(const PeakLists& out, const Device& device) const {
    MapView maps = scene.maps;
    maps.k = spec.limbs.joints;
    const Scratch work(ops::find_peaks_scratch(maps, spec.capacity, 1, device));
    ops::find_peaks(spec.peaks, maps, {}, out, work.view, 1, device);
  }

  void score(const PeakLists& peaks, const LinkLists& out, const Device& device) const {
    const Scratch work(ops::score_limbs_scratch(peaks, n * spec.limbs.limbs, 1, device));
    ops::score_limbs(spec.limbs, scene.fields, peaks, out, work.view, 1, device);
  }

  void group(const PeakLists& peaks, const LinkLists& links, const PeopleLists& out, const Device& device) const {
    const Scratch work(ops::group_people_scratch(spec.groups, spec.capacity, spec.partners, n, 1, device));
    ops::group_people(spec.groups, peaks, links, out, n, work.view, 1, device);
  }

  void decode(const PeopleLists& out, const Device& device) const {
    const Scratch work(ops::part_affinity_scratch(spec, scene.maps, 1, device));
    ops::decode_part_affinity(spec, scene.maps, scene.fields, out, work.view, 1, device);
  }
};

void agree(const scenes::Scene& scene, std::initializer_list<const char*> orders) {
  const Stages stages(scene);
  const auto name = [&](const char* stage) { return stage + (" of " + scene.what); };
  check::compare(
      name("find_peaks").c_str(),
      [&](const Device& device) {
        Results results(stages.peak_words());
        stages.find(stages.peaks_in(results), device);
        return std::move(results).all();
      },
      orders);
  Results found(stages.peak_words());
  const PeakLists peaks = stages.peaks_in(found);
  stages.find(peaks, check::kCpuDevice);
  check::compare(
      name("score_limbs").c_str(),
      [&](const Device& device) {
        Results results(stages.link_words());
        stages.score(peaks, stages.links_in(results), device);
        return std::move(results).all();
      },
      orders);
  Results scored(stages.link_words());
  const LinkLists links = stages.links_in(scored);
  stages.score(peaks, links, check::kCpuDevice);
  check::compare(
      name("group_people").c_str(),
      [&](const Device& device) {
        Results results(stages.people_words());
        stages.group(peaks, links, stages.people_in(results), device);
        return std::move(results).all();
      },
      orders);
  check::compare(name("decode_part_affinity").c_str(),
                 [&](const Device& device) {
                   Results results(stages.people_words());
                   stages.decode(stages.people_in(results), device);
                   return std::move(results).all();
                 },
                 {"ascending"});
}

void agree_on_scenes(LinkRule rule, unsigned first, unsigned count) {
  for (unsigned seed = first; seed < first + count; ++seed) {
    scenes::Scene scene;
    scenes::make_scene(scene, seed, rule);
    if (seed % 8 == 0) {
      agree(scene, {"ascending", "descending", "1", "2"});
    } else {
      agree(scene, {"ascending"});
    }
  }
}

}  // namespace

TEST(decoding_agrees) { agree_on_scenes(LinkRule::kLine, 0, 40); }
TEST(decoding_with_openpose_links_agrees) { agree_on_scenes(LinkRule::kOpenPose, 1000, 20); }
TEST(decoding_with_trt_pose_links_agrees) { agree_on_scenes(LinkRule::kTrtPose, 2000, 20); }

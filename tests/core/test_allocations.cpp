// Decoding frame after frame finds who is there, and takes nothing from the heap.
#include <cmath>
#include <cstdlib>
#include <vector>

#include "check.h"
#include "ops/ops.h"

// Every allocation of this program goes through here, those of operator new among them. A sanitizer has its own heap.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PPF_COUNTS_ALLOCATIONS
namespace {
std::size_t allocations = 0;
}
extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* old, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);

void* malloc(std::size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  ++allocations;
  return __libc_calloc(count, bytes);
}
void* realloc(void* old, std::size_t bytes) {
  ++allocations;
  return __libc_realloc(old, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  ++allocations;
  return __libc_memalign(alignment, bytes);
}
}
#endif

using namespace ppf;

namespace {

constexpr int kJoints = 5, kLimbs = 5, kHeight = 40, kWidth = 56;
constexpr int kEnds[kLimbs][2] = {{1, 0}, {1, 2}, {1, 3}, {1, 4}, {0, 2}};
// A head over a neck, two arms, a hip; in parts of a figure's size.
constexpr float kFigure[kJoints][2] = {{0, -0.4f}, {0, 0}, {-0.4f, 0.3f}, {0.4f, 0.3f}, {0, 0.8f}};

struct Scene {
  std::vector<float> heat = std::vector<float>(kJoints * kHeight * kWidth);
  std::vector<float> fields = std::vector<float>(2 * kLimbs * kHeight * kWidth);

  void draw(float neck_x, float neck_y, float size) {
    const auto x_of = [&](int k) { return neck_x + size * kFigure[k][0]; };
    const auto y_of = [&](int k) { return neck_y + size * kFigure[k][1]; };
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        const int at = y * kWidth + x;
        for (int k = 0; k < kJoints; ++k) {
          const float dx = static_cast<float>(x) - x_of(k), dy = static_cast<float>(y) - y_of(k);
          float& sample = heat[static_cast<std::size_t>(k * kHeight * kWidth + at)];
          sample = std::fmax(sample, std::exp(-0.5f * (dx * dx + dy * dy)));
        }
        for (int l = 0; l < kLimbs; ++l) {
          const int a = kEnds[l][0], b = kEnds[l][1];
          const float length = std::hypot(x_of(b) - x_of(a), y_of(b) - y_of(a));
          const float ux = (x_of(b) - x_of(a)) / length, uy = (y_of(b) - y_of(a)) / length;
          const float dx = static_cast<float>(x) - x_of(a), dy = static_cast<float>(y) - y_of(a);
          const float along = dx * ux + dy * uy, across = dx * uy - dy * ux;
          if (std::fabs(across) > 1.5f || along < -1.5f || along > length + 1.5f) continue;
          fields[static_cast<std::size_t>(2 * l * kHeight * kWidth + at)] = ux;
          fields[static_cast<std::size_t>((2 * l + 1) * kHeight * kWidth + at)] = uy;
        }
      }
    }
  }
};

MapView view_of(const std::vector<float>& maps, int channels) {
  MapView view;
  view.data = maps.data();
  view.n = 1;
  view.k = channels;
  view.height = kHeight;
  view.width = kWidth;
  view.stride_n = channels * kHeight * kWidth;
  view.stride_k = kHeight * kWidth;
  view.stride_y = kWidth;
  view.stride_x = 1;
  return view;
}

ops::PartAffinitySpec spec_of_figure() {
  ops::PartAffinitySpec spec;
  spec.peaks = ops::peak_spec(Refine::kLogParabola, 0.05f, false, 11, 1.0f);
  spec.peaks.shoulders = true;
  spec.limbs.joints = spec.groups.joints = kJoints;
  spec.limbs.limbs = spec.groups.limbs = kLimbs;
  for (int l = 0; l < kLimbs; ++l) {
    spec.limbs.limb[l] = {kEnds[l][0], kEnds[l][1], 2 * l, 2 * l + 1};
    spec.groups.first[l] = kEnds[l][0];
    spec.groups.second[l] = kEnds[l][1];
  }
  std::vector<ops::BodyJoint> joints(kJoints);
  for (int k = 0; k < kJoints; ++k) joints[k] = {true, kFigure[k][0], kFigure[k][1], k == 1 ? 0 : 1u << k};
  spec.groups.body = ops::body_of(spec.groups, joints, std::vector<float>(kJoints, 0.01f));
  spec.groups.least_lone = 0.1f;
  return spec;
}

struct Result {
  static constexpr int kPeople = 6;
  float xy[kPeople][kJoints][2];
  float score[kPeople][kJoints];
  int32_t peak[kPeople][kJoints];
  float person_score[kPeople];
  int32_t count, total, dropped, nonfinite;

  PeopleLists lists() {
    return {xy[0][0], score[0], peak[0], person_score, &count, &total, &dropped, &nonfinite, kPeople};
  }
};

// Frames of nobody, of one and of three people, and one that is not finite.
std::vector<Scene> scenes() {
  std::vector<Scene> all(4);
  all[1].draw(20.3f, 12.2f, 24.0f);
  for (const float x : {9.2f, 24.4f, 45.1f}) all[2].draw(x, 11.7f, 18.0f);
  all[3] = all[2];
  all[3].heat[700] = kNan;
  all[3].fields[900] = kInfinity;
  return all;
}

}  // namespace

TEST(people_are_found) {
  const std::vector<Scene> frames = scenes();
  const int32_t people[] = {0, 1, 3, 3};
  const ops::PartAffinitySpec spec = spec_of_figure();
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const MapView heat = view_of(frames[i].heat, kJoints), fields = view_of(frames[i].fields, 2 * kLimbs);
    std::vector<int32_t> scratch(static_cast<std::size_t>(ops::part_affinity_scratch(spec, heat, 1, {})));
    Result result;
    const View<int32_t, 1> words{scratch.data(), {static_cast<int64_t>(scratch.size())}, {1}};
    ops::decode_part_affinity(spec, heat, fields, result.lists(), words, 1, {});
    CHECK(result.count == people[i]);
    CHECK(result.nonfinite == (i == 3 ? 1 : 0));
  }
}

#ifdef PPF_COUNTS_ALLOCATIONS
TEST(a_frame_allocates_nothing) {
  const std::vector<Scene> frames = scenes();
  const ops::PartAffinitySpec spec = spec_of_figure();
  const MapView heat = view_of(frames[0].heat, kJoints);
  std::vector<int32_t> scratch(static_cast<std::size_t>(ops::part_affinity_scratch(spec, heat, 1, {})));
  const View<int32_t, 1> words{scratch.data(), {static_cast<int64_t>(scratch.size())}, {1}};
  Result result;
  const PeopleLists out = result.lists();
  const auto decode = [&] {
    for (const Scene& frame : frames) {
      ops::decode_part_affinity(spec, view_of(frame.heat, kJoints), view_of(frame.fields, 2 * kLimbs), out, words, 1,
                                {});
    }
  };
  decode();  // the loops are chosen once
  const std::size_t before = allocations;
  for (int i = 0; i < 100; ++i) decode();
  CHECK(allocations == before);
}

TEST(an_allocation_is_noticed) {
  const std::size_t before = allocations;
  const std::vector<int32_t> some(100);
  CHECK(allocations > before && some.size() == 100);
}
#endif

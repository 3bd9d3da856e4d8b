// Random scenes for bottom-up decoding: stick figures of a random build in maps and fields, from clean to hostile.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "core/half.h"
#include "ops/ops.h"

namespace scenes {

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  int below(int count) { return static_cast<int>(engine_() % static_cast<unsigned>(count)); }
  float between(float low, float high) {
    return low + (high - low) * static_cast<float>(engine_() % 100000u) / 100000.0f;
  }
  bool chance(float part) { return between(0.0f, 1.0f) < part; }

 private:
  std::mt19937 engine_;
};

struct Skeleton {
  ppf::ops::PartAffinitySpec spec;
  std::vector<ppf::Place> shape;  // of a figure of size 1, from its first joint
};

// A tree of joints, and limbs that close a loop now and then. Of some joints it is not known where they are on a body.
inline Skeleton random_skeleton(Random& random) {
  Skeleton skeleton;
  ppf::LimbSpec& limbs = skeleton.spec.limbs;
  ppf::GroupSpec& groups = skeleton.spec.groups;
  limbs.joints = groups.joints = 2 + random.below(6);
  limbs.limbs = groups.limbs = limbs.joints - 1 + random.below(3);
  std::vector<ppf::ops::BodyJoint> body(static_cast<size_t>(limbs.joints));
  std::vector<float> variances(body.size(), 0.01f);
  skeleton.shape.assign(body.size(), {0.0f, 0.0f});
  for (int l = 0; l < limbs.limbs; ++l) {
    const bool is_branch = l + 1 < limbs.joints;
    const int second = is_branch ? l + 1 : 1 + random.below(limbs.joints - 1), first = random.below(second);
    const int x = 2 * (limbs.limbs - 1 - l) + l % 2;
    limbs.limb[l] = {first, second, x, x ^ 1};
    groups.first[l] = first;
    groups.second[l] = second;
    if (!is_branch) continue;
    ppf::Place& place = skeleton.shape[static_cast<size_t>(second)];
    place = skeleton.shape[static_cast<size_t>(first)];
    place.x += random.between(-0.6f, 0.6f);
    place.y += random.between(-0.2f, 0.8f);
    body[static_cast<size_t>(second)] = {random.chance(0.8f), place.x, place.y,
                                         body[static_cast<size_t>(first)].chain | 1u << second};
    variances[static_cast<size_t>(second)] = random.between(0.001f, 0.1f);
  }
  body[0].is_known = random.chance(0.9f);
  groups.body = ppf::ops::body_of(groups, body, variances);
  return skeleton;
}

// Maps and fields of n images, in float or half, with joints or pixels outermost.
struct Scene {
  Skeleton skeleton;
  int people = 0;  // room for them
  ppf::MapView maps, fields;
  std::vector<float> samples[2];
  std::vector<ppf::Half> halves[2];
  std::string what;
};

inline void draw_figure(Random& random, const Skeleton& skeleton, float* maps, float* fields, int height, int width) {
  const int joints = skeleton.spec.limbs.joints;
  const float size = random.between(3.0f, 12.0f);
  const ppf::Place root{random.between(-1.0f, static_cast<float>(width)),
                        random.between(-1.0f, static_cast<float>(height))};
  std::vector<ppf::Place> at;
  for (const ppf::Place& place : skeleton.shape) {
    at.push_back(
        {root.x + size * place.x + random.between(-0.7f, 0.7f), root.y + size * place.y + random.between(-0.7f, 0.7f)});
  }
  for (int k = 0; k < joints; ++k) {
    if (random.chance(0.1f)) continue;  // hidden
    const float amplitude = random.between(0.3f, 1.0f), sigma = random.between(0.8f, 1.2f);
    for (int i = 0; i < height * width; ++i) {
      const float dx = static_cast<float>(i % width) - at[k].x, dy = static_cast<float>(i / width) - at[k].y;
      float& sample = maps[k * height * width + i];
      sample = std::max(sample, amplitude * std::exp(-(dx * dx + dy * dy) / (2 * sigma * sigma)));
    }
  }
  for (int l = 0; l < skeleton.spec.limbs.limbs; ++l) {
    const ppf::Limb& limb = skeleton.spec.limbs.limb[l];
    const ppf::Place a = at[static_cast<size_t>(limb.first)], b = at[static_cast<size_t>(limb.second)];
    const float length = std::hypot(b.x - a.x, b.y - a.y) + 1e-6f;
    const float ux = (b.x - a.x) / length, uy = (b.y - a.y) / length, strength = random.between(0.5f, 1.0f);
    for (int i = 0; i < height * width; ++i) {
      const float dx = static_cast<float>(i % width) - a.x, dy = static_cast<float>(i / width) - a.y;
      const float along = dx * ux + dy * uy, across = dx * uy - dy * ux;
      if (std::fabs(across) > 1.2f || along < -1.2f || along > length + 1.2f) continue;
      fields[limb.x * height * width + i] += strength * ux;
      fields[limb.y * height * width + i] += strength * uy;
    }
  }
}

// kind: 0 clean, 1 noise, 2 few levels, 3 spots of NaN and infinity, 4 nothing but noise, 5 few levels of noise, 6 flat
constexpr int kKinds = 7;

inline void spoil(Random& random, int kind, float* samples, int count) {
  const float level = random.between(-0.2f, 1.0f);
  for (int i = 0; i < count; ++i) {
    float& sample = samples[i];
    if (kind == 1) sample += random.between(-0.08f, 0.08f);
    if (kind == 2) sample = std::round(sample * 8.0f) / 8.0f;
    if (kind == 3 && random.chance(0.02f))
      sample = random.chance(0.4f) ? NAN : (random.chance(0.5f) ? 1e38f : INFINITY);
    if (kind == 4) sample = random.between(-1.0f, 1.0f);
    if (kind == 5) sample = static_cast<float>(random.below(4)) / 4.0f - 0.25f;
    if (kind == 6) sample = level;
  }
}

inline ppf::MapView view_of(Scene& scene, int which, int n, int k, int height, int width, bool is_half, bool is_nhwc) {
  std::vector<float>& samples = scene.samples[which];
  const int pixels = height * width;
  if (is_nhwc) {
    const std::vector<float> planes = samples;
    for (int64_t i = 0; i < static_cast<int64_t>(samples.size()); ++i) {
      const int64_t image = i / (k * pixels), channel = i / pixels % k, pixel = i % pixels;
      samples[static_cast<size_t>((image * pixels + pixel) * k + channel)] = planes[static_cast<size_t>(i)];
    }
  }
  const void* data = samples.data();
  if (is_half) {
    for (const float sample : samples) scene.halves[which].push_back(ppf::to_half(sample));
    data = scene.halves[which].data();
  }
  const int64_t image = int64_t{k} * pixels;
  return is_nhwc ? ppf::MapView{data, is_half, n, k, height, width, image, 1, int64_t{width} * k, k}
                 : ppf::MapView{data, is_half, n, k, height, width, image, pixels, width, 1};
}

inline void make_scene(Scene& scene, unsigned seed, ppf::LinkRule rule) {
  Random random(seed);
  scene.skeleton = random_skeleton(random);
  ppf::ops::PartAffinitySpec& spec = scene.skeleton.spec;
  const int kind = static_cast<int>(seed) % kKinds, n = 1 + random.below(2);
  const int height = random.chance(0.1f) ? 1 + random.below(3) : 5 + random.below(20);
  const int width = random.chance(0.1f) ? 1 + random.below(3) : 5 + random.below(35);
  const bool is_half = random.chance(0.3f), is_nhwc = random.chance(0.3f);
  const int joints = spec.limbs.joints, k = joints + random.below(2), c = 2 * spec.limbs.limbs;
  scene.samples[0].assign(static_cast<size_t>(n * k * height * width), 0.0f);
  scene.samples[1].assign(static_cast<size_t>(n * c * height * width), 0.0f);
  for (int image = 0; image < n; ++image) {
    float* const maps = scene.samples[0].data() + image * k * height * width;
    float* const fields = scene.samples[1].data() + image * c * height * width;
    for (int left = random.below(13); left > 0; --left) {
      draw_figure(random, scene.skeleton, maps, fields, height, width);
    }
    spoil(random, kind, maps, k * height * width);
    // Noise in both would leave nothing to link.
    spoil(random, kind >= 4 && random.chance(0.5f) ? 0 : kind, fields, c * height * width);
  }
  spec.peaks = ppf::ops::peak_spec(ppf::Refine::kLogParabola, random.between(0.0f, 0.2f), false, 11, 1.0f);
  spec.peaks.shoulders = true;
  spec.limbs.rule = rule;
  spec.limbs.longest = random.chance(0.5f) ? 0.5f : 2.0f;
  spec.groups.least_joints = 1 + random.below(3);
  spec.groups.least_score = random.chance(0.5f) ? 0.0f : 0.3f;
  spec.groups.least_lone = random.between(0.0f, 0.4f);
  spec.capacity = random.chance(0.3f) ? 1 + random.below(5) : (random.chance(0.2f) ? 128 : 40);
  spec.partners = random.chance(0.2f) ? 1 : (random.chance(0.1f) ? 20 : 8);
  if (rule == ppf::LinkRule::kTrtPose) spec.partners = spec.capacity;  // it weighs all pairs
  scene.people = random.chance(0.3f) ? 2 : 50;
  scene.maps = view_of(scene, 0, n, k, height, width, is_half, is_nhwc);
  scene.fields = view_of(scene, 1, n, c, height, width, is_half, is_nhwc);
  scene.what = "seed " + std::to_string(seed) + ", kind " + std::to_string(kind) + ", " + std::to_string(height) +
               " x " + std::to_string(width);
}

}  // namespace scenes

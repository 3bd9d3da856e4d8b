#include "core/published_people.h"
#include "loops/loops.h"
#include "ops/checks.h"
#include "ops/ops.h"
#include "ops/parallel.h"
#include "ops/run_on.h"
#include "ops/scratch.h"

namespace ppf::ops {
namespace {

// What lies between maps and people, for as many images as are in work at once, in 32-bit words.
struct Workspace {
  PeakLists peaks;
  LinkLists links;
  uint32_t* find;
  float* score;
  uint32_t* group;
  int64_t words = 0;

  Workspace(uint32_t* scratch, const PartAffinitySpec& spec, int64_t images, int64_t find_words, int64_t score_words,
            int64_t group_words) {
    const int64_t lists = images * spec.limbs.joints, rows = images * spec.limbs.limbs * spec.capacity;
    group = place<uint32_t>(scratch, group_words);  // first: it has to be aligned to 8 bytes
    peaks.xy = place<float>(scratch, lists * spec.capacity * 2);
    peaks.score = place<float>(scratch, lists * spec.capacity);
    peaks.count = place<int32_t>(scratch, lists);
    peaks.total = place<int32_t>(scratch, lists);
    peaks.nonfinite = place<int32_t>(scratch, lists);
    peaks.capacity = spec.capacity;
    links.partner = place<int32_t>(scratch, rows * spec.partners);
    links.score = place<float>(scratch, rows * spec.partners);
    links.count = place<int32_t>(scratch, rows);
    links.total = place<int32_t>(scratch, rows);
    links.capacity = spec.capacity;
    links.partners = spec.partners;
    find = place<uint32_t>(scratch, find_words);
    score = place<float>(scratch, score_words);
    words += words & 1;
  }

 private:
  template <class T>
  T* place(uint32_t* scratch, int64_t count) {
    T* const here = scratch == nullptr ? nullptr : reinterpret_cast<T*>(scratch + words);
    words += count;
    return here;
  }
};

int64_t find_words(const PartAffinitySpec& spec, const MapView& maps) {
  if (spec.peak_rule == PeakRule::kBest) return FindScratch(maps, spec.capacity).words();
  return PublishedScratch(spec.peak_rule, maps, spec.capacity).words();
}

// One image at a time, so that what is between the stages stays in the cache.
Workspace thread_workspace(uint32_t* scratch, const PartAffinitySpec& spec, const MapView& maps) {
  return {scratch,
          spec,
          1,
          find_words(spec, maps),
          limb_words(spec.capacity),
          group_words(spec.groups, spec.capacity, spec.partners)};
}

template <class Launcher>
Workspace device_workspace(uint32_t* scratch, const PartAffinitySpec& spec, const MapView& maps, const Launcher& gpu) {
  const int64_t per_map = spec.peak_rule == PeakRule::kBest ? gpu.find_peaks_scratch(maps)
                                                            : gpu.published_peaks_scratch(spec.peak_rule, maps);
  return {scratch, spec,
          maps.n,  per_map * maps.n * maps.k,
          0,       maps.n * group_words(spec.groups, spec.capacity, spec.partners)};
}

MapView image_of(const MapView& maps, int64_t n) {
  MapView one = maps;
  const int64_t size = maps.is_half ? 2 : 4;
  one.data = static_cast<const unsigned char*>(maps.data) + n * maps.stride_n * size;
  one.n = 1;
  return one;
}

PeopleLists image_of(const PeopleLists& people, int32_t joints, int64_t n) {
  PeopleLists one = people;
  const int64_t row = n * people.capacity;
  one.xy += row * joints * 2;
  one.score += row * joints;
  one.peak += row * joints;
  one.person_score += row;
  one.count += n;
  one.total += n;
  one.dropped += n;
  one.nonfinite += n;
  return one;
}

// Networks have a channel for the background behind those of the joints.
MapView joints_of(const PartAffinitySpec& spec, const MapView& maps) {
  if (maps.k < spec.limbs.joints) {
    throw InputError("heatmaps", "at least " + std::to_string(spec.limbs.joints) + " channels, one a joint",
                     std::to_string(maps.k));
  }
  MapView joints = maps;
  joints.k = spec.limbs.joints;
  return joints;
}

}  // namespace

int64_t part_affinity_scratch(const PartAffinitySpec& spec, const MapView& heatmaps, int threads,
                              const Device& device) {
  const MapView maps = joints_of(spec, heatmaps);
  int64_t words = thread_workspace(nullptr, spec, maps).words * thread_count(threads, maps.n);
  run_on(device, [] {}, [&](const auto& gpu) { words = device_workspace(nullptr, spec, maps, gpu).words; });
  return words;
}

void decode_part_affinity(const PartAffinitySpec& spec, const MapView& heatmaps, const MapView& fields,
                          const PeopleLists& out, const View<int32_t, 1>& scratch, int threads, const Device& device) {
  const MapView maps = joints_of(spec, heatmaps);
  check_maps(maps, device, "heatmaps");
  check_fields(spec.limbs, fields);
  check_number("capacity", spec.capacity, kMaxCandidates);
  check_number("partners", spec.partners, kMaxPartners);
  check_number("people", out.capacity, kMaxPeople);
  check_published(spec.peak_rule, maps, "heatmaps");
  if (spec.groups.rule == GroupRule::kTrtPose && spec.partners < spec.capacity) {
    throw InputError("partners",
                     "at least the capacity, " + std::to_string(spec.capacity) + ": trt_pose weighs all pairs",
                     std::to_string(spec.partners));
  }
  if (maps.n != fields.n) {
    throw InputError("fields", "as many images as heatmaps, " + std::to_string(maps.n), std::to_string(fields.n));
  }
  if (maps.height != fields.height || maps.width != fields.width) {
    throw InputError("fields", std::to_string(maps.height) + " x " + std::to_string(maps.width) + " as the heatmaps",
                     std::to_string(fields.height) + " x " + std::to_string(fields.width));
  }
  check_scratch(scratch.size[0], part_affinity_scratch(spec, maps, threads, device));
  if (maps.n == 0) return;
  uint32_t* const words = reinterpret_cast<uint32_t*>(scratch.data);
  run_on(
      device,
      [&] {
        const int64_t share = thread_workspace(nullptr, spec, maps).words;
        parallel_for(maps.n, threads, [&](int64_t first, int64_t last, int thread) {
          const loops::Table& run = loops::table();
          const Workspace work = thread_workspace(words + thread * share, spec, maps);
          for (int64_t n = first; n < last; ++n) {
            const MapView image = image_of(maps, n);
            if (spec.peak_rule == PeakRule::kBest) {
              run.find_peaks(spec.peaks, image, OffsetView{}, work.peaks, work.find, 0, image.k);
            } else {
              run.published_peaks(spec.peak_rule, spec.peaks, image, work.peaks, work.find, 0, image.k);
            }
            run.score_limbs(spec.limbs, image_of(fields, n), work.peaks, work.links, work.score, 0, spec.limbs.limbs);
            run.group_people(spec.groups, work.peaks, work.links, image_of(out, spec.limbs.joints, n), work.group, 0,
                             1);
          }
        });
      },
      [&](const auto& gpu) {
        const Workspace work = device_workspace(words, spec, maps, gpu);
        if (spec.peak_rule == PeakRule::kBest) {
          gpu.find_peaks(spec.peaks, maps, OffsetView{}, work.peaks, work.find);
        } else {
          gpu.published_peaks(spec.peak_rule, spec.peaks, maps, work.peaks, work.find);
        }
        gpu.score_limbs(spec.limbs, fields, work.peaks, work.links);
        gpu.group_people(spec.groups, work.peaks, work.links, out, maps.n, work.group);
      });
}

}  // namespace ppf::ops

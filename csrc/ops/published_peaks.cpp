#include "core/published_peaks.h"

#include <string>

#include "loops/loops.h"
#include "ops/checks.h"
#include "ops/ops.h"
#include "ops/parallel.h"
#include "ops/run_on.h"
#include "ops/scratch.h"

namespace ppf::ops {

// kOpenPose counts the up-sampled pixels of whole blocks, kTrtPose the samples of whole words of bits.
void check_published(PeakRule rule, const MapView& maps, const char* argument) {
  if (rule == PeakRule::kBest) return;
  const int64_t height = maps.height, width = maps.width;
  const int64_t pixels =
      rule == PeakRule::kOpenPose ? (height + 1) * (width + 1) * kUpsample * kUpsample : height * (width + 31);
  if (pixels <= INT32_MAX) return;
  throw InputError(argument, "maps whose pixels, up-sampled ones with openpose, can be counted in 32 bits",
                   std::to_string(maps.height) + " x " + std::to_string(maps.width));
}

int64_t published_peaks_scratch(PeakRule rule, const MapView& maps, int capacity, int threads, const Device& device) {
  int64_t words = PublishedScratch(rule, maps, capacity).words() * thread_count(threads, maps.n * maps.k);
  run_on(device, [] {}, [&](const auto& gpu) { words = gpu.published_peaks_scratch(rule, maps) * maps.n * maps.k; });
  return words;
}

void published_peaks(PeakRule rule, float threshold, const MapView& maps, const PeakLists& out,
                     const View<int32_t, 1>& scratch, int threads, const Device& device) {
  const PeakSpec spec = peak_spec(Refine::kNone, threshold, false, 11, 1.0f);
  check_maps(maps, device);
  check_published(rule, maps, "maps");
  check_number("capacity", out.capacity, kMaxCapacity);
  check_scratch(scratch.size[0], published_peaks_scratch(rule, maps, out.capacity, threads, device));
  if (maps.n == 0) return;
  uint32_t* const words = reinterpret_cast<uint32_t*>(scratch.data);
  run_on(
      device,
      [&] {
        const int64_t share = PublishedScratch(rule, maps, out.capacity).words();
        parallel_for(maps.n * maps.k, threads, [&](int64_t first, int64_t last, int thread) {
          loops::table().published_peaks(rule, spec, maps, out, words + thread * share, first, last);
        });
      },
      [&](const auto& gpu) { gpu.published_peaks(rule, spec, maps, out, words); });
}

}  // namespace ppf::ops

#include "core/limbs.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "loops/loops.h"
#include "ops/checks.h"
#include "ops/ops.h"
#include "ops/parallel.h"
#include "ops/run_on.h"
#include "ops/scratch.h"

namespace ppf::ops {
void check_fields(const LimbSpec& spec, const MapView& fields) {
  if (fields.height == 0 || fields.width == 0) {
    throw InputError("fields", "at least one row and column",
                     std::to_string(fields.height) + " x " + std::to_string(fields.width));
  }
  for (int32_t l = 0; l < spec.limbs; ++l) {
    const int32_t most = std::max(spec.limb[l].x, spec.limb[l].y);
    if (most >= fields.k) {
      throw InputError("fields", "more than " + std::to_string(most) + " channels, as the skeleton's limbs have",
                       std::to_string(fields.k));
    }
  }
  // The loops count within a channel in 32 bits.
  const int64_t reach =
      (fields.height - 1) * std::abs(fields.stride_y) + (fields.width - 1) * std::abs(fields.stride_x);
  if (reach > INT32_MAX / kUpsample || int64_t{fields.height} * kUpsample > INT32_MAX / kUpsample) {
    throw InputError("fields", "channels that span fewer than 2^28 elements", std::to_string(reach));
  }
}

void check_limbs(const LimbSpec& spec) {
  check_number("joints", spec.joints, kMaxJoints);
  check_number("fields", spec.limbs, kMaxLimbs);
  for (int32_t l = 0; l < spec.limbs; ++l) {
    const Limb& limb = spec.limb[l];
    const bool is_right = limb.first >= 0 && limb.first < spec.joints && limb.second >= 0 &&
                          limb.second < spec.joints && limb.first != limb.second && limb.x >= 0 && limb.y >= 0;
    if (!is_right) {
      throw InputError("fields", "two different joints below " + std::to_string(spec.joints) + " and two channels",
                       "limb " + std::to_string(l) + " from " + std::to_string(limb.first) + " to " +
                           std::to_string(limb.second) + ", channels " + std::to_string(limb.x) + " and " +
                           std::to_string(limb.y));
    }
  }
}

int64_t score_limbs_scratch(const PeakLists& peaks, int64_t limbs, int threads, const Device& device) {
  return device.kind == Device::kCuda ? 0 : limb_words(peaks.capacity) * thread_count(threads, limbs);
}

void score_limbs(const LimbSpec& spec, const MapView& fields, const PeakLists& peaks, const LinkLists& out,
                 const View<int32_t, 1>& scratch, int threads, const Device& device) {
  check_fields(spec, fields);
  check_number("capacity", peaks.capacity, kMaxCandidates);
  check_number("partners", out.partners, kMaxPartners);
  const int64_t limbs = fields.n * spec.limbs;
  check_scratch(scratch.size[0], score_limbs_scratch(peaks, limbs, threads, device));
  if (limbs == 0) return;
  if (device.kind == Device::kCpu) {
    check_counts("peaks.count", peaks.count, fields.n * spec.joints, peaks.capacity);
  }
  float* const words = reinterpret_cast<float*>(scratch.data);
  run_on(
      device,
      [&] {
        parallel_for(limbs, threads, [&](int64_t first, int64_t last, int thread) {
          loops::table().score_limbs(spec, fields, peaks, out, words + thread * limb_words(peaks.capacity), first,
                                     last);
        });
      },
      [&](const auto& gpu) { gpu.score_limbs(spec, fields, peaks, out); });
}

}  // namespace ppf::ops

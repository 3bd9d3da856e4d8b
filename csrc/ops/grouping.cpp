#include "core/grouping.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/published_people.h"
#include "loops/loops.h"
#include "ops/checks.h"
#include "ops/ops.h"
#include "ops/parallel.h"
#include "ops/run_on.h"
#include "ops/scratch.h"

namespace ppf::ops {
namespace {

float variance_of(const Body& body, uint32_t bones) {
  float variance = 0.0f;
  for (; bones != 0; bones &= bones - 1) variance += body.variance[lowest_bit(bones)];
  return variance;
}

template <class Variance>
void order_joints(const Body& body, int joints, const Variance& variance, uint8_t* order) {
  int count = 0;
  for (int k = 0; k < joints; ++k) {
    if ((body.known & (1u << k)) != 0) order[count++] = static_cast<uint8_t>(k);
  }
  std::stable_sort(order, order + count, [&](int a, int b) { return variance(a) < variance(b); });
}

// On the CPU, links that have been in the caller's hands: each must lead to a peak.
void check_links(const GroupSpec& spec, const PeakLists& peaks, const LinkLists& links, int64_t n) {
  check_counts("peaks.count", peaks.count, n * spec.joints, peaks.capacity);
  for (int64_t list = 0; list < n * spec.limbs; ++list) {
    const int64_t image = list / spec.limbs, limb = list % spec.limbs;
    const int32_t* const count = peaks.count + image * spec.joints;
    const int64_t row = list * peaks.capacity;
    check_counts("links.count", links.count + row, count[spec.first[limb]], links.partners);
    for (int64_t i = row; i < row + count[spec.first[limb]]; ++i) {
      for (int64_t r = i * links.partners; r < i * links.partners + links.count[i]; ++r) {
        if (links.partner[r] >= 0 && links.partner[r] < count[spec.second[limb]]) continue;
        throw InputError("links.partner",
                         "peaks of the limb's second joint, " + std::to_string(count[spec.second[limb]]) + " in number",
                         std::to_string(links.partner[r]));
      }
    }
  }
}

}  // namespace

Body body_of(const GroupSpec& spec, const std::vector<BodyJoint>& joints, const std::vector<float>& variances) {
  if (static_cast<int>(joints.size()) != spec.joints || variances.size() > kMaxJoints) {
    throw InputError("body",
                     std::to_string(spec.joints) + " joints and at most " + std::to_string(kMaxJoints) + " bones",
                     std::to_string(joints.size()) + " and " + std::to_string(variances.size()));
  }
  Body body;
  std::copy(variances.begin(), variances.end(), body.variance);
  for (int k = 0; k < spec.joints; ++k) {
    const BodyJoint& joint = joints[static_cast<size_t>(k)];
    if (!joint.is_known) continue;
    body.known |= 1u << k;
    body.x[k] = joint.x;
    body.y[k] = joint.y;
    body.chain[k] = joint.chain;
  }
  for (int l = 0; l < spec.limbs; ++l) {
    const int a = spec.first[l], b = spec.second[l];
    body.neighbours[a] |= 1u << b;
    body.neighbours[b] |= 1u << a;
    if ((body.known >> a & body.known >> b & 1u) == 0) continue;
    body.length[l] = std::hypot(body.x[a] - body.x[b], body.y[a] - body.y[b]);
  }
  for (int k = 0; k < spec.joints; ++k) {
    if ((body.known & (1u << k)) == 0) continue;
    order_joints(
        body, spec.joints, [&](int other) { return variance_of(body, body.chain[k] ^ body.chain[other]); },
        body.nearest[k]);
  }
  order_joints(body, spec.joints, [&](int k) { return variance_of(body, body.chain[k]); }, body.trunk);
  return body;
}

int64_t group_people_scratch(const GroupSpec& spec, int capacity, int partners, int64_t n, int threads,
                             const Device& device) {
  const int64_t words = group_words(spec, capacity, partners);
  return words * (device.kind == Device::kCuda ? n : thread_count(threads, n));
}

void group_people(const GroupSpec& spec, const PeakLists& peaks, const LinkLists& links, const PeopleLists& out,
                  int64_t n, const View<int32_t, 1>& scratch, int threads, const Device& device) {
  check_number("capacity", peaks.capacity, kMaxCandidates);
  check_number("partners", links.partners, kMaxPartners);
  check_number("people", out.capacity, kMaxPeople);
  check_scratch(scratch.size[0], group_people_scratch(spec, peaks.capacity, links.partners, n, threads, device));
  if (n == 0) return;
  if (device.kind == Device::kCpu) check_links(spec, peaks, links, n);
  uint32_t* const words = reinterpret_cast<uint32_t*>(scratch.data);
  run_on(
      device,
      [&] {
        const int64_t share = group_words(spec, peaks.capacity, links.partners);
        parallel_for(n, threads, [&](int64_t first, int64_t last, int thread) {
          loops::table().group_people(spec, peaks, links, out, words + thread * share, first, last);
        });
      },
      [&](const auto& gpu) { gpu.group_people(spec, peaks, links, out, n, words); });
}

}  // namespace ppf::ops

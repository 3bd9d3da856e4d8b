// From links to people, for one image, on the caller's memory.
//
// 1. Links are taken best first. Each joins two sets of joints when these have no joint in common, so that no false
//    link can ever fuse two people who are both there.
// 2. The sets say how large everybody is; then links are weighed again, those too long or too short for the size of
//    their ends counting less, and sets are built a second time where links were refused.
// 3. Sets that no link joins, since the joint between them is hidden, are joined where a body would have them, unless
//    there is a limb between them that the field should have shown.
//
// Every step is a decision in single precision, in one order: the same people come out on every processor.
#pragma once

#include <cstdint>

#include "core/elementary.h"
#include "core/host_device.h"
#include "core/limbs.h"

namespace ppf {

enum class GroupRule : int32_t {
  kBody,      // the three steps above
  kOpenPose,  // step 1 with OpenPose's order and its way to count (published_people.h)
  kTrtPose,   // limb by limb the best total of all pairs; whatever hangs together is one person
};

// How a person is built, in body heights: where each joint usually is relative to the neck of somebody standing, and
// how far bones swing. Only joints in `known` take part in steps 2 and 3.
struct Body {
  uint32_t known = 0;
  uint32_t neighbours[kMaxJoints] = {};  // joints that share a limb with this one
  float length[kMaxLimbs] = {};          // of each limb; 0: unknown
  float x[kMaxJoints] = {}, y[kMaxJoints] = {};
  uint32_t chain[kMaxJoints] = {};               // the joints from here to the neck, this one included
  float variance[kMaxJoints] = {};               // of the bone that ends here
  uint8_t nearest[kMaxJoints][kMaxJoints] = {};  // for each joint, all others by how well they foretell its place
  uint8_t trunk[kMaxJoints] = {};                // all joints by how well they foretell the neck's
};

struct GroupSpec {
  GroupRule rule = GroupRule::kBody;
  int32_t joints = 0, limbs = 0;
  int32_t least_joints = 4;  // of a person
  float least_score = 0.0f;  // mean over a person's joints
  float least_lone = 0.0f;   // of a joint without any link, to be joined to somebody
  float least_link = 0.0f;   // a pair has to score more (kTrtPose)
  uint32_t uncounted = 0;    // joints that make nobody a person (kOpenPose)
  int32_t first[kMaxLimbs] = {}, second[kMaxLimbs] = {};
  Body body;
};

// Results, C order.
struct PeopleLists {
  float* xy = nullptr;            // [N, P, K, 2]
  float* score = nullptr;         // [N, P, K], 0: the joint was not found
  int32_t* peak = nullptr;        // [N, P, K], index into the peaks of that joint; -1: none
  float* person_score = nullptr;  // [N, P]
  int32_t* count = nullptr;       // [N]
  int32_t* total = nullptr;       // [N], people before the cut to P
  int32_t* dropped = nullptr;     // [N], peaks that their lists had no room for
  int32_t* nonfinite = nullptr;   // [N], samples of the heatmaps that were NaN or infinite
  int32_t capacity = 0;           // P
};

constexpr int kMaxPeople = 1024;

// One image's share of peaks and links.
struct Candidates {
  const float* xy;           // [K, M, 2]
  const float* score;        // [K, M]
  const int32_t* count;      // [K]
  const int32_t* total;      // [K]
  const int32_t* nonfinite;  // [K]
  const int32_t* partner;    // [L, M, R]
  const float* link_score;   // [L, M, R]
  const int32_t* links;      // [L, M]
  int32_t capacity, partners;

  PPF_HD Place place(int32_t joint, int32_t index) const {
    const float* at = xy + (static_cast<int64_t>(joint) * capacity + index) * 2;
    return {at[0], at[1]};
  }
  PPF_HD float peak_score(int32_t joint, int32_t index) const {
    return score[static_cast<int64_t>(joint) * capacity + index];
  }
};

PPF_HD Candidates candidates_of(const PeakLists& peaks, const LinkLists& links, int64_t n, int32_t joints,
                                int32_t limbs) {
  const int64_t list = n * joints, row = n * limbs * peaks.capacity;
  return {peaks.xy + list * peaks.capacity * 2,
          peaks.score + list * peaks.capacity,
          peaks.count + list,
          peaks.total + list,
          peaks.nonfinite + list,
          links.partner + row * links.partners,
          links.score + row * links.partners,
          links.count + row,
          peaks.capacity,
          links.partners};
}

// Larger scores first, ties by index.
PPF_HD uint64_t rank_of(float score, uint32_t index) {
  const uint32_t ascending = static_cast<uint32_t>(order_key(score)) ^ 0x80000000u;
  return static_cast<uint64_t>(~ascending) << 32 | index;
}

// ---- sets of joints -----------------------------------------------------------------------------------------------

// A pair of candidates of one limb.
struct Link {
  int32_t a, b;
};

// Squared length of limbs in px^2, and what that is for somebody one pixel tall. Both are 0 for limbs whose length is
// not known.
struct Extent {
  float length2, body2;
};

// Of the candidates that hang together, the first one's tells of all.
struct Set {
  int32_t parent;  // a candidate before this one in the same set; itself when there is none
  uint32_t joints;
};

struct Sets {
  Set* of;  // by candidate

  PPF_HD void reset(int32_t candidate, uint32_t joint_bit) const { of[candidate] = {candidate, joint_bit}; }

  // Shortens the way there. Most are their own root or right below it, which takes one question.
  PPF_HD int32_t root_of(int32_t candidate) const {
    int32_t parent = of[candidate].parent, root = of[parent].parent;
    while (root != parent) {
      of[candidate].parent = root;
      candidate = root;
      parent = of[candidate].parent;
      root = of[parent].parent;
    }
    return root;
  }

  // Makes the sets of both ends of a link one, unless they are two that have a joint in common.
  PPF_HD void take(const Link& link) const {
    const int32_t one = root_of(link.a), other = root_of(link.b);
    if (one == other) return;
    Set &set = of[smaller(one, other)], &gone = of[larger(one, other)];
    if ((set.joints & gone.joints) != 0) return;
    gone.parent = smaller(one, other);
    set.joints |= gone.joints;
  }
};

// How much less a link counts at one of its ends because it is too long or too short for the set there: linear in the
// logarithm of the ratio, a little more for links that are too long. Both are logarithms of squared lengths in px^2 per
// squared body height, or NaN where there is none, and then it counts fully.
PPF_HD float size_penalty(float log_of_link, float log_of_set) {
  const float log_ratio = 0.5f * (log_of_link - log_of_set);
  const float penalty = log_ratio > 0.0f ? 1.65f * log_ratio : -1.35f * log_ratio;
  return penalty == penalty ? penalty : 0.0f;
}

// ---- parts of people ----------------------------------------------------------------------------------------------

// The first joint in `order` that is one of these; one of them is there.
PPF_HD int32_t first_among(const uint8_t* order, uint32_t joints) {
  while ((joints >> *order & 1u) == 0) ++order;
  return *order;
}

// What two fragments measure, and how far they are apart at the two joints that say most about each other.
struct Gap {
  float length2_a, body2_a, length2_b, body2_b;
  float dx, dy;         // from the joint of `a` to that of `b`, px
  float beside, above;  // how far to the side of it, and above it, the joint of `a` is when somebody stands
  uint32_t bones;       // between the two joints
};

constexpr float kNoJoin = kInfinity;       // the cost of one that cannot be
constexpr float kMostStrain = 12.0f;       // squared deviations, about three and a half sigma
constexpr float kLeastVariance = 0.0004f;  // of a place that bones foretell, in squared body heights

PPF_HD float variance_along(const Body& body, uint32_t bones) {
  float variance = kLeastVariance;
  for (; bones != 0; bones &= bones - 1) variance += body.variance[lowest_bit(bones)];
  return variance;
}

// What it costs to join across a gap, finite or kNoJoin. Without branches, so that many can be weighed side by side;
// `variance` is that of the bones between.
PPF_HD float join_cost(const Gap& gap, float variance) {
  const float body2 = gap.body2_a + gap.body2_b;
  // Limbs are foreshortened, so the height is rather more than they say.
  const float height2 = (gap.length2_a + gap.length2_b) / body2 * 1.1f;
  // Which side somebody faces is not known: what is beside the neck may be on either side of it.
  const float variance_x = variance + 0.6f * gap.beside * gap.beside;
  const float dx = gap.dx, dy = gap.dy - gap.above * square_root(height2);
  const float apart = (dx * dx / variance_x + dy * dy / variance) / height2;
  const bool both_measured =
      (gap.body2_a > 0.0f) & (gap.body2_b > 0.0f) & (gap.length2_a > 0.0f) & (gap.length2_b > 0.0f);
  const float ratio2 = (gap.length2_a * gap.body2_b) / (gap.length2_b * gap.body2_a);
  const float log_ratio = 0.5f * log_of(both_measured ? ratio2 : 1.0f);
  const float strain = apart + log_ratio * log_ratio * (1.0f / (0.35f * 0.35f));
  const bool possible =
      (body2 > 0.0f) & (height2 > 0.0f) & is_finite(height2) & (apart < kMostStrain) & (strain < kMostStrain);
  // Minus twice the logarithm of a density: where places are foretold closely, being near says more.
  return possible ? strain + 0.5f * log_of(variance_x * variance * height2 * height2) : kNoJoin;
}

}  // namespace ppf

// find_joins() of core/people.h for all fragments at once. Nearly all pairs of fragments have joints in common, so
// they are crossed out many at a time, and what is left is gathered and weighed side by side.
#pragma once

#include "core/people.h"
#include "loops/wide.h"

namespace ppf::loops::PPF_ISA {
namespace {

constexpr int32_t kPairs = 64;

static_assert(kWide <= kRollSlack);

// Pairs of fragments, and what gap_between() says of each.
struct Gaps {
  int32_t count = 0;
  int32_t f[kPairs], g[kPairs];
  uint32_t bones[kPairs];
  float length2_a[kPairs], body2_a[kPairs], length2_b[kPairs], body2_b[kPairs];
  float dx[kPairs], dy[kPairs], beside[kPairs], above[kPairs], variance[kPairs];

  void put(int32_t i, const Gap& gap) {
    length2_a[i] = gap.length2_a;
    body2_a[i] = gap.body2_a;
    length2_b[i] = gap.length2_b;
    body2_b[i] = gap.body2_b;
    dx[i] = gap.dx;
    dy[i] = gap.dy;
    beside[i] = gap.beside;
    above[i] = gap.above;
    bones[i] = gap.bones;
  }
  Gap at(int32_t i) const {
    return {length2_a[i], body2_a[i], length2_b[i], body2_b[i], dx[i], dy[i], beside[i], above[i], bones[i]};
  }
};

// variance_along() of each, in its order.
inline void sum_variances(const Body& body, Gaps& gaps) {
  uint32_t all = 0;
  for (int32_t i = 0; i < gaps.count; ++i) {
    gaps.variance[i] = kLeastVariance;
    all |= gaps.bones[i];
  }
  for (; all != 0; all &= all - 1) {
    const uint32_t bone = all & -all;
    const float variance = body.variance[lowest_bit(bone)];
    for (int32_t i = 0; i < gaps.count; ++i) gaps.variance[i] += (gaps.bones[i] & bone) != 0 ? variance : 0.0f;
  }
}

inline void weigh(const Gaps& gaps, float* __restrict cost) {
  const int32_t count = gaps.count;
  for (int32_t i = 0; i < count; ++i) cost[i] = join_cost(gaps.at(i), gaps.variance[i]);
}

// How far to the side of one fragment the trunk of another may be, in squared body heights: join_cost() with variances
// that none exceeds, and a little more, since what follows is not computed in its order.
class Reach {
 public:
  explicit Reach(const Body& body) {
    float most_variance = 0.0f, most_beside = 0.0f;
    for (uint32_t known = body.known; known != 0; known &= known - 1) {
      const int32_t joint = lowest_bit(known);
      of_[joint] = variance_along(body, body.chain[joint]);
      most_variance = larger_of(most_variance, of_[joint]);
      most_beside = larger_of(most_beside, absolute(body.x[joint]));
    }
    for (uint32_t known = body.known; known != 0; known &= known - 1) {
      const int32_t joint = lowest_bit(known);
      const float variance = of_[joint] + most_variance, beside = absolute(body.x[joint]) + most_beside;
      of_[joint] = 1.001f * 1.1f * kMostStrain * (variance + 0.6f * beside * beside);
    }
  }

  float of(int32_t trunk) const { return of_[trunk]; }

 private:
  static float larger_of(float a, float b) { return a > b ? a : b; }

  float of_[kMaxJoints];
};

// What tells of most pairs in a crowd that they are too far apart: where a fragment's trunk and its outermost joints
// are along x, how far it reaches, and what it measures.
struct Outline {
  float trunk, left, right, reach, length2, body2, joints;
};

// The outlines of a roll, side by side.
class Outlines {
 public:
  static constexpr int32_t kColumns = 7;

  Outlines(void* memory, int32_t count) : memory_(static_cast<float*>(memory)), column_(count + kRollSlack) {}

  void put(int32_t i, const Outline& one) const {
    column(kTrunk)[i] = one.trunk;
    column(kLeft)[i] = one.left;
    column(kRight)[i] = one.right;
    column(kReach)[i] = one.reach;
    column(kLength2)[i] = one.length2;
    column(kBody2)[i] = one.body2;
    column(kJoints)[i] = one.joints;
  }

  Outline at(int32_t i) const {
    return {column(kTrunk)[i],   column(kLeft)[i],  column(kRight)[i], column(kReach)[i],
            column(kLength2)[i], column(kBody2)[i], column(kJoints)[i]};
  }

  // Bit k: the (i + k)-th is too far from this one, which comes before it. Of numbers so large or small that nothing
  // can be said, none is.
  uint32_t far_from(const Outline& one, int32_t i) const {
    const WideInt is_smaller = load(column(kJoints) + i) <= all_of(one.joints);
    const WideFloat at = is_smaller ? load(column(kTrunk) + i) : all_of(one.trunk);
    const WideFloat before = (is_smaller ? all_of(one.left) : load(column(kLeft) + i)) - at;
    const WideFloat behind = at - (is_smaller ? all_of(one.right) : load(column(kRight) + i));
    const WideFloat beside = before > behind ? before : behind;
    const WideFloat square = beside > 0.0f ? beside * beside : WideFloat{};
    const WideFloat reach = is_smaller ? load(column(kReach) + i) : all_of(one.reach);
    const WideFloat length2 = load(column(kLength2) + i) + one.length2, body2 = load(column(kBody2) + i) + one.body2;
    return mask_of(square * body2 > reach * length2 + 1e-30f);
  }

 private:
  enum Column { kTrunk, kLeft, kRight, kReach, kLength2, kBody2, kJoints };

  float* column(Column which) const { return memory_ + which * column_; }

  float* memory_;
  int32_t column_;
};

class JoinSearch {
 public:
  JoinSearch(const GroupSpec& spec, const Candidates& from, const Workroom& room)
      : spec_(spec),
        from_(from),
        room_(room),
        is_crowd_(room.tally[1] >= kCrowd),
        open_(room.spare, room.tally[1]),
        large_(room.spare + kRollWords * room.tally[1] / 2, room.tally[2]) {}

  void run(int32_t large) {
    const int32_t open = room_.tally[1], open_large = room_.tally[2];
    close_slack(room_.open, open);
    close_slack(room_.large, open_large);
    if (is_crowd_) draw_outlines(large);
    int32_t larger_ones = 0;  // how many of the large ones come before, or are, the one in hand
    for (int32_t p = 0; p < open; ++p) {
      const int32_t f = room_.open.fragment[p];
      const bool is_large = room_.count[f] >= large;
      room_.join_count[f] = 0;
      larger_ones += is_large;
      if (is_large) {
        list_pairs(p, room_.open, open_, p + 1, open);
      } else {
        list_pairs(p, room_.large, large_, larger_ones, open_large);
      }
    }
    weigh_pairs();
  }

 private:
  // So many that most are far apart. Outlines of both rolls fit into memory for sorting, which has 16 words for each.
  static constexpr int32_t kCrowd = 128, kRollWords = 8;
  static_assert(Outlines::kColumns * (kCrowd + kRollSlack) <= kRollWords * kCrowd);

  // A fragment with all joints can be joined to nobody.
  static void close_slack(const Roll& roll, int32_t count) { store(all_of(-1), roll.joints + count); }

  void draw_outlines(int32_t large) {
    const Reach reach(spec_.body);
    int32_t larger_ones = 0;
    for (int32_t p = 0; p < room_.tally[1]; ++p) {
      const int32_t f = room_.open.fragment[p];
      const Outline one = outline_of(f, reach.of(room_.trunk[f]));
      open_.put(p, one);
      if (room_.count[f] >= large) large_.put(larger_ones++, one);
    }
  }

  Outline outline_of(int32_t f, float reach) const {
    float left = kInfinity, right = -kInfinity;
    for (uint32_t joints = room_.joints[f]; joints != 0; joints &= joints - 1) {
      const float x = place_of(spec_, from_, room_, f, lowest_bit(joints)).x;
      left = x < left ? x : left;
      right = x > right ? x : right;
    }
    const Extent extent = room_.extent[f];
    const float joints = static_cast<float>(room_.count[f]);
    return {room_.trunk_place[f].x, left, right, reach, extent.length2, extent.body2, joints};
  }

  // The pairs of the p-th open fragment with others from `begin` on that have no joint which it refuses.
  void list_pairs(int32_t p, const Roll& others, const Outlines& outlines, int32_t begin, int32_t end) {
    const int32_t f = room_.open.fragment[p];
    const Outline one = is_crowd_ ? open_.at(p) : Outline{};
    const WideInt barred = all_of(static_cast<int32_t>(refused(room_, f)));
    for (int32_t i = begin; i < end; i += kWide) {
      const WideInt met = load(others.joints + i) & barred;
      uint32_t free = mask_equal(met, WideInt{});
      if (free == 0) continue;
      if (is_crowd_) free &= ~outlines.far_from(one, i);
      const Picked picked(free);
      store(all_of(f), pairs_.f + pairs_.count);
      picked.store(load(others.fragment + i), pairs_.g + pairs_.count);
      pairs_.count += picked.count();
      if (pairs_.count > kPairs - kWide) weigh_pairs();
    }
  }

  void weigh_pairs() {
    if (pairs_.count == 0) return;
    for (int32_t i = 0; i < pairs_.count; ++i) {
      pairs_.put(i, gap_between(spec_, from_, room_, pairs_.f[i], pairs_.g[i]));
    }
    sum_variances(spec_.body, pairs_);
    float cost[kPairs];
    weigh(pairs_, cost);
    for (int32_t i = 0; i < pairs_.count; ++i) {
      if (cost[i] < kNoJoin) offer_join(room_, pairs_.f[i], pairs_.g[i], cost[i]);
    }
    pairs_.count = 0;
  }

  const GroupSpec& spec_;
  const Candidates& from_;
  const Workroom& room_;
  bool is_crowd_;
  Outlines open_, large_;
  Gaps pairs_;
};

}  // namespace
}  // namespace ppf::loops::PPF_ISA

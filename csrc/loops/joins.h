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

class JoinSearch {
 public:
  JoinSearch(const GroupSpec& spec, const Candidates& from, const Workroom& room)
      : spec_(spec), from_(from), room_(room) {}

  void run(int32_t large) {
    const int32_t open = room_.tally[1], open_large = room_.tally[2];
    close_slack(room_.open, open);
    close_slack(room_.large, open_large);
    int32_t larger_ones = 0;  // how many of the large ones come before, or are, the one in hand
    for (int32_t p = 0; p < open; ++p) {
      const int32_t f = room_.open.fragment[p];
      const bool is_large = room_.count[f] >= large;
      room_.join_count[f] = 0;
      larger_ones += is_large;
      if (is_large) {
        list_pairs(f, room_.open, p + 1, open);
      } else {
        list_pairs(f, room_.large, larger_ones, open_large);
      }
    }
    weigh_pairs();
  }

 private:
  // A fragment with all joints can be joined to nobody.
  static void close_slack(const Roll& roll, int32_t count) { store(all_of(-1), roll.joints + count); }

  // The pairs of a fragment with those from `begin` on that have no joint which it refuses.
  void list_pairs(int32_t f, const Roll& others, int32_t begin, int32_t end) {
    const WideInt barred = all_of(static_cast<int32_t>(refused(room_, f)));
    for (int32_t i = begin; i < end; i += kWide) {
      const WideInt met = load(others.joints + i) & barred;
      const uint32_t free = mask_equal(met, WideInt{});
      if (free == 0) continue;
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
  Gaps pairs_;
};

}  // namespace
}  // namespace ppf::loops::PPF_ISA

// The memory in which people are made out of links (people.h), one array per quantity.
#pragma once

#include <cstdint>

#include "core/grouping.h"

namespace ppf {

constexpr int kJoinsPerFragment = 4;

PPF_HD int64_t power_of_two_from(int64_t count) {
  int64_t power = 1;
  while (power < count) power *= 2;
  return power;
}

// Fragments that a round of joins is about, in order, and what joints they have. Both are read in whole vectors.
struct Roll {
  int32_t* fragment;
  uint32_t* joints;
};

constexpr int32_t kRollSlack = 16;

// The working memory of one image. `scratch` is aligned to 8 bytes; without any, only `words` means something.
struct Workroom {
  uint64_t* order;  // what is sorted; room for a power of two
  uint64_t* spare;  // twice as many
  int32_t* base;    // [K + 1], candidate i of joint k has number base[k] + i
  int32_t* start;   // [L + 1], of each limb's links
  int32_t* tally;   // [3], what the leader has counted
  Link* link;
  int32_t* limb;  // by link, for kOpenPose
  float* score;   // by link
  Extent* link_extent;
  float* size_at;         // [links, 2], of the sets at both ends
  float* weighed;         // by link, its score for the sizes of the sets at its ends
  Sets sets;              // by candidate
  int32_t* fragment_of;   // by candidate
  int32_t* is_contested;  // by fragment, 1: a link to another one was refused
  float* size;            // by fragment, see weigh_links()
  uint32_t* joints;       // by fragment
  uint32_t* barred;
  Roll open;   // all that take part in a round
  Roll large;  // the large ones of these
  int32_t* count;
  int32_t* joined;     // the fragment that has taken this one in; itself when none has
  int32_t* has_grown;  // in the round at hand
  int32_t* trunk;      // see find_trunk()
  Place* trunk_place;
  Extent* extent;       // of the links between its joints
  float* total;         // sum of its peaks' scores
  int32_t* member;      // [fragments, K], index of the peak, or -1
  int32_t* join_count;  // of each fragment with later ones, the best first
  int32_t* join_with;   // [fragments, kJoinsPerFragment]
  float* join_cost;
  int64_t words;

  PPF_HD Workroom(uint32_t* scratch, int32_t joint_count, int32_t limb_count, int32_t capacity, int32_t partners) {
    const int64_t candidates = static_cast<int64_t>(joint_count) * capacity;
    const int64_t links = static_cast<int64_t>(limb_count) * capacity * partners;
    const int64_t joins = candidates * kJoinsPerFragment;
    const int64_t sorted = power_of_two_from(links > joins ? links : joins);
    words = 0;
    order = place<uint64_t>(scratch, sorted);
    spare = place<uint64_t>(scratch, 2 * sorted);
    base = place<int32_t>(scratch, joint_count + 1);
    start = place<int32_t>(scratch, limb_count + 1);
    tally = place<int32_t>(scratch, 3);
    link = place<Link>(scratch, links);
    limb = place<int32_t>(scratch, links);
    score = place<float>(scratch, links);
    link_extent = place<Extent>(scratch, links);
    size_at = place<float>(scratch, 2 * links);
    weighed = place<float>(scratch, links);
    sets.of = place<Set>(scratch, candidates);
    fragment_of = place<int32_t>(scratch, candidates);
    is_contested = place<int32_t>(scratch, candidates);
    size = place<float>(scratch, candidates);
    joints = place<uint32_t>(scratch, candidates);
    barred = place<uint32_t>(scratch, candidates);
    open = roll(scratch, candidates);
    large = roll(scratch, candidates);
    count = place<int32_t>(scratch, candidates);
    joined = place<int32_t>(scratch, candidates);
    has_grown = place<int32_t>(scratch, candidates);
    trunk = place<int32_t>(scratch, candidates);
    trunk_place = place<Place>(scratch, candidates);
    extent = place<Extent>(scratch, candidates);
    total = place<float>(scratch, candidates);
    member = place<int32_t>(scratch, candidates * joint_count);
    join_count = place<int32_t>(scratch, candidates);
    join_with = place<int32_t>(scratch, joins);
    join_cost = place<float>(scratch, joins);
    words += words & 1;
  }

 private:
  static constexpr int64_t kWordBytes = sizeof(uint32_t);

  PPF_HD Roll roll(uint32_t* scratch, int64_t count) {
    int32_t* const fragment = place<int32_t>(scratch, count + kRollSlack);
    return {fragment, place<uint32_t>(scratch, count + kRollSlack)};
  }

  template <class T>
  PPF_HD T* place(uint32_t* scratch, int64_t count) {
    T* const here = scratch == nullptr ? nullptr : reinterpret_cast<T*>(scratch + words);
    words += count * static_cast<int64_t>(sizeof(T)) / kWordBytes;
    return here;
  }
};

}  // namespace ppf

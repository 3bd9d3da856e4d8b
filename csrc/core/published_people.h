// From links to people by the rules of two published decoders, and the choice among all rules. As in people.h the
// procedures are written for a team of threads.
#pragma once

#include <cstdint>

#include "core/assignment.h"
#include "core/people.h"

namespace ppf {

// ---- kOpenPose --------------------------------------------------------------------------------------------------
//
// In the workroom, people are fragments in the order of their first links, `fragment_of` says for every candidate
// whose it is, and one that has been taken in by another is `joined` to it.

constexpr int32_t kNobody = -1;

// A link counts with a tenth of what its two peaks do. Of equal ones the last is taken first, as published.
template <class Team>
PPF_HD void order_published(const Team& team, const GroupSpec& spec, const Candidates& from, const Workroom& room,
                            int32_t links) {
  for (int32_t l = team.rank(); l < spec.limbs; l += team.size()) {
    for (int32_t i = room.start[l]; i < room.start[l + 1]; ++i) room.limb[i] = l;
  }
  team.sync();
  for (int32_t i = team.rank(); i < links; i += team.size()) {
    const Link& link = room.link[i];
    const int32_t first = spec.first[room.limb[i]], second = spec.second[room.limb[i]];
    const float peaks = 0.1f * from.peak_score(first, link.a - room.base[first]) +
                        0.1f * from.peak_score(second, link.b - room.base[second]);
    const int32_t place = links - 1 - i;
    room.order[place] = rank_of(room.score[i] + peaks, static_cast<uint32_t>(place));
  }
  team.sync();
  team.sort(room.order, room.spare, links);
}

PPF_HD void give_joint(const GroupSpec& spec, const Candidates& from, const Workroom& room, int32_t person,
                       int32_t joint, int32_t candidate) {
  const int32_t index = candidate - room.base[joint];
  room.fragment_of[candidate] = person;
  room.joints[person] |= 1u << joint;
  room.count[person] += 1;
  room.total[person] += from.peak_score(joint, index);
  room.member[person * spec.joints + joint] = index;
}

PPF_HD void merge_people(const GroupSpec& spec, const Workroom& room, int32_t into, int32_t gone) {
  room.joined[gone] = into;
  room.joints[into] |= room.joints[gone];
  room.count[into] += room.count[gone];
  room.total[into] += room.total[gone];
  for (int32_t k = 0; k < spec.joints; ++k) {
    const int32_t index = room.member[gone * spec.joints + k];
    if (index < 0) continue;
    room.member[into * spec.joints + k] = index;
    room.fragment_of[room.base[k] + index] = into;
  }
}

// Takes the links in order; returns how many people have been begun.
PPF_HD int32_t assemble(const GroupSpec& spec, const Candidates& from, const Workroom& room, int32_t links) {
  int32_t people = 0;
  for (int32_t i = 0; i < links; ++i) {
    const int32_t index = links - 1 - static_cast<int32_t>(room.order[i] & 0xffffffffu);
    const int32_t a = room.link[index].a, b = room.link[index].b;
    const int32_t joint_a = spec.first[room.limb[index]], joint_b = spec.second[room.limb[index]];
    const int32_t of_a = room.fragment_of[a], of_b = room.fragment_of[b];
    const float score = room.score[index];
    if (of_a == kNobody && of_b == kNobody) {
      const int32_t person = people++;
      room.joined[person] = person;
      room.joints[person] = 0;
      room.count[person] = 0;
      room.total[person] = 0.0f;
      for (int32_t k = 0; k < spec.joints; ++k) room.member[person * spec.joints + k] = -1;
      give_joint(spec, from, room, person, joint_a, a);
      give_joint(spec, from, room, person, joint_b, b);
      room.total[person] += score;
    } else if (of_a == of_b) {
      room.total[of_a] += score;
    } else if (of_a != kNobody && of_b != kNobody) {
      // Two people with a joint in common stay two, and the link counts for neither.
      if ((room.joints[of_a] & room.joints[of_b]) != 0) continue;
      const int32_t into = smaller(of_a, of_b);
      merge_people(spec, room, into, larger(of_a, of_b));
      room.total[into] += score;
    } else {
      // A joint that the person has already came with a better link, and stays.
      const bool is_a = of_a == kNobody;
      const int32_t person = is_a ? of_b : of_a, joint = is_a ? joint_a : joint_b;
      if ((room.joints[person] >> joint & 1u) != 0) continue;
      give_joint(spec, from, room, person, joint, is_a ? a : b);
      room.total[person] += score;
    }
  }
  return people;
}

// How many joints of a person count; 0 for one who has joints in `uncounted` and few others.
PPF_HD int32_t counted_joints(const Workroom& room, int32_t person, uint32_t uncounted) {
  constexpr int32_t kFew = 4;
  int32_t count = room.count[person];
  for (uint32_t left = room.joints[person] & uncounted; left != 0; left &= left - 1) --count;
  return count < room.count[person] && count <= kFew ? 0 : count;
}

// Puts those with enough joints, and enough score over these, in room.order as they come; returns how many they are.
PPF_HD int32_t choose_people(const GroupSpec& spec, const Workroom& room, int32_t begun, uint32_t uncounted) {
  int32_t people = 0;
  for (int32_t person = 0; person < begun; ++person) {
    if (room.joined[person] != person) continue;
    const int32_t count = counted_joints(room, person, uncounted);
    if (count < spec.least_joints || count == 0) continue;
    if (!(room.total[person] / static_cast<float>(count) >= spec.least_score)) continue;
    room.order[people++] = static_cast<uint64_t>(person);
  }
  return people;
}

// People come in the order in which their first links were taken.
template <class Team>
PPF_HD void group_openpose(const Team& team, const GroupSpec& spec, const Candidates& from, const Workroom& room,
                           const PeopleLists& out, int64_t n) {
  const int32_t links = gather_links(team, spec, from, room);
  for (int32_t c = team.rank(); c < room.base[spec.joints]; c += team.size()) room.fragment_of[c] = kNobody;
  order_published(team, spec, from, room, links);
  if (team.leads()) {
    const int32_t begun = assemble(spec, from, room, links);
    int32_t people = choose_people(spec, room, begun, spec.uncounted);
    // When that leaves nobody, all joints count.
    if (people == 0 && spec.uncounted != 0) people = choose_people(spec, room, begun, 0);
    write_counts(spec, from, room, out, n, people);
  }
  team.sync();
  write_rows(team, spec, from, room, out, n);
}

// ---- kTrtPose ---------------------------------------------------------------------------------------------------

// Beside a workroom without links: for every limb a dense matrix of scores, its assignment, and room to find it.
struct MatchRoom {
  double* search;   // [L, search_words]
  float* score;     // [L, M, M]
  int32_t* second;  // [L, M], of each candidate of the first joint its partner or -1
  int32_t* first;   // [L, M], the other way round
  int64_t search_words, words;

  PPF_HD MatchRoom(uint32_t* scratch, int32_t limbs, int32_t capacity) {
    const int64_t matrix = static_cast<int64_t>(capacity) * capacity, lists = static_cast<int64_t>(limbs) * capacity;
    search_words = optimal_words(capacity, capacity, true);
    search = reinterpret_cast<double*>(scratch);
    score = reinterpret_cast<float*>(scratch + 2 * limbs * search_words);
    second = reinterpret_cast<int32_t*>(score + limbs * matrix);
    first = second + lists;
    words = 2 * limbs * search_words + limbs * matrix + 2 * lists;
    words += words & 1;
  }
};

// The full assignment of one limb with the largest total, of which pairs up to the threshold are then dropped.
PPF_HD void match_limb(const GroupSpec& spec, const Candidates& from, const MatchRoom& room, int32_t l) {
  const int32_t rows = from.count[spec.first[l]], columns = from.count[spec.second[l]];
  const int64_t m = from.capacity;
  float* const score = room.score + l * m * m;
  for (int32_t i = 0; i < rows; ++i) {
    for (int32_t j = 0; j < columns; ++j) score[i * m + j] = kNoLink;
    const int64_t row = l * m + i;
    for (int32_t r = 0; r < from.links[row]; ++r) {
      score[i * m + from.partner[row * from.partners + r]] = from.link_score[row * from.partners + r];
    }
  }
  int32_t *const second = room.second + l * m, *const first = room.first + l * m;
  const Pairs pairs{score, rows, columns, m, 1};
  match_optimally(AssignSpec{}, pairs, room.search + l * room.search_words, second, first);
  for (int32_t i = 0; i < rows; ++i) {
    const int32_t j = second[i];
    if (j < 0 || pairs.at(i, j) > spec.least_link) continue;
    second[i] = -1;
    first[j] = -1;
  }
}

// Walks from `start` along matched pairs, limb by limb; whoever is met belongs to `person`. Of two candidates of one
// joint the later stays. `queue` has room for every candidate; those that have been met are in it once.
PPF_HD void connect(const GroupSpec& spec, const Candidates& from, const Workroom& room, const MatchRoom& matches,
                    int32_t person, int32_t joint, int32_t index, int32_t* queue) {
  int32_t begin = 0, end = 0;
  const auto meet = [&](int32_t k, int32_t i) {
    int32_t& owner = room.fragment_of[room.base[k] + i];
    if (owner != kNobody) return;
    owner = person;
    queue[end++] = k * from.capacity + i;
  };
  meet(joint, index);
  while (begin < end) {
    const int32_t k = queue[begin] / from.capacity, i = queue[begin] % from.capacity;
    ++begin;
    room.member[person * spec.joints + k] = i;
    for (int32_t l = 0; l < spec.limbs; ++l) {
      const int64_t at = static_cast<int64_t>(l) * from.capacity + i;
      if (spec.first[l] == k && matches.second[at] >= 0) meet(spec.second[l], matches.second[at]);
      if (spec.second[l] == k && matches.first[at] >= 0) meet(spec.first[l], matches.first[at]);
    }
  }
}

// Whatever hangs together, in the order of the first joints; puts those who are people in room.order.
PPF_HD int32_t connect_all(const GroupSpec& spec, const Candidates& from, const Workroom& room,
                           const MatchRoom& matches) {
  int32_t objects = 0, people = 0;
  for (int32_t joint = 0; joint < spec.joints; ++joint) {
    for (int32_t index = 0; index < from.count[joint]; ++index) {
      if (room.fragment_of[room.base[joint] + index] != kNobody) continue;
      const int32_t person = objects++;
      int32_t* const member = room.member + person * spec.joints;
      for (int32_t k = 0; k < spec.joints; ++k) member[k] = -1;
      connect(spec, from, room, matches, person, joint, index, room.joined);
      int32_t count = 0;
      float total = 0.0f;
      for (int32_t k = 0; k < spec.joints; ++k) {
        if (member[k] < 0) continue;
        ++count;
        total += from.peak_score(k, member[k]);
      }
      room.total[person] = total;
      if (count >= spec.least_joints && total >= spec.least_score * static_cast<float>(count)) {
        room.order[people++] = static_cast<uint64_t>(person);
      }
    }
  }
  return people;
}

template <class Team>
PPF_HD void group_trt_pose(const Team& team, const GroupSpec& spec, const Candidates& from, const Workroom& room,
                           const MatchRoom& matches, const PeopleLists& out, int64_t n) {
  for (int32_t l = team.rank(); l < spec.limbs; l += team.size()) match_limb(spec, from, matches, l);
  if (team.leads()) number_candidates(spec, from, room);
  team.sync();
  for (int32_t c = team.rank(); c < room.base[spec.joints]; c += team.size()) room.fragment_of[c] = kNobody;
  team.sync();
  if (team.leads()) {
    const int32_t people = connect_all(spec, from, room, matches);
    write_counts(spec, from, room, out, n, people);
  }
  team.sync();
  write_rows(team, spec, from, room, out, n);
}

// ---- all rules --------------------------------------------------------------------------------------------------

PPF_HD Workroom workroom_of(const GroupSpec& spec, uint32_t* scratch, int32_t capacity, int32_t partners) {
  return {scratch, spec.joints, spec.limbs, capacity, spec.rule == GroupRule::kTrtPose ? 0 : partners};
}

// What group_image() needs of scratch, in 32-bit words; even.
PPF_HD int64_t group_words(const GroupSpec& spec, int32_t capacity, int32_t partners) {
  const int64_t words = workroom_of(spec, nullptr, capacity, partners).words;
  return spec.rule == GroupRule::kTrtPose ? words + MatchRoom(nullptr, spec.limbs, capacity).words : words;
}

// The people of image n. `scratch` is aligned to 8 bytes.
template <class Team>
PPF_HD void group_image(const Team& team, const GroupSpec& spec, const PeakLists& peaks, const LinkLists& links,
                        const PeopleLists& out, uint32_t* scratch, int64_t n) {
  const Candidates from = candidates_of(peaks, links, n, spec.joints, spec.limbs);
  const Workroom room = workroom_of(spec, scratch, peaks.capacity, links.partners);
  switch (spec.rule) {
    case GroupRule::kBody: return group_bodies(team, spec, from, room, out, n);
    case GroupRule::kOpenPose: return group_openpose(team, spec, from, room, out, n);
    case GroupRule::kTrtPose: {
      const MatchRoom matches(scratch + room.words, spec.limbs, peaks.capacity);
      return group_trt_pose(team, spec, from, room, matches, out, n);
    }
  }
}

}  // namespace ppf

// From links to people for one image, written for a team of threads: one on the CPU, a block on a GPU.
//
// A team has rank(), size(), leads() and sync(), and its own ways to sort(order, spare, count) and to find_joins().
// What depends on earlier decisions is the leader's work; everything else is shared out, and no two members write to
// one place.
#pragma once

#include <cstdint>

#include "core/grouping.h"
#include "core/workroom.h"

namespace ppf {

// ---- links ----------------------------------------------------------------------------------------------------------

PPF_HD void number_candidates(const GroupSpec& spec, const Candidates& from, const Workroom& room) {
  room.base[0] = 0;
  for (int32_t k = 0; k < spec.joints; ++k) room.base[k + 1] = room.base[k] + from.count[k];
}

// Numbers candidates and links; returns how many links there are.
template <class Team>
PPF_HD int32_t gather_links(const Team& team, const GroupSpec& spec, const Candidates& from, const Workroom& room) {
  for (int32_t l = team.rank(); l < spec.limbs; l += team.size()) {
    int32_t links = 0;
    for (int32_t i = 0; i < from.count[spec.first[l]]; ++i) links += from.links[l * from.capacity + i];
    room.start[l + 1] = links;
  }
  team.sync();
  if (team.leads()) {
    number_candidates(spec, from, room);
    room.start[0] = 0;
    for (int32_t l = 0; l < spec.limbs; ++l) room.start[l + 1] += room.start[l];
  }
  team.sync();
  for (int32_t l = team.rank(); l < spec.limbs; l += team.size()) {
    const int32_t first = spec.first[l], second = spec.second[l], rows = from.count[first];
    const int32_t base_a = room.base[first], base_b = room.base[second];
    const float body = spec.body.length[l];
    const int64_t list = static_cast<int64_t>(l) * from.capacity;
    const int32_t* partner = from.partner + list * from.partners;
    const float* partner_score = from.link_score + list * from.partners;
    int32_t link = room.start[l];
    for (int32_t i = 0; i < rows; ++i, partner += from.partners, partner_score += from.partners) {
      const Place at = from.place(first, i);
      for (int32_t r = 0; r < from.links[list + i]; ++r) {
        const Place to = from.place(second, partner[r]);
        const float dx = to.x - at.x, dy = to.y - at.y;
        room.link[link] = {base_a + i, base_b + partner[r]};
        room.link_extent[link] = {body > 0.0f ? dx * dx + dy * dy : 0.0f, body * body};
        room.score[link++] = partner_score[r];
      }
    }
  }
  team.sync();
  const int32_t links = room.start[spec.limbs];
  for (int32_t i = team.rank(); i < links; i += team.size()) {
    const float length = square_root(room.link_extent[i].length2);
    room.link_extent[i].length2 = length * length;
  }
  team.sync();
  return links;
}

// ---- sets -----------------------------------------------------------------------------------------------------------

template <class Team>
PPF_HD void every_joint_alone(const Team& team, const GroupSpec& spec, const Workroom& room) {
  for (int32_t k = 0; k < spec.joints; ++k) {
    const int32_t end = room.base[k + 1];
    for (int32_t c = room.base[k] + team.rank(); c < end; c += team.size()) room.sets.reset(c, 1u << k);
  }
  team.sync();
}

// By the leader: numbers the sets in the order of their first joints; returns how many there are.
PPF_HD int32_t number_sets(const GroupSpec& spec, const Workroom& room) {
  const int32_t candidates = room.base[spec.joints];
  int32_t fragments = 0;
  for (int32_t c = 0; c < candidates; ++c) {
    const Set set = room.sets.of[c];
    // What is not a root leaves nothing that lasts: the next one is written over it.
    room.joints[fragments] = set.joints;
    // A parent comes before its children.
    const int32_t fragment = set.parent == c ? fragments : room.fragment_of[set.parent];
    room.fragment_of[c] = fragment;
    fragments += set.parent == c;
  }
  return fragments;
}

// Takes the links in room.order, best first.
template <class Team>
PPF_HD void take_links(const Team& team, const Workroom& room, int32_t links) {
  team.sort(room.order, room.spare, links);
  if (team.leads()) {
    for (int32_t i = 0; i < links; ++i) room.sets.take(room.link[room.order[i] & 0xffffffffu]);
  }
  team.sync();
}

// By the leader: numbers the sets, adds up what the links of each measure, in their order, and marks those with links
// that were refused. Counts the sets, and says whether any is marked.
PPF_HD void measure_sets(const GroupSpec& spec, const Workroom& room, int32_t links) {
  const int32_t fragments = number_sets(spec, room);
  for (int32_t f = 0; f < fragments; ++f) {
    room.extent[f] = {0.0f, 0.0f};
    room.is_contested[f] = 0;
  }
  room.tally[0] = fragments;
  room.tally[1] = 0;
  for (int32_t i = 0; i < links; ++i) {
    const Link link = room.link[i];
    const int32_t one = room.fragment_of[link.a], other = room.fragment_of[link.b];
    if (one == other) {
      const Extent sum = room.extent[one], more = room.link_extent[i];
      room.extent[one] = {sum.length2 + more.length2, sum.body2 + more.body2};
    } else {
      room.is_contested[one] = room.is_contested[other] = room.tally[1] = 1;
    }
  }
}

// What the links are worth for the sizes of the sets at their ends: logarithms of squared length over that in body
// heights, NaN of a set that has no limb whose length is known.
template <class Team>
PPF_HD void weigh_links(const Team& team, const Workroom& room, int32_t links) {
  const int32_t fragments = room.tally[0];
  for (int32_t f = team.rank(); f < fragments; f += team.size()) {
    const Extent extent = room.extent[f];
    const float size = log_of((extent.length2 > 0.0f) & (extent.body2 > 0.0f) ? extent.length2 / extent.body2 : 1.0f);
    room.size[f] = extent.body2 > 0.0f ? size : kNan;
  }
  team.sync();
  // Sizes are gathered first, so that the rest can be done side by side.
  for (int32_t i = team.rank(); i < links; i += team.size()) {
    room.size_at[2 * i] = room.size[room.fragment_of[room.link[i].a]];
    room.size_at[2 * i + 1] = room.size[room.fragment_of[room.link[i].b]];
  }
  for (int32_t i = team.rank(); i < links; i += team.size()) {
    const Extent extent = room.link_extent[i];
    const float size = log_of(extent.length2 > 0.0f ? extent.length2 / extent.body2 : 1.0f);
    const float penalty = size_penalty(size, room.size_at[2 * i]) + size_penalty(size, room.size_at[2 * i + 1]);
    room.weighed[i] = extent.body2 > 0.0f ? room.score[i] - penalty : room.score[i];
  }
  team.sync();
}

// Takes the links of contested sets once more, by what they are worth now. All others would be taken again, whatever
// they are worth.
template <class Team>
PPF_HD void take_again(const Team& team, const GroupSpec& spec, const Workroom& room, int32_t links) {
  for (int32_t k = 0; k < spec.joints; ++k) {
    const int32_t end = room.base[k + 1];
    for (int32_t c = room.base[k] + team.rank(); c < end; c += team.size()) {
      if (room.is_contested[room.fragment_of[c]] != 0) room.sets.reset(c, 1u << k);
    }
  }
  if (team.leads()) {
    int32_t contested = 0;
    for (int32_t i = 0; i < links; ++i) {
      room.order[contested] = rank_of(room.weighed[i], static_cast<uint32_t>(i));
      contested += room.is_contested[room.fragment_of[room.link[i].a]];
    }
    room.tally[2] = contested;
  }
  team.sync();
  take_links(team, room, room.tally[2]);
}

// Makes the sets of steps 1 and 2; returns how many there are.
template <class Team>
PPF_HD int32_t make_sets(const Team& team, const GroupSpec& spec, const Workroom& room, int32_t links) {
  every_joint_alone(team, spec, room);
  for (int32_t i = team.rank(); i < links; i += team.size()) {
    room.order[i] = rank_of(room.score[i], static_cast<uint32_t>(i));
  }
  team.sync();
  take_links(team, room, links);
  if (team.leads()) measure_sets(spec, room, links);
  team.sync();
  if (room.tally[1] != 0) {
    weigh_links(team, room, links);
    take_again(team, spec, room, links);
    if (team.leads()) measure_sets(spec, room, links);
    team.sync();
  }
  return room.tally[0];
}

// ---- fragments ------------------------------------------------------------------------------------------------------

PPF_HD Place place_of(const GroupSpec& spec, const Candidates& from, const Workroom& room, int32_t f, int32_t joint) {
  return from.place(joint, room.member[f * spec.joints + joint]);
}

// The joint by which a fragment with known joints is found when it is the smaller one of two.
PPF_HD void find_trunk(const GroupSpec& spec, const Candidates& from, const Workroom& room, int32_t f) {
  if ((room.joints[f] & spec.body.known) == 0) return;
  room.trunk[f] = first_among(spec.body.trunk, room.joints[f]);
  room.trunk_place[f] = place_of(spec, from, room, f, room.trunk[f]);
}

// Makes a fragment of every set.
template <class Team>
PPF_HD void make_fragments(const Team& team, const GroupSpec& spec, const Candidates& from, const Workroom& room,
                           int32_t fragments) {
  const int32_t joints = spec.joints;
  for (int32_t f = team.rank(); f < fragments; f += team.size()) {
    room.joined[f] = f;
    room.barred[f] = 0;
    room.count[f] = 0;
    room.total[f] = 0.0f;
  }
  const int32_t members = fragments * joints;
  for (int32_t i = team.rank(); i < members; i += team.size()) room.member[i] = -1;
  team.sync();
  if (team.leads()) {
    for (int32_t k = 0; k < joints; ++k) {
      const int32_t count = from.count[k], base = room.base[k];
      const uint32_t neighbours = spec.body.neighbours[k];
      for (int32_t i = 0; i < count; ++i) {
        const int32_t f = room.fragment_of[base + i];
        room.member[f * joints + k] = i;
        room.barred[f] |= neighbours;
        room.count[f] += 1;
        room.total[f] += from.peak_score(k, i);
      }
    }
  }
  team.sync();
  for (int32_t f = team.rank(); f < fragments; f += team.size()) find_trunk(spec, from, room, f);
  team.sync();
}

// From the larger of two fragments to the smaller.
PPF_HD Gap gap_between(const GroupSpec& spec, const Candidates& from, const Workroom& room, int32_t f, int32_t g) {
  const Body& body = spec.body;
  const int32_t a = room.count[f] >= room.count[g] ? f : g, b = f ^ g ^ a;
  const int32_t joint_b = room.trunk[b], joint_a = first_among(body.nearest[joint_b], room.joints[a]);
  const Place at_a = place_of(spec, from, room, a, joint_a), at_b = room.trunk_place[b];
  return {room.extent[a].length2,
          room.extent[a].body2,
          room.extent[b].length2,
          room.extent[b].body2,
          at_b.x - at_a.x,
          at_b.y - at_a.y,
          body.x[joint_a] - body.x[joint_b],
          body.y[joint_b] - body.y[joint_a],
          body.chain[joint_a] ^ body.chain[joint_b]};
}

// The joints that a fragment must not meet in another.
PPF_HD uint32_t refused(const Workroom& room, int32_t f) { return room.joints[f] | room.barred[f]; }

PPF_HD float cost_of(const GroupSpec& spec, const Candidates& from, const Workroom& room, int32_t f, int32_t g) {
  if ((refused(room, f) & room.joints[g]) != 0) return kNoJoin;
  const Gap gap = gap_between(spec, from, room, f, g);
  return join_cost(gap, variance_along(spec.body, gap.bones));
}

// By the leader: calls the roll for a round.
PPF_HD void list_open(const GroupSpec& spec, const Workroom& room, int32_t fragments, int32_t large, int32_t small) {
  int32_t open = 0, open_large = 0;
  for (int32_t f = 0; f < fragments; ++f) {
    const uint32_t joints = room.joints[f];
    room.has_grown[f] = 0;
    const bool is_weak = (room.count[f] == 1) & !(room.total[f] >= spec.least_lone);
    const bool takes_part =
        (room.joined[f] == f) & (room.count[f] >= small) & !is_weak & ((joints & spec.body.known) != 0);
    room.open.fragment[open] = room.large.fragment[open_large] = f;
    room.open.joints[open] = room.large.joints[open_large] = joints;
    open += takes_part;
    open_large += takes_part & (room.count[f] >= large);
  }
  room.tally[1] = open;
  room.tally[2] = open_large;
}

// The cheapest joins of one fragment so far, ties by index: offers come in that order.
PPF_HD void offer_join(const Workroom& room, int32_t f, int32_t g, float cost) {
  int32_t* const with = room.join_with + f * kJoinsPerFragment;
  float* const costs = room.join_cost + f * kJoinsPerFragment;
  int32_t found = room.join_count[f];
  if (found == kJoinsPerFragment) {
    if (!(cost < costs[found - 1])) return;
    --found;
  }
  int32_t at = found++;
  for (; at > 0 && cost < costs[at - 1]; --at) {
    costs[at] = costs[at - 1];
    with[at] = with[at - 1];
  }
  costs[at] = cost;
  with[at] = g;
  room.join_count[f] = found;
}

// The joins of the p-th open fragment with later ones, of which at least one of the two is large: few are, and a small
// one need look at these alone.
PPF_HD void find_joins(const GroupSpec& spec, const Candidates& from, const Workroom& room, int32_t p, int32_t large) {
  const int32_t f = room.open.fragment[p];
  const bool is_large = room.count[f] >= large;
  const Roll& others = is_large ? room.open : room.large;
  const int32_t count = room.tally[is_large ? 1 : 2];
  room.join_count[f] = 0;
  for (int32_t i = is_large ? p + 1 : 0; i < count; ++i) {
    const int32_t g = others.fragment[i];
    if (g < f || (refused(room, f) & others.joints[i]) != 0) continue;
    const float cost = cost_of(spec, from, room, f, g);
    if (cost < kNoJoin) offer_join(room, f, g, cost);
  }
}

PPF_HD int32_t whole(const Workroom& room, int32_t f) {
  while (room.joined[f] != f) f = room.joined[f];
  return f;
}

PPF_HD void unite(const GroupSpec& spec, const Candidates& from, const Workroom& room, int32_t f, int32_t g) {
  const int32_t into = smaller(f, g), gone = larger(f, g);
  room.joined[gone] = into;
  room.joints[into] |= room.joints[gone];
  room.barred[into] |= room.barred[gone];
  room.count[into] += room.count[gone];
  room.extent[into].length2 += room.extent[gone].length2;
  room.extent[into].body2 += room.extent[gone].body2;
  room.total[into] += room.total[gone];
  // They have no joint in common, and -1 is below all indices.
  const int32_t joints = spec.joints;
  int32_t *const kept = room.member + into * joints, *const taken = room.member + gone * joints;
  for (int32_t k = 0; k < joints; ++k) kept[k] = larger(kept[k], taken[k]);
  find_trunk(spec, from, room, into);
  room.has_grown[into] = 1;
}

// Joins fragments of at least `small` joints with such of at least `large`, the cheapest joins first. Either may have
// grown since: what they are now must still be possible.
template <class Team>
PPF_HD void join_fragments(const Team& team, const GroupSpec& spec, const Candidates& from, const Workroom& room,
                           int32_t fragments, int32_t large, int32_t small) {
  if (fragments < 2) return;
  if (team.leads()) list_open(spec, room, fragments, large, small);
  team.sync();
  team.find_joins(spec, from, room, large);
  team.sync();
  if (team.leads()) {
    int32_t joins = 0;
    for (int32_t p = 0; p < room.tally[1]; ++p) {
      const int32_t f = room.open.fragment[p];
      for (int32_t r = 0; r < room.join_count[f]; ++r) {
        const int32_t index = f * kJoinsPerFragment + r;
        room.order[joins++] = rank_of(-room.join_cost[index], static_cast<uint32_t>(index));
      }
    }
    room.tally[0] = joins;
  }
  team.sync();
  const int32_t joins = room.tally[0];
  team.sort(room.order, room.spare, joins);
  if (team.leads()) {
    for (int32_t i = 0; i < joins; ++i) {
      const int32_t index = static_cast<int32_t>(room.order[i] & 0xffffffffu);
      const int32_t one = index / kJoinsPerFragment, other = room.join_with[index];
      const int32_t f = whole(room, one), g = whole(room, other);
      if (f == g) continue;
      const bool as_it_was = (f == one) & (g == other) & ((room.has_grown[f] | room.has_grown[g]) == 0);
      if (as_it_was || cost_of(spec, from, room, f, g) < kNoJoin) unite(spec, from, room, f, g);
    }
  }
  team.sync();
}

// ---- people ---------------------------------------------------------------------------------------------------------

// OpenPose's total has the scores of links too. Scores near the end of float32 may add up to more: they must not make
// somebody come last, or infinite.
PPF_HD float person_score(const GroupSpec& spec, const Workroom& room, int32_t f) {
  const int32_t parts = spec.joints + (spec.rule == GroupRule::kOpenPose ? spec.limbs : 0);
  const float total = room.total[f], most = kLargest;
  return (total < -most ? -most : (total > most ? most : total)) / static_cast<float>(parts);
}

// Leaves nobody in the rows from `first` on.
template <class Team>
PPF_HD void clear_people(const Team& team, const GroupSpec& spec, const PeopleLists& out, int64_t first, int64_t last) {
  const int64_t from = first * spec.joints, to = last * spec.joints;
  for (int64_t i = first + team.rank(); i < last; i += team.size()) out.person_score[i] = 0.0f;
  for (int64_t i = 2 * from + team.rank(); i < 2 * to; i += team.size()) out.xy[i] = 0.0f;
  for (int64_t i = from + team.rank(); i < to; i += team.size()) out.score[i] = 0.0f;
  for (int64_t i = from + team.rank(); i < to; i += team.size()) out.peak[i] = -1;
}

// By the leader: says how many fragments in room.order are people.
PPF_HD void write_counts(const GroupSpec& spec, const Candidates& from, const Workroom& room, const PeopleLists& out,
                         int64_t n, int32_t people) {
  out.total[n] = room.tally[0] = people;
  out.count[n] = smaller(people, out.capacity);
  int32_t dropped = 0, nonfinite = 0;
  for (int32_t k = 0; k < spec.joints; ++k) {
    dropped += from.total[k] - from.count[k];
    nonfinite += from.nonfinite[k];
  }
  out.dropped[n] = dropped;
  out.nonfinite[n] = nonfinite;
}

// Writes these, and clears the rest.
template <class Team>
PPF_HD void write_rows(const Team& team, const GroupSpec& spec, const Candidates& from, const Workroom& room,
                       const PeopleLists& out, int64_t n) {
  const int32_t people = room.tally[0], joints = spec.joints;
  const int32_t shown = smaller(people, out.capacity);
  const int64_t first = n * out.capacity;
  for (int32_t p = team.rank(); p < shown; p += team.size()) {
    const int32_t f = static_cast<int32_t>(room.order[p] & 0xffffffffu);
    out.person_score[first + p] = person_score(spec, room, f);
    for (int32_t k = 0; k < joints; ++k) {
      const int32_t index = room.member[f * joints + k];
      const int64_t at = (first + p) * joints + k;
      const Place place = index >= 0 ? from.place(k, index) : Place{0.0f, 0.0f};
      out.xy[2 * at] = place.x;
      out.xy[2 * at + 1] = place.y;
      out.score[at] = index >= 0 ? from.peak_score(k, index) : 0.0f;
      out.peak[at] = index;
    }
  }
  clear_people(team, spec, out, first + shown, first + out.capacity);
}

// Writes the fragments that are people, best first.
template <class Team>
PPF_HD void write_people(const Team& team, const GroupSpec& spec, const Candidates& from, const Workroom& room,
                         int32_t fragments, const PeopleLists& out, int64_t n) {
  if (team.leads()) {
    int32_t people = 0;
    for (int32_t f = 0; f < fragments; ++f) {
      const bool is_person = room.joined[f] == f && room.count[f] >= spec.least_joints &&
                             room.total[f] >= spec.least_score * static_cast<float>(room.count[f]);
      if (is_person) room.order[people++] = rank_of(person_score(spec, room, f), static_cast<uint32_t>(f));
    }
    write_counts(spec, from, room, out, n, people);
  }
  team.sync();
  team.sort(room.order, room.spare, room.tally[0]);
  write_rows(team, spec, from, room, out, n);
}

template <class Team>
PPF_HD void group_bodies(const Team& team, const GroupSpec& spec, const Candidates& from, const Workroom& room,
                         const PeopleLists& out, int64_t n) {
  const int32_t links = gather_links(team, spec, from, room);
  const int32_t fragments = make_sets(team, spec, room, links);
  make_fragments(team, spec, from, room, fragments);
  join_fragments(team, spec, from, room, fragments, 3, 2);
  join_fragments(team, spec, from, room, fragments, 4, 1);
  write_people(team, spec, from, room, fragments, out, n);
}

}  // namespace ppf

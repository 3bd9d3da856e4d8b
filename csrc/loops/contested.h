// Which links have to be taken best first. Where no joint is there twice among all that hangs together, no link will be
// refused, and the order of links does not matter. That is so for most who stand alone.
#pragma once

#include "core/people.h"
#include "loops/wide.h"

namespace ppf::loops::PPF_ISA {
namespace {

class ContestedLinks {
 public:
  ContestedLinks(const GroupSpec& spec, const Workroom& room, int32_t links)
      : room_(room), candidates_(room.base[spec.joints]), links_(links) {}

  // Makes the sets of all other links; returns how many are left.
  int32_t find() const {
    if (links_ <= kFew && label_components()) {
      make_sets();
    } else {
      for (int32_t c = 0; c < candidates_; ++c) room_.is_contested[c] = 1;
    }
    int32_t contested = 0;
    for (int32_t i = 0; i < links_; ++i) {
      room_.contested[contested] = i;
      contested += room_.is_contested[room_.link[i].a];
    }
    return contested;
  }

 private:
  // Of many links nearly all are contested, and looking costs more than it saves.
  static constexpr int32_t kFew = 128;
  // A body takes three.
  static constexpr int kSweeps = 4;

  // Of candidates that hang together, the first. False when it takes too long to find.
  bool label_components() const {
    int32_t* const label = room_.fragment_of;
    for (int32_t c = 0; c < candidates_; ++c) label[c] = c;
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      int32_t changed = 0;
      for (int32_t i = 0; i < links_; ++i) {
        const Link link = room_.link[i];
        const int32_t a = label[link.a], b = label[link.b];
        label[link.a] = label[link.b] = smaller(a, b);
        changed |= a ^ b;
      }
      if (changed == 0) return true;
    }
    return false;
  }

  void make_sets() const {
    const int32_t* const label = room_.fragment_of;
    for (int32_t c = 0; c < candidates_; ++c) {
      const int32_t first = label[c];
      const uint32_t joint = room_.sets.of[c].joints;
      Set& set = room_.sets.of[first];
      room_.is_contested[c] = 0;
      room_.is_contested[first] |= (first != c) & ((set.joints & joint) != 0);
      room_.sets.of[c].parent = first;
      set.joints |= joint;
    }
    for (int32_t c = 0; c < candidates_; ++c) room_.is_contested[c] = room_.is_contested[label[c]];
  }

  const Workroom& room_;
  int32_t candidates_, links_;
};

}  // namespace
}  // namespace ppf::loops::PPF_ISA

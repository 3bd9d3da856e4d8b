// From links to people: the procedures of core/published_people.h and core/people.h with a team of one.
#include <cstring>
#include <utility>

#include "core/published_people.h"
#include "loops/joins.h"
#include "loops/loops.h"

namespace ppf::loops::PPF_ISA {
namespace {

struct Alone {
  static int32_t rank() { return 0; }
  static int32_t size() { return 1; }
  static bool leads() { return true; }
  static void sync() {}

  // Radix sort by the upper word. It keeps the order of equal words, and the lower words come in ascending.
  static void sort(uint64_t* order, uint64_t* spare, int32_t count) {
    if (count <= kFew) return sort_few(order, count);
    uint32_t seen[4][256];
    std::memset(seen, 0, sizeof seen);
    for (int32_t i = 0; i < count; ++i) {
      for (int digit = 0; digit < 4; ++digit) ++seen[digit][digit_of(order[i], digit)];
    }
    uint64_t *from = order, *to = spare;
    for (int digit = 0; digit < 4; ++digit) {
      if (seen[digit][digit_of(order[0], digit)] == static_cast<uint32_t>(count)) continue;  // the same in all
      uint32_t next = 0;
      for (uint32_t& place : seen[digit]) next += std::exchange(place, next);
      for (int32_t i = 0; i < count; ++i) to[seen[digit][digit_of(from[i], digit)]++] = from[i];
      std::swap(from, to);
    }
    if (from != order) std::memcpy(order, from, sizeof(uint64_t) * static_cast<size_t>(count));
  }

  static void find_joins(const GroupSpec& spec, const Candidates& from, const Workroom& room, int32_t large) {
    JoinSearch(spec, from, room).run(large);
  }

 private:
  static constexpr int32_t kFew = 32;

  static uint32_t digit_of(uint64_t key, int digit) { return static_cast<uint32_t>(key >> (32 + 8 * digit)) & 255u; }

  static void sort_few(uint64_t* order, int32_t count) {
    for (int32_t i = 1; i < count; ++i) {
      const uint64_t key = order[i];
      int32_t at = i;
      for (; at > 0 && order[at - 1] > key; --at) order[at] = order[at - 1];
      order[at] = key;
    }
  }
};

}  // namespace

void group_people(const GroupSpec& spec, const PeakLists& peaks, const LinkLists& links, const PeopleLists& out,
                  uint32_t* scratch, int64_t first, int64_t last) {
  for (int64_t n = first; n < last; ++n) group_image(Alone{}, spec, peaks, links, out, scratch, n);
}

}  // namespace ppf::loops::PPF_ISA

// From links to people: the procedures of core/published_people.h and core/people.h with a team of one.
#include "core/published_people.h"
#include "loops/joins.h"
#include "loops/loops.h"
#include "loops/sort.h"

namespace ppf::loops::PPF_ISA {
namespace {

struct Alone {
  static int32_t rank() { return 0; }
  static int32_t size() { return 1; }
  static bool leads() { return true; }
  static void sync() {}

  static void sort(uint64_t* order, uint64_t* spare, int32_t count) { RankSort(order, spare, count).run(); }
  static void find_joins(const GroupSpec& spec, const Candidates& from, const Workroom& room, int32_t large) {
    JoinSearch(spec, from, room).run(large);
  }
};

}  // namespace

void group_people(const GroupSpec& spec, const PeakLists& peaks, const LinkLists& links, const PeopleLists& out,
                  uint32_t* scratch, int64_t first, int64_t last) {
  for (int64_t n = first; n < last; ++n) group_image(Alone{}, spec, peaks, links, out, scratch, n);
}

}  // namespace ppf::loops::PPF_ISA

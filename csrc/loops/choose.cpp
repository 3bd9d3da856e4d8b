// Which copy of the loops runs: the one place that asks the CPU what it can do.
#include <cstdlib>
#include <cstring>
#include <string>

#include "loops/loops.h"
#include "ops/error.h"

// The loops of one instruction set, as CMake compiles them with PPF_ISA set to its name.
#define PPF_DECLARE_LOOPS(isa)                                                                                        \
  namespace ppf::loops::isa {                                                                                         \
  void crop(const CropSpec&, const Image*, int64_t, const View<const double, 3>&, const View<const int32_t, 1>&,      \
            const CropTarget&, int64_t, int64_t);                                                                     \
  void best_peaks(const PeakSpec&, const MapView&, const OffsetView&, const BestPeaks&, float*, int64_t, int64_t);    \
  void find_peaks(const PeakSpec&, const MapView&, const OffsetView&, const PeakLists&, uint32_t*, int64_t, int64_t); \
  void published_peaks(PeakRule, const PeakSpec&, const MapView&, const PeakLists&, uint32_t*, int64_t, int64_t);     \
  void decode_simcc(const SimccSpec&, const VectorView&, const VectorView&, const BestPeaks&, int64_t, int64_t);      \
  void average_flip(const MapView&, const MapView&, const FlipPairs&, bool, const MapTarget&, int64_t, int64_t);      \
  void assign(const AssignSpec&, const AssignProblems&, const Assignments&, double*, int64_t, int64_t);               \
  void score_limbs(const LimbSpec&, const MapView&, const PeakLists&, const LinkLists&, float*, int64_t, int64_t);    \
  void group_people(const GroupSpec&, const PeakLists&, const LinkLists&, const PeopleLists&, uint32_t*, int64_t,     \
                    int64_t);                                                                                         \
  }

#define PPF_TABLE(isa)                                                                                             \
  Table {                                                                                                          \
    #isa, isa::crop, isa::best_peaks, isa::find_peaks, isa::published_peaks, isa::decode_simcc, isa::average_flip, \
        isa::assign, isa::score_limbs, isa::group_people                                                           \
  }

PPF_DECLARE_LOOPS(baseline)
#ifdef PPF_X86_LEVELS
PPF_DECLARE_LOOPS(avx2)
PPF_DECLARE_LOOPS(avx512)
#endif

namespace ppf::loops {

// Baseline is what every CPU of the architecture has: SSE2 on x86-64, NEON on 64-bit ARM.
std::vector<Table> tables() {
  std::vector<Table> runnable = {PPF_TABLE(baseline)};
#ifdef PPF_X86_LEVELS
  __builtin_cpu_init();
  // All of x86-64-v3 and -v4, not only the name-giving extension: the compiler may use any of it.
  const bool has_v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                      __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("f16c") && __builtin_cpu_supports("lzcnt") &&
                      __builtin_cpu_supports("movbe");
  const bool has_v4 = has_v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (has_v3) runnable.push_back(PPF_TABLE(avx2));
  if (has_v4) runnable.push_back(PPF_TABLE(avx512));
#endif
  return runnable;
}

namespace {

Table chosen_table() {
  constexpr const char* kVariable = "PYPOSEFAST_INSTRUCTION_SET";
  const std::vector<Table> runnable = tables();
  const char* wanted = std::getenv(kVariable);
  if (wanted == nullptr || *wanted == '\0') return runnable.back();
  std::string names;
  for (const Table& table : runnable) {
    if (std::strcmp(table.name, wanted) == 0) return table;
    names += (names.empty() ? "" : ", ") + std::string(table.name);
  }
  throw InputError(kVariable, "one of what this CPU can run: " + names, wanted, "unset it to let pyposefast choose");
}

}  // namespace

const Table& table() {
  static const Table chosen = chosen_table();
  return chosen;
}

}  // namespace ppf::loops

// The CPU side of every op: loops that a compiler turns into SIMD, each file compiled once per instruction set.
// What `kernels/launch.h` is for the GPU, this is for the CPU.
#pragma once

#include <cstdint>
#include <vector>

#include "core/assignment.h"
#include "core/crop.h"
#include "core/flip.h"
#include "core/grouping.h"
#include "core/limbs.h"
#include "core/peaks.h"
#include "core/published_peaks.h"
#include "core/simcc.h"

namespace ppf::loops {

// One entry per loop; `first` and `last` bound the items (crops, problems, or maps in N-major order) that the call
// handles.
struct Table {
  const char* name;  // of the instruction set
  void (*crop)(const CropSpec&, const Image* images, int64_t image_count, const View<const double, 3>& inverses,
               const View<const int32_t, 1>& image_index, const CropTarget&, int64_t first, int64_t last);
  void (*best_peaks)(const PeakSpec&, const MapView&, const OffsetView&, const BestPeaks&, float* scratch,
                     int64_t first, int64_t last);
  void (*find_peaks)(const PeakSpec&, const MapView&, const OffsetView&, const PeakLists&, uint32_t* scratch,
                     int64_t first, int64_t last);
  void (*published_peaks)(PeakRule, const PeakSpec&, const MapView&, const PeakLists&, uint32_t* scratch, int64_t first,
                          int64_t last);
  void (*decode_simcc)(const SimccSpec&, const VectorView& x, const VectorView& y, const BestPeaks&, int64_t first,
                       int64_t last);
  void (*average_flip)(const MapView& maps, const MapView& flipped, const FlipPairs& pairs, bool shift,
                       const MapTarget&, int64_t first, int64_t last);
  void (*assign)(const AssignSpec&, const AssignProblems&, const Assignments&, double* scratch, int64_t first,
                 int64_t last);
  // Items are the limbs of all images; scratch for one at a time.
  void (*score_limbs)(const LimbSpec&, const MapView& fields, const PeakLists&, const LinkLists&, float* scratch,
                      int64_t first, int64_t last);
  void (*group_people)(const GroupSpec&, const PeakLists&, const LinkLists&, const PeopleLists&, uint32_t* scratch,
                       int64_t first, int64_t last);
};

// The loops for this CPU: the widest instruction set that it and this build have, or the one that the environment
// variable PYPOSEFAST_INSTRUCTION_SET names (to compare them, or to rule one out). Chosen once; throws InputError when
// the variable names one that cannot run here.
const Table& table();

// All that this build has and this CPU can run, narrowest first.
std::vector<Table> tables();

}  // namespace ppf::loops

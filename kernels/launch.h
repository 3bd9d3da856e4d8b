// What the kernels offer to csrc/ops, in plain C++. Contracts are those of csrc/ops/ops.h, whose checks have been
// passed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/affine.h"
#include "core/assignment.h"
#include "core/crop.h"
#include "core/flip.h"
#include "core/grouping.h"
#include "core/limbs.h"
#include "core/peaks.h"
#include "core/published_peaks.h"
#include "core/simcc.h"
#include "core/view.h"
#include "ops/device.h"

namespace ppf::kernels {

// Starts kernels on the stream of `device`, where all arrays live; returns without waiting. Members, not free
// functions, so that ops can name them in a generic lambda without this header, which a build without kernels/ does not
// have.
struct Launcher {
  const Device& device;

  void region_affines(const AffineSpec& spec, const RegionSource& source, const View<double, 3>& affines,
                      const View<double, 3>& inverses) const;

  void invert_affines(const View<const double, 3>& affines, const View<double, 3>& inverses) const;

  void crop(const CropSpec& spec, const ImageTable& images, const View<const double, 3>& inverses,
            const View<const int32_t, 1>& image_index, const CropTarget& out) const;

  void transform_points(const View<const float, 3>& points, const View<const double, 3>& affines,
                        const View<float, 3>& out) const;

  void best_peaks(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const BestPeaks& out) const;

  // scratch: find_peaks_scratch() words per map.
  void find_peaks(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const PeakLists& out,
                  uint32_t* scratch) const;
  static int64_t find_peaks_scratch(const MapView& maps);

  // scratch: published_peaks_scratch() words per map.
  void published_peaks(PeakRule rule, const PeakSpec& spec, const MapView& maps, const PeakLists& out,
                       uint32_t* scratch) const;
  static int64_t published_peaks_scratch(PeakRule rule, const MapView& maps);

  void decode_simcc(const SimccSpec& spec, const VectorView& x, const VectorView& y, const BestPeaks& out) const;

  void average_flip(const MapView& maps, const MapView& flipped, const FlipPairs& pairs, bool shift,
                    const MapTarget& out) const;

  // scratch: assign_scratch() words per problem.
  void assign(const AssignSpec& spec, const AssignProblems& problems, const Assignments& out, double* scratch) const;
  static int64_t assign_scratch(const AssignSpec& spec, int64_t rows, int64_t columns);

  void score_limbs(const LimbSpec& spec, const MapView& fields, const PeakLists& peaks, const LinkLists& out) const;

  // scratch: group_words() per image (core/published_people.h).
  void group_people(const GroupSpec& spec, const PeakLists& peaks, const LinkLists& links, const PeopleLists& out,
                    int64_t n, uint32_t* scratch) const;
};

// Makes `consumer` wait for the work that is on `producer` now, both streams of one device.
void wait_for_stream(int device_index, std::uintptr_t consumer, std::uintptr_t producer);

struct DeviceInfo {
  int index;
  std::string name;
  int major, minor;  // compute capability
  int64_t memory_bytes;
  int multiprocessors;
};

// The devices, or in `problem` why there are none. Versions as CUDA counts them (13000 is 13.0), 0 when unknown.
struct Survey {
  std::string problem;
  int driver_version = 0, runtime_version = 0;
  std::vector<DeviceInfo> devices;
};
Survey survey();

}  // namespace ppf::kernels

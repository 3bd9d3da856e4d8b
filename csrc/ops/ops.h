// The whole C++ API: every op, with its shapes, units and order. Ops check what they are given, fill buffers that they
// are given, never allocate on a device and never wait for one. All arrays of a call live on `device`.
//
// Pixels: the centre of pixel (0, 0) is at (0, 0). Boxes: x1 y1 x2 y2 in edge coordinates, so that the box of a whole
// image is 0 0 W H. Points and boxes are x before y, shapes height before width. docs/conventions.md has the drawings.
#pragma once

#include <cstdint>
#include <optional>
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

namespace ppf::ops {

// ---- crop -------------------------------------------------------------------------------------------------------

// Regions, described as spec.kind says -> the affine [P, 2, 3] that takes image pixels to crop pixels, and its inverse.
// A region that is not finite or has no area raises on the CPU, naming `argument`[row]; on a device, where nobody can
// look without waiting, its affines become NaN and its crop is nothing but the border colour.
void region_affines(const AffineSpec& spec, const RegionSource& source, const View<double, 3>& affines,
                    const View<double, 3>& inverses, const std::string& argument, const Device& device);

// Images and affines [P, 2, 3] (image -> crop) -> P crops in one pass; `inverses` [P, 2, 3] becomes crop -> image.
// image_index [P] says which image each crop is of; absent: the first. An affine without inverse, or an index out of
// range, raises on the CPU and gives a crop of the border colour on a device.
void crop(const CropSpec& spec, const ImageTable& images, const View<const double, 3>& affines,
          const View<const int32_t, 1>& image_index, const CropTarget& out, const View<double, 3>& inverses,
          int threads, const Device& device);

// Points [P, K, 2] through affines [P, 2, 3] -> [P, K, 2]. In place is allowed.
void transform_points(const View<const float, 3>& points, const View<const double, 3>& affines,
                      const View<float, 3>& out, const Device& device);

// ---- peaks ------------------------------------------------------------------------------------------------------

// How peaks are chosen and refined, in the caller's terms. A sample is a peak when it is above `threshold`; with
// `logits` the threshold and all values are sigmoids of the samples. `kernel`: taps of the Gaussian of the rules that
// blur.
PeakSpec peak_spec(Refine refine, float threshold, bool logits, int kernel, float offset_scale);

// Maps [N, K, H, W] -> the largest finite sample of each, ties to the first in raster order: xy [N, K, 2] in map
// pixels, score [N, K], count [N, K] (0: not above the threshold; xy is then 0), nonfinite [N, K] (samples passed over
// because they were NaN or infinite).
void best_peaks(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const BestPeaks& out,
                const View<float, 1>& scratch, int threads, const Device& device);
int64_t best_peaks_scratch(const PeakSpec& spec, const MapView& maps, int threads, const Device& device);

// Maps [N, K, H, W] -> up to `capacity` local maxima of each, best first, ties in raster order. A plateau of equal
// samples counts once, at its first pixel, and only when nothing next to any of its samples is higher. Entries past
// count are zero; total [N, K] says how many there were before the cut.
// With spec.shoulders, joints without a peak of their own follow, in the order of the peaks that they lean on.
void find_peaks(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const PeakLists& out,
                const View<int32_t, 1>& scratch, int threads, const Device& device);
int64_t find_peaks_scratch(const MapView& maps, int capacity, int threads, const Device& device);

// The same by the rules of published decoders, in raster order: of kOpenPose the best `capacity`, of kTrtPose the
// first.
void published_peaks(PeakRule rule, float threshold, const MapView& maps, const PeakLists& out,
                     const View<int32_t, 1>& scratch, int threads, const Device& device);
int64_t published_peaks_scratch(PeakRule rule, const MapView& maps, int capacity, int threads, const Device& device);

SimccSpec simcc_spec(Refine refine, SimccScore score, float bins_per_pixel, float threshold, int kernel);

// SimCC vectors x [N, K, Wx] and y [N, K, Hy] -> xy [N, K, 2] in input pixels, score, count, nonfinite.
void decode_simcc(const SimccSpec& spec, const VectorView& x, const VectorView& y, const BestPeaks& out, int threads,
                  const Device& device);

// out = (maps + mirror image of flipped with left and right channels swapped) / 2, in one pass. With `shift` the
// mirrored map moves one pixel right first (HRNet). out may be maps itself.
void average_flip(const MapView& maps, const MapView& flipped, const FlipPairs& pairs, bool shift, const MapTarget& out,
                  int threads, const Device& device);

// ---- limbs ------------------------------------------------------------------------------------------------------

// Raises when a limb is not two different joints and two channels.
void check_limbs(const LimbSpec& spec);

// Raises when the fields lack a channel of the limbs.
void check_fields(const LimbSpec& spec, const MapView& fields);

// Fields [N, C, H, W] and the peaks of joints [N, K, M] -> for every limb and every candidate of its first joint the R
// best partners, best first. Entries past count are whatever they were.
void score_limbs(const LimbSpec& spec, const MapView& fields, const PeakLists& peaks, const LinkLists& out,
                 const View<int32_t, 1>& scratch, int threads, const Device& device);
int64_t score_limbs_scratch(const PeakLists& peaks, int64_t limbs, int threads, const Device& device);

// ---- grouping -----------------------------------------------------------------------------------------------------

// A joint of somebody standing upright: where it is, in body heights from the neck, and the bones on the way to it.
struct BodyJoint {
  bool is_known = false;
  float x = 0.0f, y = 0.0f;
  uint32_t chain = 0;  // a bit per bone
};

// variances: of each bone's direction times its length, in squared body heights. spec says which limbs there are.
Body body_of(const GroupSpec& spec, const std::vector<BodyJoint>& joints, const std::vector<float>& variances);

// Peaks and links of N images -> people, best first, ties by their first joint; the joints of one person are those
// that hang together. xy are the peaks' places; a joint that was not found has score 0 and peak -1, entries past count
// are such joints only.
void group_people(const GroupSpec& spec, const PeakLists& peaks, const LinkLists& links, const PeopleLists& out,
                  int64_t n, const View<int32_t, 1>& scratch, int threads, const Device& device);
int64_t group_people_scratch(const GroupSpec& spec, int capacity, int partners, int64_t n, int threads,
                             const Device& device);

// ---- all of bottom-up decoding ------------------------------------------------------------------------------------

struct PartAffinitySpec {
  PeakRule peak_rule = PeakRule::kBest;
  PeakSpec peaks;
  LimbSpec limbs;
  GroupSpec groups;
  int32_t capacity = 128;  // peaks of a joint
  int32_t partners = 4;    // of a candidate, for one limb
};

// Heatmaps [N, K or more, H, W] and fields [N, C, H, W] -> people. The same as find_peaks, score_limbs and
// group_people one after the other, without results in between that anybody would have to allocate or wait for. The
// published rules for peaks stand in for find_peaks, and those for groups have orders of their own: the people of
// kOpenPose come in the order of their best links, those of kTrtPose in that of their first peaks.
void decode_part_affinity(const PartAffinitySpec& spec, const MapView& heatmaps, const MapView& fields,
                          const PeopleLists& out, const View<int32_t, 1>& scratch, int threads, const Device& device);
int64_t part_affinity_scratch(const PartAffinitySpec& spec, const MapView& heatmaps, int threads, const Device& device);

// ---- assignment -------------------------------------------------------------------------------------------------

// What is matched, in the caller's terms. Scores are to be large, or with `maximise` false small. A pair whose score is
// not finite, or worse than the gate, cannot be matched.
AssignSpec assign_spec(AssignMethod method, bool maximise, std::optional<float> gate, int64_t iterations);

// Scores [N, R, C], of which the first rows[n] and columns[n] of each problem exist (all, where the counts are absent)
// -> column [N, R] of each row or -1, row [N, C] of each column or -1, total [N] of the matched scores in the order of
// the rows, finished [N] (0: the iterations ran out, and what is matched is the best for the first rows of the shorter
// side only). kGreedy: the best pair first, ties by row, then column. kOptimal: the most pairs and, among those
// matchings, the best total. A count that is out of range raises on the CPU, naming `rows`[n] or `columns`[n], and on a
// device is the nearest in range.
void assign(const AssignSpec& spec, const AssignProblems& problems, const Assignments& out,
            const View<double, 1>& scratch, int threads, const Device& device);
int64_t assign_scratch(const AssignSpec& spec, int64_t n, int64_t rows, int64_t columns, int threads,
                       const Device& device);

}  // namespace ppf::ops

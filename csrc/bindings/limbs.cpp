#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <string>
#include <vector>

#include "bindings/arguments.h"
#include "bindings/array.h"
#include "bindings/choices.h"
#include "bindings/module.h"
#include "bindings/people.h"

namespace py = pybind11;
using namespace py::literals;

namespace ppf::bindings {
namespace {

using LimbRow = std::array<int, 4>;  // first, second, x channel, y channel

py::capsule limb_spec(const std::string& mode, int joints, const std::vector<LimbRow>& fields, float threshold,
                      float longest) {
  LimbSpec spec;
  spec.rule = choose<LinkRule>(
      "mode", mode,
      {{"pyposefast", LinkRule::kLine}, {"openpose", LinkRule::kOpenPose}, {"trt_pose", LinkRule::kTrtPose}});
  if (fields.size() > kMaxLimbs) {
    throw InputError("fields", "at most " + std::to_string(kMaxLimbs) + " limbs", std::to_string(fields.size()));
  }
  spec.joints = joints;
  spec.limbs = static_cast<int32_t>(fields.size());
  for (std::size_t l = 0; l < fields.size(); ++l) {
    spec.limb[l] = {fields[l][0], fields[l][1], fields[l][2], fields[l][3]};
  }
  ops::check_limbs(spec);
  spec.threshold = threshold;
  spec.longest = longest;
  return wrap(spec);
}

// Of the peaks, the places and how many there are.
void score_limbs(const py::object& settings, const py::object& fields, bool is_nhwc, const py::object& xy,
                 const py::object& peak_count, const py::object& partner, const py::object& score,
                 const py::object& count, const py::object& total, const py::object& scratch, int threads,
                 std::uintptr_t stream) {
  const LimbSpec& spec = unwrap<LimbSpec>(settings);
  const Array vectors = Array::from(fields, "fields", stream), places = Array::from(xy, "peaks.xy", stream),
              numbers = Array::from(peak_count, "peaks.count", stream),
              partners = Array::from(partner, "partner", stream), scores = Array::from(score, "score", stream),
              counts = Array::from(count, "count", stream), totals = Array::from(total, "total", stream),
              work = Array::from(scratch, "scratch", stream);
  const Device device = common_device({&vectors, &places, &numbers, &partners, &scores, &counts, &totals, &work});
  const MapView view = map_view(vectors, is_nhwc);
  const int64_t n = view.n, k = spec.joints, l = spec.limbs;
  PeakLists peaks;
  peaks.capacity = places.rank() == 4 ? side(places, 2) : 0;
  peaks.xy = input<float, 4>(places, {n, k, peaks.capacity, 2});
  peaks.count = input<int32_t, 2>(numbers, {n, k});
  LinkLists out;
  out.capacity = peaks.capacity;
  out.partners = partners.rank() == 4 ? side(partners, 3) : 0;
  out.partner = result<int32_t, 4>(partners, {n, l, out.capacity, out.partners});
  out.score = result<float, 4>(scores, {n, l, out.capacity, out.partners});
  out.count = result<int32_t, 3>(counts, {n, l, out.capacity});
  out.total = result<int32_t, 3>(totals, {n, l, out.capacity});
  const View<int32_t, 1> words = work.out<int32_t, 1>("scratch");
  const py::gil_scoped_release nogil;
  ops::score_limbs(spec, view, peaks, out, words, threads, device);
}

int64_t score_limbs_scratch(int capacity, int64_t limbs, int threads, bool is_cuda) {
  PeakLists peaks;
  peaks.capacity = capacity;
  return ops::score_limbs_scratch(peaks, limbs, threads, device_named(is_cuda));
}

}  // namespace

void register_limbs(py::module_& m) {
  m.attr("MAX_CANDIDATES") = kMaxCandidates;
  m.attr("MAX_JOINTS") = kMaxJoints;
  m.attr("MAX_LIMBS") = kMaxLimbs;
  m.attr("MAX_PARTNERS") = kMaxPartners;
  m.def("limb_spec", &limb_spec, "mode"_a, "joints"_a, "fields"_a, "threshold"_a, "longest"_a);
  m.def("score_limbs", &score_limbs, "settings"_a, "fields"_a, "is_nhwc"_a, "xy"_a, "peak_count"_a, "partner"_a,
        "score"_a, "count"_a, "total"_a, "scratch"_a, "threads"_a, "stream"_a, py::pos_only());
  m.def("score_limbs_scratch", &score_limbs_scratch, "capacity"_a, "limbs"_a, "threads"_a, "is_cuda"_a, py::pos_only());
}

}  // namespace ppf::bindings

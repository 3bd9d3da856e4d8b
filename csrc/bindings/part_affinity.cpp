#include <pybind11/pybind11.h>

#include "bindings/arguments.h"
#include "bindings/array.h"
#include "bindings/module.h"
#include "bindings/people.h"
#include "bindings/results.h"

namespace py = pybind11;
using namespace py::literals;

namespace ppf::bindings {

template <>
struct Settings<ops::PartAffinitySpec> {
  static constexpr const char* kName = "pyposefast.PartAffinitySpec";
};

namespace {

PeakRule peak_rule(GroupRule rule) {
  switch (rule) {
    case GroupRule::kBody: return PeakRule::kBest;
    case GroupRule::kOpenPose: return PeakRule::kOpenPose;
    default: return PeakRule::kTrtPose;
  }
}

py::capsule part_affinity_spec(const py::object& limbs, const py::object& groups, float threshold, int capacity,
                               int partners) {
  ops::PartAffinitySpec spec;
  spec.peaks = ops::peak_spec(Refine::kLogParabola, threshold, false, 11, 1.0f);
  spec.peaks.shoulders = true;
  spec.limbs = unwrap<LimbSpec>(limbs);
  spec.peaks.clears_rest = spec.limbs.clears_rest = false;  // nobody sees them
  spec.groups = unwrap<GroupSpec>(groups);
  spec.peak_rule = peak_rule(spec.groups.rule);
  spec.capacity = capacity;
  spec.partners = partners;
  return wrap(spec);
}

int64_t part_affinity_scratch(const py::object& settings, int64_t n, int64_t k, int32_t height, int32_t width,
                              int threads, bool is_cuda) {
  return ops::part_affinity_scratch(unwrap<ops::PartAffinitySpec>(settings), shaped(n, k, height, width), threads,
                                    device_named(is_cuda));
}

// What a call works on, wherever its results go.
struct Inputs {
  const ops::PartAffinitySpec& spec;
  Array maps, fields, work;
  MapView map_view, field_view;
  View<int32_t, 1> scratch;

  Inputs(const py::object& settings, const py::object& heatmaps, const py::object& vectors, bool is_nhwc,
         const py::object& words, std::uintptr_t stream)
      : spec(unwrap<ops::PartAffinitySpec>(settings)),
        maps(Array::from(heatmaps, "heatmaps", stream)),
        fields(Array::from(vectors, "fields", stream)),
        work(Array::from(words, "scratch", stream)),
        map_view(bindings::map_view(maps, is_nhwc)),
        field_view(bindings::map_view(fields, is_nhwc)),
        scratch(work.out<int32_t, 1>("scratch")) {}

  void decode(const PeopleLists& out, int threads, const Device& device) const {
    const py::gil_scoped_release nogil;
    ops::decode_part_affinity(spec, map_view, field_view, out, scratch, threads, device);
  }
};

// `results`: what people_arrays returned.
void decode_part_affinity(const py::object& settings, const py::object& heatmaps, const py::object& fields,
                          bool is_nhwc, const py::object& results, int capacity, const py::object& scratch, int threads,
                          std::uintptr_t stream) {
  const auto& people = unwrap<PeopleArrays>(results);
  const Inputs in(settings, heatmaps, fields, is_nhwc, scratch, stream);
  const Device device =
      common_device({&in.maps, &in.fields, &in.work, &people.xy, &people.score, &people.peak, &people.person_score,
                     &people.count, &people.total, &people.dropped, &people.nonfinite});
  const PeopleLists out = people.lists(in.map_view.n, in.spec.limbs.joints, capacity);
  people.require_no_overlap(in.maps);
  people.require_no_overlap(in.fields);
  in.decode(out, threads, device);
}

// The same into new NumPy arrays, for which nothing has to be checked. `kind`: the class of the result.
py::object decode_part_affinity_anew(const py::object& settings, const py::object& heatmaps, const py::object& fields,
                                     bool is_nhwc, const py::type& kind, int capacity, const py::object& scratch,
                                     int threads) {
  const Inputs in(settings, heatmaps, fields, is_nhwc, scratch, 0);
  const Device device = common_device({&in.maps, &in.fields, &in.work});
  const int64_t n = in.map_view.n, k = in.spec.limbs.joints;
  NumpyResult result(kind);
  PeopleLists out;
  out.xy = result.add<float>({n, capacity, k, 2});
  out.score = result.add<float>({n, capacity, k});
  out.peak = result.add<int32_t>({n, capacity, k});
  out.person_score = result.add<float>({n, capacity});
  out.count = result.add<int32_t>({n});
  out.total = result.add<int32_t>({n});
  out.dropped = result.add<int32_t>({n});
  out.nonfinite = result.add<int32_t>({n});
  out.capacity = capacity;
  in.decode(out, threads, device);
  return result.finish();
}

}  // namespace

void register_part_affinity(py::module_& m) {
  m.def("part_affinity_spec", &part_affinity_spec, "limbs"_a, "groups"_a, "threshold"_a, "capacity"_a, "partners"_a);
  m.def("part_affinity_scratch", &part_affinity_scratch, "settings"_a, "n"_a, "k"_a, "height"_a, "width"_a, "threads"_a,
        "is_cuda"_a, py::pos_only());
  m.def("decode_part_affinity", &decode_part_affinity, "settings"_a, "heatmaps"_a, "fields"_a, "is_nhwc"_a, "results"_a,
        "capacity"_a, "scratch"_a, "threads"_a, "stream"_a, py::pos_only());
  m.def("decode_part_affinity_anew", &decode_part_affinity_anew, "settings"_a, "heatmaps"_a, "fields"_a, "is_nhwc"_a,
        "kind"_a, "capacity"_a, "scratch"_a, "threads"_a, py::pos_only());
}

}  // namespace ppf::bindings

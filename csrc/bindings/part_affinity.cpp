#include <pybind11/pybind11.h>

#include "bindings/arguments.h"
#include "bindings/array.h"
#include "bindings/module.h"
#include "bindings/people.h"

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
  spec.peaks.clears_rest = false;  // nobody sees them
  spec.limbs = unwrap<LimbSpec>(limbs);
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

// How people lie in one array, for callers that allocate all of a result at once: eight fields, in the order of
// PeopleLists.
PeopleLists packed_lists(const Array& memory, int64_t n, int64_t k, int32_t capacity) {
  const int64_t people = n * capacity;
  int32_t* at = result<int32_t, 1>(memory, {people * (4 * k + 1) + 4 * n});
  const auto take = [&](int64_t words) {
    int32_t* const here = at;
    at += words;
    return here;
  };
  PeopleLists out;
  out.xy = reinterpret_cast<float*>(take(people * k * 2));
  out.score = reinterpret_cast<float*>(take(people * k));
  out.peak = take(people * k);
  out.person_score = reinterpret_cast<float*>(take(people));
  out.count = take(n);
  out.total = take(n);
  out.dropped = take(n);
  out.nonfinite = take(n);
  out.capacity = capacity;
  return out;
}

// `results`: what people_arrays returned.
void decode_part_affinity(const py::object& settings, const py::object& heatmaps, const py::object& fields,
                          bool is_nhwc, const py::object& results, int capacity, const py::object& scratch, int threads,
                          std::uintptr_t stream) {
  const auto& spec = unwrap<ops::PartAffinitySpec>(settings);
  const auto& people = unwrap<PeopleArrays>(results);
  const Array maps = Array::from(heatmaps, "heatmaps", stream), vectors = Array::from(fields, "fields", stream),
              work = Array::from(scratch, "scratch", stream);
  const Device device =
      common_device({&maps, &vectors, &work, &people.xy, &people.score, &people.peak, &people.person_score,
                     &people.count, &people.total, &people.dropped, &people.nonfinite});
  const MapView view = map_view(maps, is_nhwc), field_view = map_view(vectors, is_nhwc);
  const PeopleLists out = people.lists(view.n, spec.limbs.joints, capacity);
  people.require_no_overlap(maps);
  people.require_no_overlap(vectors);
  const View<int32_t, 1> words = work.out<int32_t, 1>("scratch");
  const py::gil_scoped_release nogil;
  ops::decode_part_affinity(spec, view, field_view, out, words, threads, device);
}

// The same into one array, see packed_lists.
void decode_part_affinity_packed(const py::object& settings, const py::object& heatmaps, const py::object& fields,
                                 bool is_nhwc, const py::object& results, int capacity, const py::object& scratch,
                                 int threads, std::uintptr_t stream) {
  const auto& spec = unwrap<ops::PartAffinitySpec>(settings);
  const Array maps = Array::from(heatmaps, "heatmaps", stream), vectors = Array::from(fields, "fields", stream),
              memory = Array::from(results, "results", stream), work = Array::from(scratch, "scratch", stream);
  const Device device = common_device({&maps, &vectors, &work, &memory});
  const MapView view = map_view(maps, is_nhwc), field_view = map_view(vectors, is_nhwc);
  const PeopleLists out = packed_lists(memory, view.n, spec.limbs.joints, capacity);
  const View<int32_t, 1> words = work.out<int32_t, 1>("scratch");
  const py::gil_scoped_release nogil;
  ops::decode_part_affinity(spec, view, field_view, out, words, threads, device);
}

}  // namespace

void register_part_affinity(py::module_& m) {
  m.def("part_affinity_spec", &part_affinity_spec, "limbs"_a, "groups"_a, "threshold"_a, "capacity"_a, "partners"_a);
  m.def("part_affinity_scratch", &part_affinity_scratch, "settings"_a, "n"_a, "k"_a, "height"_a, "width"_a, "threads"_a,
        "is_cuda"_a, py::pos_only());
  m.def("decode_part_affinity", &decode_part_affinity, "settings"_a, "heatmaps"_a, "fields"_a, "is_nhwc"_a, "results"_a,
        "capacity"_a, "scratch"_a, "threads"_a, "stream"_a, py::pos_only());
  m.def("decode_part_affinity_packed", &decode_part_affinity_packed, "settings"_a, "heatmaps"_a, "fields"_a,
        "is_nhwc"_a, "results"_a, "capacity"_a, "scratch"_a, "threads"_a, "stream"_a, py::pos_only());
}

}  // namespace ppf::bindings

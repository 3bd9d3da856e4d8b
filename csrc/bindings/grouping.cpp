#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <tuple>
#include <utility>
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

using JointRow = std::optional<std::tuple<float, float, std::vector<int>>>;  // x, y, bones

ops::BodyJoint body_joint(const JointRow& row, std::size_t bones) {
  if (!row) return {};
  ops::BodyJoint joint{true, std::get<0>(*row), std::get<1>(*row), 0};
  for (const int bone : std::get<2>(*row)) {
    if (bone < 0 || bone >= static_cast<int>(bones)) {
      throw InputError("body", "bones below " + std::to_string(bones), std::to_string(bone));
    }
    joint.chain |= 1u << bone;
  }
  return joint;
}

// limbs: the joints of each, in the order of the links.
py::capsule group_spec(const std::string& mode, int joints, const std::vector<std::pair<int, int>>& limbs,
                       const std::vector<JointRow>& body, const std::vector<float>& variances, int least_joints,
                       float least_score, float least_lone, float least_link, const std::vector<int>& uncounted) {
  GroupSpec spec;
  spec.rule = choose<GroupRule>(
      "mode", mode,
      {{"pyposefast", GroupRule::kBody}, {"openpose", GroupRule::kOpenPose}, {"trt_pose", GroupRule::kTrtPose}});
  LimbSpec checked;
  checked.joints = spec.joints = joints;
  checked.limbs = spec.limbs = static_cast<int32_t>(limbs.size());
  if (limbs.size() > kMaxLimbs) {
    throw InputError("fields", "at most " + std::to_string(kMaxLimbs) + " limbs", std::to_string(limbs.size()));
  }
  for (std::size_t l = 0; l < limbs.size(); ++l) checked.limb[l] = {limbs[l].first, limbs[l].second, 0, 0};
  ops::check_limbs(checked);
  for (std::size_t l = 0; l < limbs.size(); ++l) {
    spec.first[l] = limbs[l].first;
    spec.second[l] = limbs[l].second;
  }
  std::vector<ops::BodyJoint> places;
  places.reserve(body.size());
  for (const JointRow& row : body) places.push_back(body_joint(row, variances.size()));
  spec.body = ops::body_of(spec, places, variances);
  spec.least_joints = least_joints;
  spec.least_score = least_score;
  spec.least_lone = least_lone;
  spec.least_link = least_link;
  for (const int joint : uncounted) {
    if (joint < 0 || joint >= joints) {
      throw InputError("uncounted", "joints below " + std::to_string(joints), std::to_string(joint));
    }
    spec.uncounted |= 1u << joint;
  }
  return wrap(spec);
}

// The peaks' and the links' arrays as ops.find_peaks and ops.score_limbs return them.
void group_people(const py::object& settings, const py::object& xy, const py::object& score, const py::object& count,
                  const py::object& total, const py::object& nonfinite, const py::object& partner,
                  const py::object& link_score, const py::object& link_count, const py::object& people,
                  const py::object& scratch, int capacity, int threads, std::uintptr_t stream) {
  const GroupSpec& spec = unwrap<GroupSpec>(settings);
  const PeopleArrays& results = unwrap<PeopleArrays>(people);
  const Array places = Array::from(xy, "peaks.xy", stream), scores = Array::from(score, "peaks.score", stream),
              counts = Array::from(count, "peaks.count", stream), totals = Array::from(total, "peaks.total", stream),
              masked = Array::from(nonfinite, "peaks.nonfinite", stream),
              partners = Array::from(partner, "links.partner", stream),
              weights = Array::from(link_score, "links.score", stream),
              numbers = Array::from(link_count, "links.count", stream), work = Array::from(scratch, "scratch", stream);
  const Device device = common_device({&places, &scores, &counts, &totals, &masked, &partners, &weights, &numbers,
                                       &results.xy, &results.score, &results.peak, &results.person_score,
                                       &results.count, &results.total, &results.dropped, &results.nonfinite, &work});
  require_rank(places, 4, "[N, K, M, 2]");
  require_rank(partners, 4, "[N, L, M, R]");
  const int64_t n = places.shape(0), k = spec.joints, l = spec.limbs;
  PeakLists peaks;
  peaks.capacity = side(places, 2);
  peaks.xy = input<float, 4>(places, {n, k, peaks.capacity, 2});
  peaks.score = input<float, 3>(scores, {n, k, peaks.capacity});
  peaks.count = input<int32_t, 2>(counts, {n, k});
  peaks.total = input<int32_t, 2>(totals, {n, k});
  peaks.nonfinite = input<int32_t, 2>(masked, {n, k});
  LinkLists links;
  links.capacity = peaks.capacity;
  links.partners = side(partners, 3);
  links.partner = input<int32_t, 4>(partners, {n, l, links.capacity, links.partners});
  links.score = input<float, 4>(weights, {n, l, links.capacity, links.partners});
  links.count = input<int32_t, 3>(numbers, {n, l, links.capacity});
  const PeopleLists out = results.lists(n, k, capacity);
  const View<int32_t, 1> words = work.out<int32_t, 1>("scratch");
  const py::gil_scoped_release nogil;
  ops::group_people(spec, peaks, links, out, n, words, threads, device);
}

int64_t group_people_scratch(const py::object& settings, int capacity, int partners, int64_t n, int threads,
                             bool is_cuda) {
  return ops::group_people_scratch(unwrap<GroupSpec>(settings), capacity, partners, n, threads, device_named(is_cuda));
}

py::capsule people_arrays(const py::object& xy, const py::object& score, const py::object& peak,
                          const py::object& person_score, const py::object& count, const py::object& total,
                          const py::object& dropped, const py::object& nonfinite, std::uintptr_t stream) {
  return wrap(PeopleArrays{Array::from(xy, "out.xy", stream), Array::from(score, "out.score", stream),
                           Array::from(peak, "out.peak", stream), Array::from(person_score, "out.person_score", stream),
                           Array::from(count, "out.count", stream), Array::from(total, "out.total", stream),
                           Array::from(dropped, "out.dropped", stream),
                           Array::from(nonfinite, "out.nonfinite", stream)});
}

}  // namespace

void register_grouping(py::module_& m) {
  m.attr("MAX_PEOPLE") = kMaxPeople;
  m.def("group_spec", &group_spec, "mode"_a, "joints"_a, "limbs"_a, "body"_a, "variances"_a, "least_joints"_a,
        "least_score"_a, "least_lone"_a, "least_link"_a, "uncounted"_a);
  m.def("group_people", &group_people, "settings"_a, "xy"_a, "score"_a, "count"_a, "total"_a, "nonfinite"_a,
        "partner"_a, "link_score"_a, "link_count"_a, "people"_a, "scratch"_a, "capacity"_a, "threads"_a, "stream"_a,
        py::pos_only());
  m.def("group_people_scratch", &group_people_scratch, "settings"_a, "capacity"_a, "partners"_a, "n"_a, "threads"_a,
        "is_cuda"_a, py::pos_only());
  m.def("people_arrays", &people_arrays, "xy"_a, "score"_a, "peak"_a, "person_score"_a, "count"_a, "total"_a,
        "dropped"_a, "nonfinite"_a, "stream"_a, py::pos_only());
}

}  // namespace ppf::bindings

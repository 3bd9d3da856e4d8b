#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "bindings/arguments.h"
#include "bindings/array.h"
#include "bindings/choices.h"
#include "bindings/maps.h"
#include "bindings/module.h"
#include "bindings/settings.h"
#include "ops/ops.h"

namespace py = pybind11;
using namespace py::literals;

namespace ppf::bindings {

template <>
struct Settings<PeakSpec> {
  static constexpr const char* kName = "pyposefast.PeakSpec";
};
template <>
struct Settings<SimccSpec> {
  static constexpr const char* kName = "pyposefast.SimccSpec";
};

namespace {

OffsetView offset_view(const Array& offsets, const MapView& maps) {
  require_shape(offsets, {maps.n, maps.k, 2, maps.height, maps.width});
  return {offsets.data(),    is_half(offsets),  offsets.stride(0), offsets.stride(1),
          offsets.stride(2), offsets.stride(3), offsets.stride(4)};
}

VectorView vector_view(const Array& vectors) {
  require_rank(vectors, 3, "[N, K, bins]");
  return {vectors.data(),   is_half(vectors),  vectors.shape(0),  vectors.shape(1),
          side(vectors, 2), vectors.stride(0), vectors.stride(1), vectors.stride(2)};
}

Refine refine_rule(const std::string& name) {
  return choose<Refine>("refine", name,
                        {{"none", Refine::kNone},
                         {"quarter", Refine::kQuarter},
                         {"quarter_half", Refine::kQuarterHalf},
                         {"quarter_binary_half", Refine::kQuarterBinaryHalf},
                         {"second_peak", Refine::kSecondPeak},
                         {"dark", Refine::kDark},
                         {"udp_dark", Refine::kUdpDark},
                         {"centroid7", Refine::kCentroid7},
                         {"centroid5", Refine::kCentroid5},
                         {"offset", Refine::kOffset},
                         {"log_parabola", Refine::kLogParabola}});
}

// Offsets come with the rule that reads them, and with no other.
std::optional<Array> offset_array(const py::object& offsets, const PeakSpec& spec, std::uintptr_t stream) {
  if (offsets.is_none() == (spec.refine == Refine::kOffset)) {
    throw InputError("offsets", spec.refine == Refine::kOffset ? "[N, K, 2, H, W] for refine=\"offset\"" : "None",
                     spec.refine == Refine::kOffset ? "None" : "an array", "offsets belong to refine=\"offset\"");
  }
  if (offsets.is_none()) return std::nullopt;
  return Array::from(offsets, "offsets", stream);
}

std::optional<Array> array_if_any(const py::object& object, const char* argument, std::uintptr_t stream) {
  if (object.is_none()) return std::nullopt;
  return Array::from(object, argument, stream);
}

py::capsule peak_spec(const std::string& refine, float threshold, bool logits, int kernel, float offset_scale,
                      bool shoulders) {
  PeakSpec spec = ops::peak_spec(refine_rule(refine), threshold, logits, kernel, offset_scale);
  spec.shoulders = shoulders;
  return wrap(spec);
}

py::capsule simcc_spec(const std::string& refine, const std::string& score_rule, float split, float threshold,
                       int kernel) {
  const SimccScore score =
      choose<SimccScore>("score", score_rule, {{"min", SimccScore::kMin}, {"mean", SimccScore::kMean}});
  return wrap(ops::simcc_spec(refine_rule(refine), score, split, threshold, kernel));
}

void best_peaks(const py::object& settings, const py::object& maps, const py::object& offsets, bool is_nhwc,
                const py::object& xy, const py::object& score, const py::object& count, const py::object& nonfinite,
                const py::object& scratch, int threads, std::uintptr_t stream) {
  const PeakSpec& spec = unwrap<PeakSpec>(settings);
  const Array input = Array::from(maps, "maps", stream), places = Array::from(xy, "xy", stream),
              scores = Array::from(score, "score", stream), counts = Array::from(count, "count", stream),
              masked = Array::from(nonfinite, "nonfinite", stream);
  const std::optional<Array> work = array_if_any(scratch, "scratch", stream);
  const std::optional<Array> fields = offset_array(offsets, spec, stream);
  const Device device =
      common_device({&input, &places, &scores, &counts, &masked, work ? &*work : nullptr, fields ? &*fields : nullptr});
  const MapView view = map_view(input, is_nhwc);
  const OffsetView offset = fields ? offset_view(*fields, view) : OffsetView{};
  const BestPeaks out{result<float, 3>(places, {view.n, view.k, 2}), result<float, 2>(scores, {view.n, view.k}),
                      result<int32_t, 2>(counts, {view.n, view.k}), result<int32_t, 2>(masked, {view.n, view.k})};
  const View<float, 1> words = work ? work->out<float, 1>("scratch") : View<float, 1>{};
  const py::gil_scoped_release nogil;
  ops::best_peaks(spec, view, offset, out, words, threads, device);
}

PeakLists peak_lists(const MapView& maps, const Array& xy, const Array& score, const Array& count, const Array& total,
                     const Array& nonfinite) {
  const int32_t capacity = score.rank() == 3 ? side(score, 2) : 0;
  return {result<float, 4>(xy, {maps.n, maps.k, capacity, 2}), result<float, 3>(score, {maps.n, maps.k, capacity}),
          result<int32_t, 2>(count, {maps.n, maps.k}),         result<int32_t, 2>(total, {maps.n, maps.k}),
          result<int32_t, 2>(nonfinite, {maps.n, maps.k}),     capacity};
}

void find_peaks(const py::object& settings, const py::object& maps, const py::object& offsets, bool is_nhwc,
                const py::object& xy, const py::object& score, const py::object& count, const py::object& total,
                const py::object& nonfinite, const py::object& scratch, int threads, std::uintptr_t stream) {
  const PeakSpec& spec = unwrap<PeakSpec>(settings);
  const Array input = Array::from(maps, "maps", stream), places = Array::from(xy, "xy", stream),
              scores = Array::from(score, "score", stream), counts = Array::from(count, "count", stream),
              totals = Array::from(total, "total", stream), masked = Array::from(nonfinite, "nonfinite", stream),
              work = Array::from(scratch, "scratch", stream);
  const std::optional<Array> fields = offset_array(offsets, spec, stream);
  const Device device =
      common_device({&input, &places, &scores, &counts, &totals, &masked, &work, fields ? &*fields : nullptr});
  const MapView view = map_view(input, is_nhwc);
  const OffsetView offset = fields ? offset_view(*fields, view) : OffsetView{};
  const PeakLists out = peak_lists(view, places, scores, counts, totals, masked);
  const View<int32_t, 1> words = work.out<int32_t, 1>("scratch");
  const py::gil_scoped_release nogil;
  ops::find_peaks(spec, view, offset, out, words, threads, device);
}

PeakRule peak_rule(const std::string& name) {
  return choose<PeakRule>("rule", name, {{"openpose", PeakRule::kOpenPose}, {"trt_pose", PeakRule::kTrtPose}});
}

void published_peaks(const py::object& maps, const py::object& xy, const py::object& score, const py::object& count,
                     const py::object& total, const py::object& nonfinite, const py::object& scratch,
                     const std::string& rule, float threshold, bool is_nhwc, int threads, std::uintptr_t stream) {
  const Array input = Array::from(maps, "maps", stream), places = Array::from(xy, "xy", stream),
              scores = Array::from(score, "score", stream), counts = Array::from(count, "count", stream),
              totals = Array::from(total, "total", stream), masked = Array::from(nonfinite, "nonfinite", stream),
              work = Array::from(scratch, "scratch", stream);
  const Device device = common_device({&input, &places, &scores, &counts, &totals, &masked, &work});
  const MapView view = map_view(input, is_nhwc);
  const PeakLists out = peak_lists(view, places, scores, counts, totals, masked);
  const View<int32_t, 1> words = work.out<int32_t, 1>("scratch");
  const PeakRule chosen = peak_rule(rule);
  const py::gil_scoped_release nogil;
  ops::published_peaks(chosen, threshold, view, out, words, threads, device);
}

int64_t best_peaks_scratch(const py::object& settings, int64_t n, int64_t k, int32_t height, int32_t width, int threads,
                           bool is_cuda) {
  return ops::best_peaks_scratch(unwrap<PeakSpec>(settings), shaped(n, k, height, width), threads,
                                 device_named(is_cuda));
}

int64_t find_peaks_scratch(int64_t n, int64_t k, int32_t height, int32_t width, int capacity, int threads,
                           bool is_cuda) {
  return ops::find_peaks_scratch(shaped(n, k, height, width), capacity, threads, device_named(is_cuda));
}

int64_t published_peaks_scratch(const std::string& rule, int64_t n, int64_t k, int32_t height, int32_t width,
                                int capacity, int threads, bool is_cuda) {
  return ops::published_peaks_scratch(peak_rule(rule), shaped(n, k, height, width), capacity, threads,
                                      device_named(is_cuda));
}

void decode_simcc(const py::object& settings, const py::object& x, const py::object& y, const py::object& xy,
                  const py::object& score, const py::object& count, const py::object& nonfinite, int threads,
                  std::uintptr_t stream) {
  const SimccSpec& spec = unwrap<SimccSpec>(settings);
  const Array along_x = Array::from(x, "x", stream), along_y = Array::from(y, "y", stream),
              places = Array::from(xy, "xy", stream), scores = Array::from(score, "score", stream),
              counts = Array::from(count, "count", stream), masked = Array::from(nonfinite, "nonfinite", stream);
  const Device device = common_device({&along_x, &along_y, &places, &scores, &counts, &masked});
  const VectorView view_x = vector_view(along_x), view_y = vector_view(along_y);
  const BestPeaks out{result<float, 3>(places, {view_x.n, view_x.k, 2}), result<float, 2>(scores, {view_x.n, view_x.k}),
                      result<int32_t, 2>(counts, {view_x.n, view_x.k}),
                      result<int32_t, 2>(masked, {view_x.n, view_x.k})};
  const py::gil_scoped_release nogil;
  ops::decode_simcc(spec, view_x, view_y, out, threads, device);
}

// partner: for each channel the one of `flipped` that belongs to it.
void average_flip(const py::object& maps, const py::object& flipped, const std::vector<int>& partner,
                  const py::object& out, bool shift, bool is_nhwc, int threads, std::uintptr_t stream) {
  const Array straight = Array::from(maps, "maps", stream), mirrored = Array::from(flipped, "flipped", stream),
              target = Array::from(out, "out", stream);
  const Device device = common_device({&straight, &mirrored, &target});
  const MapView view = map_view(straight, is_nhwc), other = map_view(mirrored, is_nhwc);
  for (const Array* array : {&mirrored, &target}) {
    require_shape(*array, {straight.shape(0), straight.shape(1), straight.shape(2), straight.shape(3)});
    if (array->dtype() != straight.dtype()) {
      throw InputTypeError(array->argument(), std::string(name_of(straight.dtype())) + " as maps",
                           name_of(array->dtype()));
    }
  }
  target.require_writable();
  require_no_overlap(target, mirrored);
  if (target.data() != straight.data()) require_no_overlap(target, straight);
  FlipPairs pairs;
  if (static_cast<int64_t>(partner.size()) != view.k || view.k > kMaxFlipChannels) {
    throw InputError("pairs", "a partner for each of at most " + std::to_string(kMaxFlipChannels) + " channels",
                     std::to_string(partner.size()));
  }
  for (std::size_t k = 0; k < partner.size(); ++k) pairs.partner[k] = static_cast<int16_t>(partner[k]);
  const Axes axes(is_nhwc);
  const MapTarget to{target.data(),         view.is_half,          target.stride(0),
                     target.stride(axes.k), target.stride(axes.y), target.stride(axes.x)};
  const py::gil_scoped_release nogil;
  ops::average_flip(view, other, pairs, shift, to, threads, device);
}

}  // namespace

void register_peaks(py::module_& m) {
  m.attr("MAX_CAPACITY") = kMaxCapacity;
  m.attr("MAX_KERNEL") = kMaxKernel;
  m.def("peak_spec", &peak_spec, "refine"_a, "threshold"_a, "logits"_a, "kernel"_a, "offset_scale"_a, "shoulders"_a);
  m.def("simcc_spec", &simcc_spec, "refine"_a, "score"_a, "split"_a, "threshold"_a, "kernel"_a);
  // Positional: looking up a dozen keywords would take longer than the maps of one person.
  m.def("best_peaks", &best_peaks, "settings"_a, "maps"_a, "offsets"_a, "is_nhwc"_a, "xy"_a, "score"_a, "count"_a,
        "nonfinite"_a, "scratch"_a, "threads"_a, "stream"_a, py::pos_only());
  m.def("best_peaks_scratch", &best_peaks_scratch, "settings"_a, "n"_a, "k"_a, "height"_a, "width"_a, "threads"_a,
        "is_cuda"_a, py::pos_only());
  m.def("find_peaks", &find_peaks, "settings"_a, "maps"_a, "offsets"_a, "is_nhwc"_a, "xy"_a, "score"_a, "count"_a,
        "total"_a, "nonfinite"_a, "scratch"_a, "threads"_a, "stream"_a, py::pos_only());
  m.def("find_peaks_scratch", &find_peaks_scratch, "n"_a, "k"_a, "height"_a, "width"_a, "capacity"_a, "threads"_a,
        "is_cuda"_a, py::pos_only());
  m.def("decode_simcc", &decode_simcc, "settings"_a, "x"_a, "y"_a, "xy"_a, "score"_a, "count"_a, "nonfinite"_a,
        "threads"_a, "stream"_a, py::pos_only());
  m.def("published_peaks", &published_peaks, "maps"_a, "xy"_a, "score"_a, "count"_a, "total"_a, "nonfinite"_a,
        "scratch"_a, py::kw_only(), "rule"_a, "threshold"_a, "is_nhwc"_a, "threads"_a, "stream"_a);
  m.def("published_peaks_scratch", &published_peaks_scratch, "rule"_a, "n"_a, "k"_a, "height"_a, "width"_a,
        py::kw_only(), "capacity"_a, "threads"_a, "is_cuda"_a);
  m.def("average_flip", &average_flip, "maps"_a, "flipped"_a, "partner"_a, "out"_a, py::kw_only(), "shift"_a,
        "is_nhwc"_a, "threads"_a, "stream"_a);
}

}  // namespace ppf::bindings

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <vector>

#include "bindings/arguments.h"
#include "bindings/array.h"
#include "bindings/choices.h"
#include "bindings/module.h"
#include "ops/ops.h"

namespace py = pybind11;
using namespace py::literals;

namespace ppf::bindings {
namespace {

ElementType element_type(const Array& array, std::initializer_list<DType> allowed, const char* expected) {
  for (const DType dtype : allowed) {
    if (array.dtype() != dtype) continue;
    return dtype == DType::kUint8     ? ElementType::kUint8
           : dtype == DType::kFloat16 ? ElementType::kFloat16
                                      : ElementType::kFloat32;
  }
  throw InputTypeError(array.argument(), expected, name_of(array.dtype()));
}

// The images of a call, and what keeps them alive.
struct Images {
  std::vector<Array> planes, chroma;
  std::vector<Image> described;
  ElementType samples = ElementType::kUint8;
};

// Rows of an image may lie apart, its pixels may not.
void require_packed_rows(const Array& plane, int first_axis, int channels) {
  const int x = first_axis + 1;
  const bool pixels = plane.shape(x) <= 1 || plane.stride(x) == channels;
  const bool samples = plane.rank() == x + 1 || plane.stride(x + 1) == 1 || plane.shape(x + 1) == 1;
  if (!pixels || !samples) {
    throw InputError(plane.argument(), "pixels next to each other in each row", "other strides",
                     "make a contiguous copy of it first");
  }
}

const char* axes_of(int channels, bool is_batch) {
  if (channels == 1) return is_batch ? "[N, H, W]" : "[H, W]";
  if (channels == 2) return is_batch ? "[N, H/2, W/2, 2]" : "[H/2, W/2, 2]";
  return is_batch ? "[N, H, W, 3]" : "[H, W, 3]";
}

void check_plane(const Array& plane, int channels, bool is_batch) {
  const int first_axis = is_batch ? 1 : 0, rank = first_axis + (channels == 1 ? 2 : 3);
  if (plane.rank() != rank || (channels > 1 && plane.shape(rank - 1) != channels)) {
    throw InputError(plane.argument(), axes_of(channels, is_batch), plane.shape_text());
  }
  for (int axis = first_axis; axis < rank; ++axis) {
    if (plane.shape(axis) == 0) throw InputError(plane.argument(), "at least one pixel", plane.shape_text());
    if (plane.shape(axis) > (int64_t{1} << 24)) {
      throw InputError(plane.argument(), "sides up to 2^24 px", plane.shape_text());
    }
  }
  require_packed_rows(plane, first_axis, channels);
}

Images describe_images(const py::list& planes, const py::list& chroma, bool is_batch, Source source,
                       std::uintptr_t stream) {
  Images images;
  const int channels = source == Source::kRgb || source == Source::kBgr ? 3 : 1;
  const bool is_nv12 = source == Source::kNv12;
  for (std::size_t i = 0; i < planes.size(); ++i) {
    const std::string name = planes.size() == 1 ? "images" : "images[" + std::to_string(i) + "]";
    images.planes.push_back(Array::from(planes[i], is_nv12 ? name + " (Y)" : name, stream));
    const Array& plane = images.planes.back();
    const ElementType samples = is_nv12 ? element_type(plane, {DType::kUint8}, "uint8")
                                        : element_type(plane, {DType::kUint8, DType::kFloat32}, "uint8 or float32");
    if (i == 0) images.samples = samples;
    if (samples != images.samples) {
      throw InputTypeError(plane.argument(), std::string(name_of(images.planes[0].dtype())) + " as images[0]",
                           name_of(plane.dtype()));
    }
    check_plane(plane, channels, is_batch);
    const int y = is_batch ? 1 : 0;
    Image image;
    image.data = plane.data();
    image.height = static_cast<int32_t>(plane.shape(y));
    image.width = static_cast<int32_t>(plane.shape(y + 1));
    image.row_stride = plane.stride(y);
    if (is_nv12) {
      images.chroma.push_back(Array::from(chroma[i], name + " (UV)", stream));
      const Array& uv = images.chroma.back();
      element_type(uv, {DType::kUint8}, "uint8");
      check_plane(uv, 2, is_batch);
      if (uv.shape(y) != (image.height + 1) / 2 || uv.shape(y + 1) != (image.width + 1) / 2 ||
          (is_batch && uv.shape(0) != plane.shape(0))) {
        throw InputError(uv.argument(), "half as many rows and columns as Y " + plane.shape_text(), uv.shape_text());
      }
      image.chroma = static_cast<const uint8_t*>(uv.data());
      image.chroma_row_stride = uv.stride(y);
      common_device({&plane, &uv});
    }
    common_device({&images.planes[0], &plane});
    if (!is_batch) {
      images.described.push_back(image);
      continue;
    }
    const int64_t bytes = samples == ElementType::kUint8 ? 1 : sizeof(float);
    for (int64_t n = 0; n < plane.shape(0); ++n) {
      Image one = image;
      one.data = static_cast<const char*>(image.data) + n * plane.stride(0) * bytes;
      if (is_nv12) one.chroma = image.chroma + n * images.chroma.back().stride(0);
      images.described.push_back(one);
    }
  }
  return images;
}

// Per-channel values come in output order; the loops work in the source's.
Pixel in_source_order(const std::vector<double>& values, const CropSpec& spec) {
  Pixel pixel = {{static_cast<float>(values[0]), static_cast<float>(values[0]), static_cast<float>(values[0])}};
  for (int c = 0; c < spec.channels; ++c) pixel.channel[spec.order[c]] = static_cast<float>(values[c]);
  return pixel;
}

YuvMatrix yuv_matrix(const std::string& name) {
  // Red and blue weights of luma, as the standard of that number defines them.
  const auto [red, blue, is_full] = choose<std::array<double, 3>>("yuv", name,
                                                                  {{"bt601", {0.299, 0.114, 0.0}},
                                                                   {"bt709", {0.2126, 0.0722, 0.0}},
                                                                   {"bt601_full", {0.299, 0.114, 1.0}},
                                                                   {"bt709_full", {0.2126, 0.0722, 1.0}}});
  const double green = 1.0 - red - blue;
  const double luma_gain = is_full == 1.0 ? 1.0 : 255.0 / 219.0, chroma_gain = is_full == 1.0 ? 1.0 : 255.0 / 224.0;
  YuvMatrix matrix;
  matrix.luma_offset = is_full == 1.0 ? 0.0f : 16.0f;
  matrix.luma_gain = static_cast<float>(luma_gain);
  matrix.red_v = static_cast<float>(chroma_gain * 2.0 * (1.0 - red));
  matrix.blue_u = static_cast<float>(chroma_gain * 2.0 * (1.0 - blue));
  matrix.green_u = static_cast<float>(-chroma_gain * 2.0 * (1.0 - blue) * blue / green);
  matrix.green_v = static_cast<float>(-chroma_gain * 2.0 * (1.0 - red) * red / green);
  return matrix;
}

CropSpec crop_spec(Source source, const std::string& output, const std::string& border, const std::string& yuv,
                   const std::vector<double>& mean, const std::vector<double>& std_deviation,
                   const std::vector<double>& fill) {
  enum class Output { kRgb, kBgr, kGrey };
  const Output wanted =
      choose<Output>("output", output, {{"rgb", Output::kRgb}, {"bgr", Output::kBgr}, {"grey", Output::kGrey}});
  if (wanted == Output::kGrey && source != Source::kGrey) {
    throw InputError("output", R"("rgb" or "bgr" for a colour source)", R"("grey")");
  }
  CropSpec spec;
  spec.source = source;
  spec.border = choose<Border>("border", border, {{"constant", Border::kConstant}, {"replicate", Border::kReplicate}});
  spec.channels = wanted == Output::kGrey ? 1 : 3;
  if ((wanted == Output::kBgr) != (source == Source::kBgr)) {
    spec.order[0] = 2;
    spec.order[2] = 0;
  }
  if (wanted == Output::kGrey) spec.order[0] = 0;
  const std::size_t channels = static_cast<std::size_t>(spec.channels);
  if (mean.size() != channels || std_deviation.size() != channels || fill.size() != channels) {
    throw InputError("mean", "one value per output channel for mean, std and fill", std::to_string(mean.size()));
  }
  std::vector<double> gain(channels), bias(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    gain[c] = 1.0 / std_deviation[c];
    bias[c] = -mean[c] / std_deviation[c];
  }
  spec.gain = in_source_order(gain, spec);
  spec.bias = in_source_order(bias, spec);
  spec.fill = in_source_order(fill, spec);
  spec.yuv = yuv_matrix(yuv);
  return spec;
}

CropTarget crop_target(const Array& pixels, int64_t count, int channels, bool is_nhwc) {
  pixels.require_writable();
  if (pixels.rank() != 4 || pixels.shape(0) != count || pixels.shape(is_nhwc ? 3 : 1) != channels) {
    throw InputError(pixels.argument(), is_nhwc ? "[P, h, w, C]" : "[P, C, h, w]", pixels.shape_text());
  }
  CropTarget target;
  target.data = pixels.data();
  target.type = element_type(pixels, {DType::kUint8, DType::kFloat16, DType::kFloat32}, "uint8, float16 or float32");
  target.count = count;
  const int y = is_nhwc ? 1 : 2;
  target.height = static_cast<int32_t>(pixels.shape(y));
  target.width = static_cast<int32_t>(pixels.shape(y + 1));
  target.crop_stride = pixels.stride(0);
  target.channel_stride = pixels.stride(is_nhwc ? 3 : 1);
  target.row_stride = pixels.stride(y);
  target.column_stride = pixels.stride(y + 1);
  return target;
}

void crop(const py::list& planes, const py::list& chroma, bool is_batch, const py::object& affines,
          const py::object& image_index, const py::object& out, const py::object& inverse, const std::string& source,
          const std::string& output, bool is_nhwc, const std::vector<double>& mean,
          const std::vector<double>& std_deviation, const std::string& border, const std::vector<double>& fill,
          const std::string& yuv, int threads, std::uintptr_t stream) {
  const Source kind =
      choose<Source>("source", source,
                     {{"rgb", Source::kRgb}, {"bgr", Source::kBgr}, {"grey", Source::kGrey}, {"nv12", Source::kNv12}});
  CropSpec spec = crop_spec(kind, output, border, yuv, mean, std_deviation, fill);
  const Images images = describe_images(planes, chroma, is_batch, kind, stream);
  spec.samples = images.samples;
  const Array matrices = Array::from(affines, "affines", stream);
  const Array pixels = Array::from(out, "out", stream), inverses = Array::from(inverse, "inverse", stream);
  const View<const double, 3> positions = matrices.in<double, 3>("[P, 2, 3]");
  const int64_t count = positions.size[0];
  require_shape(matrices, {count, 2, 3});
  require_shape(inverses, {count, 2, 3});
  std::optional<Array> indices;
  View<const int32_t, 1> index;
  if (!image_index.is_none()) {
    indices.emplace(Array::from(image_index, "image_index", stream));
    index = indices->in<int32_t, 1>("[P]");
    require_shape(*indices, {count});
  }
  const Device device = common_device({&pixels, &matrices, &inverses, indices ? &*indices : nullptr,
                                       images.planes.empty() ? nullptr : &images.planes[0]});
  const CropTarget target = crop_target(pixels, count, spec.channels, is_nhwc);
  for (const Array& plane : images.planes) require_no_overlap(pixels, plane);
  const View<double, 3> inverse_view = inverses.out<double, 3>("[P, 2, 3]");
  const ImageTable table{images.described.data(), static_cast<int64_t>(images.described.size())};
  const py::gil_scoped_release nogil;
  ops::crop(spec, table, positions, index, target, inverse_view, threads, device);
}

void region_affines(const py::object& first, const py::object& second, const py::object& affine,
                    const py::object& inverse, const py::object& angle_rad, const py::object& mirror,
                    const std::string& argument, const std::string& kind, int height, int width, double padding,
                    const std::string& fit, const std::string& alignment, double unit_px, double reach,
                    const std::array<int, 2>& reference, bool is_top_left, std::uintptr_t stream) {
  AffineSpec spec;
  spec.kind = choose<RegionKind>("kind", kind,
                                 {{"box", RegionKind::kBox},
                                  {"scale", RegionKind::kScale},
                                  {"joint", RegionKind::kJoint},
                                  {"axis", RegionKind::kAxis},
                                  {"letterbox", RegionKind::kLetterbox}});
  spec.alignment = choose<Alignment>(
      "alignment", alignment,
      {{"half_pixel", Alignment::kHalfPixel}, {"corner", Alignment::kCorner}, {"udp", Alignment::kUdp}});
  spec.fit = choose<Fit>("fit", fit, {{"expand", Fit::kExpand}, {"stretch", Fit::kStretch}});
  spec.padding = padding;
  spec.unit_px = unit_px;
  spec.reach = reach;
  spec.top_left = is_top_left;
  spec.height = height;
  spec.width = width;

  const Array sources = Array::from(first, argument, stream);
  const Array affines = Array::from(affine, "affine", stream), inverses = Array::from(inverse, "inverse", stream);
  RegionSource source;
  int64_t count = sources.rank() > 0 ? sources.shape(0) : 0;
  if (spec.kind == RegionKind::kJoint) {
    source.points = sources.in<double, 3>("[B, K, 2]");
    require_shape(sources, {count, source.points.size[1], 2});
    count *= source.points.size[1];
    for (int i = 0; i < 2; ++i) {
      if (reference[i] < 0 || reference[i] >= source.points.size[1]) {
        throw InputError("reference", "joints below " + std::to_string(source.points.size[1]),
                         std::to_string(reference[i]));
      }
      spec.reference[i] = reference[i];
    }
  } else {
    source.first = sources.in<double, 2>("[P, ...]");
    require_shape(sources, {count, spec.kind == RegionKind::kBox ? 4 : 2});
  }
  std::optional<Array> others, angles, mirrors;
  if (spec.kind == RegionKind::kScale || spec.kind == RegionKind::kAxis) {
    others.emplace(Array::from(second, spec.kind == RegionKind::kScale ? "scales" : "ends", stream));
    if (others->rank() == 1) {
      const View<const double, 1> same = others->in<double, 1>("[P]");
      require_shape(*others, {count});
      source.second = {same.data, {count, 2}, {same.stride[0], 0}};
    } else {
      source.second = others->in<double, 2>("[P, 2]");
      require_shape(*others, {count, 2});
    }
  }
  if (!angle_rad.is_none()) {
    angles.emplace(Array::from(angle_rad, "angle_rad", stream));
    spec.angle_rad = angles->in<double, 1>("[P]");
    require_shape(*angles, {count});
  }
  if (!mirror.is_none()) {
    mirrors.emplace(Array::from(mirror, "mirror", stream));
    spec.mirror = mirrors->in<uint8_t, 1>("[P]");
    require_shape(*mirrors, {count});
  }
  require_shape(affines, {count, 2, 3});
  require_shape(inverses, {count, 2, 3});
  const Device device = common_device({&affines, &inverses, &sources, others ? &*others : nullptr,
                                       angles ? &*angles : nullptr, mirrors ? &*mirrors : nullptr});
  const View<double, 3> affine_view = affines.out<double, 3>("[P, 2, 3]");
  const View<double, 3> inverse_view = inverses.out<double, 3>("[P, 2, 3]");
  const py::gil_scoped_release nogil;
  ops::region_affines(spec, source, affine_view, inverse_view, argument, device);
}

void transform_points(const py::object& points, const py::object& affines, const py::object& out,
                      std::uintptr_t stream) {
  const Array from = Array::from(points, "points", stream), matrices = Array::from(affines, "affines", stream);
  const Array to = Array::from(out, "out", stream);
  const View<const float, 3> input = from.in<float, 3>("[P, K, 2]");
  require_shape(from, {input.size[0], input.size[1], 2});
  require_shape(matrices, {input.size[0], 2, 3});
  require_shape(to, {input.size[0], input.size[1], 2});
  if (to.data() != from.data()) require_no_overlap(to, from);
  const Device device = common_device({&from, &matrices, &to});
  const View<const double, 3> matrix_view = matrices.in<double, 3>("[P, 2, 3]");
  const View<float, 3> output = to.out<float, 3>("[P, K, 2]");
  const py::gil_scoped_release nogil;
  ops::transform_points(input, matrix_view, output, device);
}

}  // namespace

void register_crop(py::module_& m) {
  m.def("crop", &crop, "planes"_a, "chroma"_a, "is_batch"_a, "affines"_a, "image_index"_a, "out"_a, "inverse"_a,
        py::kw_only(), "source"_a, "output"_a, "is_nhwc"_a, "mean"_a, "std"_a, "border"_a, "fill"_a, "yuv"_a,
        "threads"_a, "stream"_a);
  m.def("region_affines", &region_affines, "first"_a, "second"_a, "affine"_a, "inverse"_a, "angle_rad"_a, "mirror"_a,
        py::kw_only(), "argument"_a, "kind"_a, "height"_a, "width"_a, "padding"_a, "fit"_a, "alignment"_a, "unit_px"_a,
        "reach"_a, "reference"_a, "is_top_left"_a, "stream"_a);
  m.def("transform_points", &transform_points, "points"_a, "affines"_a, "out"_a, py::kw_only(), "stream"_a);
}

}  // namespace ppf::bindings

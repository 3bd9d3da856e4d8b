// One pixel of a crop: where it lies in the image, what colour that is, which number goes out.
#pragma once

#include <cstdint>

#include "core/elementary.h"
#include "core/half.h"
#include "core/host_device.h"
#include "core/sampling.h"

namespace ppf {

enum class ElementType : int32_t { kUint8, kFloat16, kFloat32 };

struct CropSpec {
  Source source = Source::kRgb;
  ElementType samples = ElementType::kUint8;  // of the images: kUint8 or kFloat32
  Border border = Border::kConstant;
  int32_t channels = 3;          // of the output: 3, or 1 for grey
  int32_t order[3] = {0, 1, 2};  // output channel c is source channel order[c]
  Pixel fill = {{0, 0, 0}};      // in source order and units
  Pixel gain = {{1, 1, 1}};      // output = colour * gain + bias, both in source order
  Pixel bias = {{0, 0, 0}};
  YuvMatrix yuv = {16, 1, 1, 1, 1, 1};
};

// Images a call may refer to: `count` images described one by one, or a batch with a constant distance between them.
struct ImageTable {
  const Image* images = nullptr;  // on the host
  int64_t count = 0;
};

// Where crops go: [P, channels, height, width] of any strides (in elements), so NCHW or NHWC.
struct CropTarget {
  void* data = nullptr;
  ElementType type = ElementType::kFloat32;
  int64_t count = 0;
  int32_t height = 0, width = 0;
  int64_t crop_stride = 0, channel_stride = 0, row_stride = 0, column_stride = 0;
};

// What a crop shows when its affine is unusable or names no image.
PPF_HD Pixel empty_pixel(const CropSpec& spec) {
  Pixel result;
  for (int c = 0; c < 3; ++c) {
    result.channel[c] = spec.fill.channel[c] * spec.gain.channel[c] + spec.bias.channel[c];
  }
  return result;
}

// The colour of crop pixel (v, u), normalised, in source channel order.
template <class Sample>
PPF_HD Pixel crop_pixel(const CropSpec& spec, const Image& image, const FixedAffine& position, int v, int u) {
  const Tap x = tap_at(position.x + position.x_along_u * u + position.x_along_v * v);
  const Tap y = tap_at(position.y + position.y_along_u * u + position.y_along_v * v);
  // All four taps outside: blending equal colours would give the same bits.
  const bool is_beyond = x.index < -1 || x.index >= image.width || y.index < -1 || y.index >= image.height;
  if (is_beyond && spec.border == Border::kConstant) return empty_pixel(spec);
  const Pixel p00 = read_bordered<Sample>(image, spec.source, spec.yuv, spec.border, spec.fill, y.index, x.index);
  const Pixel p01 = read_bordered<Sample>(image, spec.source, spec.yuv, spec.border, spec.fill, y.index, x.index + 1);
  const Pixel p10 = read_bordered<Sample>(image, spec.source, spec.yuv, spec.border, spec.fill, y.index + 1, x.index);
  const Pixel p11 =
      read_bordered<Sample>(image, spec.source, spec.yuv, spec.border, spec.fill, y.index + 1, x.index + 1);
  Pixel result;
  for (int c = 0; c < 3; ++c) {
    const float left = lerp(p00.channel[c], p10.channel[c], y.fraction);
    const float right = lerp(p01.channel[c], p11.channel[c], y.fraction);
    result.channel[c] = lerp(left, right, x.fraction) * spec.gain.channel[c] + spec.bias.channel[c];
  }
  return result;
}

PPF_HD uint8_t to_byte(float value) { return static_cast<uint8_t>(round_to_even(clamp_to_byte(value))); }

PPF_HD void store_element(void* data, ElementType type, int64_t offset, float value) {
  if (type == ElementType::kFloat32) {
    static_cast<float*>(data)[offset] = value;
  } else if (type == ElementType::kFloat16) {
    static_cast<Half*>(data)[offset] = to_half(value);
  } else {
    static_cast<uint8_t*>(data)[offset] = to_byte(value);
  }
}

PPF_HD void store_pixel(const CropSpec& spec, const CropTarget& out, int64_t p, int v, int u, const Pixel& pixel) {
  const int64_t offset = p * out.crop_stride + v * out.row_stride + u * out.column_stride;
  for (int c = 0; c < spec.channels; ++c) {
    store_element(out.data, out.type, offset + c * out.channel_stride, pixel.channel[spec.order[c]]);
  }
}

}  // namespace ppf

// Reading an image between its pixels: bilinear, with a border rule.
#pragma once

#include <cstdint>

#include "core/affine.h"
#include "core/elementary.h"
#include "core/host_device.h"

namespace ppf {

enum class Source : int32_t { kRgb, kBgr, kGrey, kNv12 };  // kRgb and kBgr: three channels, in memory order
enum class Border : int32_t { kConstant, kReplicate };

// One image. Strides are in samples; within a row, pixels are contiguous.
struct Image {
  const void* data = nullptr;       // [height, width, channels] uint8 or float32; NV12: the Y plane
  const uint8_t* chroma = nullptr;  // NV12: [height / 2, width / 2, 2], U then V
  int64_t row_stride = 0, chroma_row_stride = 0;
  int32_t height = 0, width = 0;
};

// Y'CbCr -> R'G'B', for samples 0..255.
struct YuvMatrix {
  float luma_offset, luma_gain, red_v, green_u, green_v, blue_u;
};

struct Pixel {
  float channel[3];
};

PPF_HD float clamp_to_byte(float value) {
  value = value > 0.0f ? value : 0.0f;
  return value < 255.0f ? value : 255.0f;
}

// The pixel (y, x), which must be inside, in the source's channel order; grey fills all three channels.
template <class Sample>
PPF_HD Pixel read_pixel(const Image& image, Source source, const YuvMatrix& yuv, int y, int x) {
  const Sample* row = static_cast<const Sample*>(image.data) + y * image.row_stride;
  if (source == Source::kGrey) {
    const float grey = static_cast<float>(row[x]);
    return {{grey, grey, grey}};
  }
  if (source == Source::kNv12) {
    const uint8_t* uv = image.chroma + (y >> 1) * image.chroma_row_stride + (x >> 1) * 2;
    const float luma = (static_cast<float>(row[x]) - yuv.luma_offset) * yuv.luma_gain;
    const float u = static_cast<float>(uv[0]) - 128.0f, v = static_cast<float>(uv[1]) - 128.0f;
    return {{clamp_to_byte(luma + yuv.red_v * v), clamp_to_byte(luma + (yuv.green_u * u + yuv.green_v * v)),
             clamp_to_byte(luma + yuv.blue_u * u)}};
  }
  const Sample* pixel = row + static_cast<int64_t>(x) * 3;
  return {{static_cast<float>(pixel[0]), static_cast<float>(pixel[1]), static_cast<float>(pixel[2])}};
}

// Columns are blended first and rows second, everywhere: the CPU keeps blended rows and must get the same bits.
PPF_HD float lerp(float from, float to, float t) { return from + t * (to - from); }

// A position in an image, as a whole pixel and the way to the next one.
struct Tap {
  int32_t index;
  float fraction;  // [0, 1)
};

// Positions are 32.32 fixed point. A float would lose 1e-4 px at the far side of a 1080p frame, a double is slow on
// most GPUs, and integer sums are the same bits on every processor in every order.
using Fixed = int64_t;

PPF_HD Tap tap_at(Fixed position) {
  Tap tap;
  tap.index = static_cast<int32_t>(position >> 32);
  tap.fraction = static_cast<float>(static_cast<int32_t>(static_cast<uint32_t>(position) >> 8)) * (1.0f / 16777216.0f);
  return tap;
}

// The inverse affine of a crop in fixed point: position(u, v) = origin + u * along_u + v * along_v.
struct FixedAffine {
  Fixed x, x_along_u, x_along_v, y, y_along_u, y_along_v;
  bool usable;  // false: not finite, or it leaves the range in which positions are exact
};

PPF_HD Fixed to_fixed(double value) { return static_cast<Fixed>(floor(value * 4294967296.0 + kHalf)); }

PPF_HD FixedAffine fixed_affine(const Affine& inverse, int crop_height, int crop_width) {
  constexpr double kFar = 1 << 30;
  const double reach_x = fabs(inverse.a) * crop_width + fabs(inverse.b) * crop_height + fabs(inverse.c);
  const double reach_y = fabs(inverse.d) * crop_width + fabs(inverse.e) * crop_height + fabs(inverse.f);
  if (!(reach_x < kFar && reach_y < kFar)) return {0, 0, 0, 0, 0, 0, false};
  return {to_fixed(inverse.c),
          to_fixed(inverse.a),
          to_fixed(inverse.b),
          to_fixed(inverse.f),
          to_fixed(inverse.d),
          to_fixed(inverse.e),
          true};
}

// A tap of the border rule: outside pixels are the fill colour or the nearest inside pixel.
template <class Sample>
PPF_HD Pixel read_bordered(const Image& image, Source source, const YuvMatrix& yuv, Border border, const Pixel& fill,
                           int y, int x) {
  const bool inside = y >= 0 && y < image.height && x >= 0 && x < image.width;
  if (!inside && border == Border::kConstant) return fill;
  return read_pixel<Sample>(image, source, yuv, clamp_to(y, 0, image.height - 1), clamp_to(x, 0, image.width - 1));
}

}  // namespace ppf

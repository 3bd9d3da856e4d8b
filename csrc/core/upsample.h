// A map up-sampled eight times, one pixel at a time: cubic convolution with a = -0.75, half-pixel centres and a clamped
// border. Writing it out whole would be 64 times the bytes, most of them never read.
#pragma once

#include <cstdint>

#include "core/elementary.h"
#include "core/host_device.h"
#include "core/peaks.h"

namespace ppf {

constexpr int kUpsample = 8;

// Between the pixels of the map and those of the up-sampled one, whose centres are both whole numbers.
PPF_HD float to_upsampled(float place) { return (place + 0.5f) * kUpsample - 0.5f; }
PPF_HD float from_upsampled(float place) { return (place + 0.5f) * (1.0f / kUpsample) - 0.5f; }

// The four samples that an up-sampled pixel mixes, and how much of each.
struct Taps {
  int32_t first;  // the one before the pixel's left neighbour; may be outside of the map
  float weight[4];
};

PPF_HD float cubic_near(float d) { return (1.25f * d - 2.25f) * d * d + 1.0f; }           // d <= 1
PPF_HD float cubic_far(float d) { return ((-0.75f * d + 3.75f) * d - 6.0f) * d + 3.0f; }  // 1 < d <= 2

PPF_HD Taps taps_of(int32_t pixel) {
  // In sixteenths of a map pixel: the place is (2 pixel + 1) / 16 - 1/2, exactly.
  const int32_t sixteenths = 2 * pixel + 1 - kUpsample + 16;
  const int32_t before = (sixteenths >> 4) - 1;
  const float t = static_cast<float>(sixteenths & 15) * (1.0f / 16);
  return {before - 1, {cubic_far(1.0f + t), cubic_near(t), cubic_near(1.0f - t), cubic_far(2.0f - t)}};
}

// From the outside in, so that a mirrored map gives the mirrored result to the last bit.
PPF_HD float mixed(const float* weight, float a, float b, float c, float d) {
  return (weight[0] * a + weight[3] * d) + (weight[1] * b + weight[2] * c);
}

template <class T>
PPF_HD float upsampled_value(const Map<T>& map, int32_t y, int32_t x) {
  const Taps across = taps_of(x), down = taps_of(y);
  float rows[4];
  for (int i = 0; i < 4; ++i) {
    const int32_t row = clamp_to(down.first + i, 0, map.height - 1);
    rows[i] = mixed(across.weight, map.raw(row, clamp_to(across.first, 0, map.width - 1)),
                    map.raw(row, clamp_to(across.first + 1, 0, map.width - 1)),
                    map.raw(row, clamp_to(across.first + 2, 0, map.width - 1)),
                    map.raw(row, clamp_to(across.first + 3, 0, map.width - 1)));
  }
  return mixed(down.weight, rows[0], rows[1], rows[2], rows[3]);
}

}  // namespace ppf

// The peaks of a few maps with what is known of them, one array per quantity, so that loops over them become vector
// code. Included by loops only, so each instruction set has its own.
#pragma once

#include <cstdint>

#include "core/shoulders.h"
#include "ops/scratch.h"

namespace ppf::loops::PPF_ISA {
namespace {

struct PeakTable {
  typedef int64_t Offset __attribute__((aligned(sizeof(int32_t))));

  Offset* map;      // where the map begins, in samples from the first one of all
  int32_t* sample;  // y * width + x
  int32_t *y, *x;
  float* score;
  float *west, *east, *north, *south;  // the samples beside them, as weights
  float *place_y, *place_x;
  Flanks *flanks_y, *flanks_x;   // of their blobs
  uint32_t* inside;              // which samples around them are in the map
  int32_t *shoulder, *leans_on;  // those of one map: their samples and their peaks
  int32_t* rises;                // 32 words for each of them
  int32_t count = 0;

  PeakTable(uint32_t* scratch, int64_t column) {
    const auto words = [&](int which) { return reinterpret_cast<int32_t*>(scratch + which * column); };
    const auto floats = [&](int which) { return reinterpret_cast<float*>(scratch + which * column); };
    map = reinterpret_cast<Offset*>(words(0));
    flanks_y = reinterpret_cast<Flanks*>(words(2)), flanks_x = reinterpret_cast<Flanks*>(words(4));
    sample = words(6), y = words(7), x = words(8);
    score = floats(9), west = floats(10), east = floats(11), north = floats(12), south = floats(13);
    place_y = floats(14), place_x = floats(15);
    inside = scratch + 16 * column;
    shoulder = words(17), leans_on = words(18);
    rises = words(19);
    static_assert(FindScratch::kColumns == 19 + 32, "one for each of these words");
  }

  Blob blob(int32_t m) const { return {x[m], y[m], score[m], flanks_x[m], flanks_y[m]}; }

  // From the maps and samples to all that is known of the peaks before they are refined. In loops that have nothing to
  // decide, since most time goes by here waiting for memory.
  template <class T>
  void read(const MapView& maps, bool logits) const {
    const T* const data = static_cast<const T*>(maps.data);
    const int32_t height = maps.height, width = maps.width, step = width > 1 ? 1 : 0, drop = height > 1 ? 1 : 0;
    const int64_t stride_y = maps.stride_y, stride_x = maps.stride_x;
    // Division of whole vectors; that of integers would go one by one. Below 2^31, doubles are exact enough.
    const double per_width = 1.0 / width;
    for (int32_t i = 0; i < count; ++i) y[i] = static_cast<int32_t>((sample[i] + 0.5) * per_width);
    for (int32_t i = 0; i < count; ++i) x[i] = sample[i] - y[i] * width;
    for (int32_t i = 0; i < count; ++i) {
      const int64_t at = map[i] + y[i] * stride_y + x[i] * stride_x;
      // As beside() has it at the border.
      const int64_t to_west = x[i] > 0 ? -1 : step, to_east = x[i] < width - 1 ? 1 : -step;
      const int64_t to_north = y[i] > 0 ? -1 : drop, to_south = y[i] < height - 1 ? 1 : -drop;
      score[i] = to_float(data[at]);
      west[i] = to_float(data[at + to_west * stride_x]);
      east[i] = to_float(data[at + to_east * stride_x]);
      north[i] = to_float(data[at + to_north * stride_y]);
      south[i] = to_float(data[at + to_south * stride_y]);
    }
    for (float* const samples : {score, west, east, north, south}) {
      if (logits) apply_sigmoid(samples);
      if (samples != score) make_weights(samples);
    }
  }

 private:
  void apply_sigmoid(float* samples) const {
    for (int32_t i = 0; i < count; ++i) samples[i] = is_finite(samples[i]) ? sigmoid(samples[i]) : samples[i];
  }

  void make_weights(float* samples) const {
    for (int32_t i = 0; i < count; ++i) samples[i] = is_finite(samples[i]) ? samples[i] : 0.0f;
  }
};

}  // namespace
}  // namespace ppf::loops::PPF_ISA

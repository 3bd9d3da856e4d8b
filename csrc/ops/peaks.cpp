#include "core/peaks.h"

#include <cmath>
#include <cstdlib>

#include "core/blur.h"
#include "loops/loops.h"
#include "ops/checks.h"
#include "ops/error.h"
#include "ops/ops.h"
#include "ops/parallel.h"
#include "ops/run_on.h"
#include "ops/scratch.h"

namespace ppf::ops {
namespace {

// OpenCV's Gaussian for a kernel size alone, which is what the published decoders were measured with.
void fill_gaussian(int kernel, float* weights) {
  const double sigma = 0.3 * ((kernel - 1) * 0.5 - 1.0) + 0.8;
  const int radius = kernel / 2;
  double half[kMaxKernel / 2 + 1];  // from the middle outwards
  double total = 0.0;
  for (int distance = 0; distance <= radius; ++distance) {
    half[distance] = std::exp(-distance * distance / (2.0 * sigma * sigma));
    total += distance == 0 ? half[0] : 2.0 * half[distance];
  }
  for (int t = 0; t < kernel; ++t) weights[t] = static_cast<float>(half[std::abs(t - radius)] / total);
}

void check_kernel(int kernel) {
  if (kernel < 3 || kernel > kMaxKernel || kernel % 2 == 0) {
    throw InputError("kernel", "an odd number of taps from 3 to " + std::to_string(kMaxKernel), std::to_string(kernel));
  }
}

void check_threshold(float threshold) {
  if (!is_finite(threshold)) throw InputError("threshold", "a finite number", std::to_string(threshold));
}

// Decides for raw samples what a threshold on their sigmoids would.
int32_t threshold_key(float threshold, bool logits) {
  if (!logits) return order_key(threshold);
  if (threshold < 0.0f) return kNever;
  if (threshold >= 1.0f) return INT32_MAX;
  return order_key(static_cast<float>(std::log(threshold / (1.0 - threshold))));
}

// Per thread, what the CPU loop of the second peak keeps: a ring of blurred rows and one row with both paddings.
int64_t second_peak_words(const MapView& maps) {
  const int64_t padded = int64_t{maps.width} + 2 * kSecondPeakPad;
  return kSecondPeakTaps * padded + padded + 2 * kSecondPeakPad;
}

}  // namespace

void check_maps(const MapView& maps, const Device& device, const char* argument) {
  if (maps.k == 0 || maps.height == 0 || maps.width == 0) {
    throw InputError(
        argument, "at least one channel, row and column",
        std::to_string(maps.k) + " channels of " + std::to_string(maps.height) + " x " + std::to_string(maps.width));
  }
  // Raster indices are 32 bits wide, with room for the padding of the rule that needs most.
  const int64_t samples = (int64_t{maps.height} + 2 * kSecondPeakPad) * (int64_t{maps.width} + 2 * kSecondPeakPad);
  if (samples > INT32_MAX) {
    throw InputError(argument, "fewer than 2^31 samples in a map",
                     std::to_string(maps.height) + " x " + std::to_string(maps.width));
  }
  if (device.kind == Device::kCuda && maps.n * maps.k > INT32_MAX) {
    throw InputError(argument, "fewer than 2^31 maps", std::to_string(maps.n * maps.k), "split the batch");
  }
}

PeakSpec peak_spec(Refine refine, float threshold, bool logits, int kernel, float offset_scale) {
  check_threshold(threshold);
  if (!is_finite(offset_scale)) throw InputError("offset_scale", "a finite number", std::to_string(offset_scale));
  PeakSpec spec;
  spec.refine = refine;
  spec.threshold_key = threshold_key(threshold, logits);
  spec.logits = logits;
  spec.kernel = refine == Refine::kSecondPeak ? kSecondPeakTaps : kernel;
  spec.offset_scale = offset_scale;
  check_kernel(spec.kernel);
  if (reads_blurred(refine) || refine == Refine::kSecondPeak) fill_gaussian(spec.kernel, spec.weights);
  return spec;
}

SimccSpec simcc_spec(Refine refine, SimccScore score, float bins_per_pixel, float threshold, int kernel) {
  check_threshold(threshold);
  check_kernel(kernel);
  if (!(bins_per_pixel > 0.0f) || !is_finite(bins_per_pixel)) {
    throw InputError("split", "a number above 0", std::to_string(bins_per_pixel));
  }
  if (refine != Refine::kNone && refine != Refine::kLogParabola && refine != Refine::kDark) {
    throw InputError("refine", "one of none, log_parabola, dark for SimCC vectors", "a rule for maps");
  }
  SimccSpec spec;
  spec.refine = refine;
  spec.score = score;
  spec.bins_per_pixel = bins_per_pixel;
  spec.threshold = threshold;
  spec.kernel = kernel;
  fill_gaussian(kernel, spec.weights);
  return spec;
}

int64_t best_peaks_scratch(const PeakSpec& spec, const MapView& maps, int threads, const Device& device) {
  if (spec.refine != Refine::kSecondPeak || device.kind == Device::kCuda) return 0;
  return second_peak_words(maps) * thread_count(threads, maps.n * maps.k);
}

void best_peaks(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const BestPeaks& out,
                const View<float, 1>& scratch, int threads, const Device& device) {
  check_maps(maps, device);
  check_scratch(scratch.size[0], best_peaks_scratch(spec, maps, threads, device));
  if (maps.n == 0) return;
  run_on(
      device,
      [&] {
        const int64_t share = second_peak_words(maps);
        parallel_for(maps.n * maps.k, threads, [&](int64_t first, int64_t last, int thread) {
          loops::table().best_peaks(spec, maps, offsets, out, scratch.data + thread * share, first, last);
        });
      },
      [&](const auto& gpu) { gpu.best_peaks(spec, maps, offsets, out); });
}

int64_t find_peaks_scratch(const MapView& maps, int capacity, int threads, const Device& device) {
  int64_t words = FindScratch(maps, capacity).words() * thread_count(threads, maps.n * maps.k);
  run_on(device, [] {}, [&](const auto& gpu) { words = gpu.find_peaks_scratch(maps) * maps.n * maps.k; });
  return words;
}

void find_peaks(const PeakSpec& spec, const MapView& maps, const OffsetView& offsets, const PeakLists& out,
                const View<int32_t, 1>& scratch, int threads, const Device& device) {
  check_maps(maps, device);
  if (out.capacity < 1 || out.capacity > kMaxCapacity) {
    throw InputError("capacity", "a number from 1 to " + std::to_string(kMaxCapacity), std::to_string(out.capacity));
  }
  if (spec.refine == Refine::kSecondPeak) {
    throw InputError("refine", "a rule for several peaks per map", "second_peak",
                     "it knows only one person: use best_peaks");
  }
  check_scratch(scratch.size[0], find_peaks_scratch(maps, out.capacity, threads, device));
  if (maps.n == 0) return;
  uint32_t* const words = reinterpret_cast<uint32_t*>(scratch.data);
  run_on(
      device,
      [&] {
        const int64_t share = FindScratch(maps, out.capacity).words();
        parallel_for(maps.n * maps.k, threads, [&](int64_t first, int64_t last, int thread) {
          loops::table().find_peaks(spec, maps, offsets, out, words + thread * share, first, last);
        });
      },
      [&](const auto& gpu) { gpu.find_peaks(spec, maps, offsets, out, words); });
}

void decode_simcc(const SimccSpec& spec, const VectorView& x, const VectorView& y, const BestPeaks& out, int threads,
                  const Device& device) {
  if (x.n != y.n || x.k != y.k) {
    throw InputError("y", "[" + std::to_string(x.n) + ", " + std::to_string(x.k) + ", bins] as x has",
                     "[" + std::to_string(y.n) + ", " + std::to_string(y.k) + ", bins]");
  }
  if (x.is_half != y.is_half) {
    throw InputTypeError("y", x.is_half ? "float16 as x" : "float32 as x", y.is_half ? "float16" : "float32");
  }
  for (const VectorView* vectors : {&x, &y}) {
    if (vectors->k == 0 || vectors->length == 0) {
      throw InputError(vectors == &x ? "x" : "y", "at least one joint and one bin", "none");
    }
  }
  if (x.n == 0) return;
  run_on(
      device,
      [&] {
        parallel_for(x.n * x.k, threads, [&](int64_t first, int64_t last, int) {
          loops::table().decode_simcc(spec, x, y, out, first, last);
        });
      },
      [&](const auto& gpu) { gpu.decode_simcc(spec, x, y, out); });
}

void average_flip(const MapView& maps, const MapView& flipped, const FlipPairs& pairs, bool shift, const MapTarget& out,
                  int threads, const Device& device) {
  check_maps(maps, device);
  if (maps.k > kMaxFlipChannels) {
    throw InputError("maps", "at most " + std::to_string(kMaxFlipChannels) + " channels", std::to_string(maps.k));
  }
  for (int64_t k = 0; k < maps.k; ++k) {
    if (pairs.partner[k] < 0 || pairs.partner[k] >= maps.k) {
      throw InputError("pairs", "channels below " + std::to_string(maps.k), std::to_string(pairs.partner[k]));
    }
  }
  if (maps.n == 0) return;
  run_on(
      device,
      [&] {
        parallel_for(maps.n * maps.k, threads, [&](int64_t first, int64_t last, int) {
          loops::table().average_flip(maps, flipped, pairs, shift, out, first, last);
        });
      },
      [&](const auto& gpu) { gpu.average_flip(maps, flipped, pairs, shift, out); });
}

}  // namespace ppf::ops

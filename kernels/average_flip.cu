// Flip-test averaging: one thread per sample.
#include "core/flip.h"
#include "kernels/launch.cuh"
#include "kernels/launch.h"

namespace ppf::kernels {
namespace {

template <class T>
struct AverageFlip {
  MapView maps, flipped;
  FlipPairs pairs;
  bool shift;
  MapTarget out;
  __device__ void operator()(int64_t i) const {
    const int x = static_cast<int>(i % maps.width), y = static_cast<int>(i / maps.width % maps.height);
    const int64_t map = i / maps.width / maps.height, n = map / maps.k, k = map % maps.k;
    const T straight =
        static_cast<const T*>(maps.data)[n * maps.stride_n + k * maps.stride_k + y * maps.stride_y + x * maps.stride_x];
    const T mirrored = static_cast<const T*>(
        flipped.data)[n * flipped.stride_n + pairs.partner[k] * flipped.stride_k + y * flipped.stride_y +
                      mirrored_column(x, maps.width, shift) * flipped.stride_x];
    static_cast<T*>(out.data)[n * out.stride_n + k * out.stride_k + y * out.stride_y + x * out.stride_x] =
        flip_mean(straight, mirrored);
  }
};

}  // namespace

void Launcher::average_flip(const MapView& maps, const MapView& flipped, const FlipPairs& pairs, bool shift,
                            const MapTarget& out) const {
  const DeviceScope scope(device.index);
  const int64_t samples = maps.n * maps.k * maps.height * maps.width;
  if (maps.is_half) {
    for_each("average_flip", samples, stream_of(device), AverageFlip<Half>{maps, flipped, pairs, shift, out});
  } else {
    for_each("average_flip", samples, stream_of(device), AverageFlip<float>{maps, flipped, pairs, shift, out});
  }
}

}  // namespace ppf::kernels

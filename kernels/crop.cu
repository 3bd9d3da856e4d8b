// Crops, affines and points: one thread per output.
#include <algorithm>

#include "kernels/launch.cuh"
#include "kernels/launch.h"

namespace ppf::kernels {
namespace {

struct WriteRegionAffine {
  AffineSpec spec;
  RegionSource source;
  View<double, 3> affines;   // [P, 2, 3]
  View<double, 3> inverses;  // [P, 2, 3]
  __device__ void operator()(int64_t p) const { write_region_affine(spec, source, p, affines, inverses); }
};

struct InvertAffine {
  View<const double, 3> affines;  // [P, 2, 3]
  View<double, 3> inverses;       // [P, 2, 3]
  __device__ void operator()(int64_t p) const { store_affine(inverses, p, inverse_of(load_affine(affines, p))); }
};

struct TransformPoint {
  View<const float, 3> points;    // [P, K, 2]
  View<const double, 3> affines;  // [P, 2, 3]
  View<float, 3> out;             // [P, K, 2]
  __device__ void operator()(int64_t i) const {
    const int64_t p = i / points.size[1], k = i % points.size[1];
    transform_point(load_affine(affines, p), points(p, k, 0), points(p, k, 1), out(p, k, 0), out(p, k, 1));
  }
};

// Descriptions of images travel as a kernel parameter, whose size is limited to 4 KB: ops may neither allocate on the
// device nor leave host memory behind that a later copy would read.
constexpr int kImagesPerLaunch = 64;

struct ImageBlock {
  Image images[kImagesPerLaunch];
  int64_t first = 0;  // index of images[0]
  int64_t count = 0;  // how many of them are real
  int64_t total = 0;  // images of the whole call
};

struct CropWork {
  CropSpec spec;
  View<const double, 3> inverses;      // [P, 2, 3]
  View<const int32_t, 1> image_index;  // [P] or empty
  CropTarget out;
};

// A block computes 32 x 8 pixels of one crop: a warp writes 32 neighbours of a row, and its reads, which follow the
// affine, stay close together too. The inverse affine is put into fixed point once per block, for it is the only use of
// doubles.
constexpr int kTileWidth = 32, kTileHeight = 8;

template <class Sample>
__global__ void __launch_bounds__(kTileWidth* kTileHeight) crop_kernel(CropWork work, ImageBlock block) {
  PPF_SHARED(FixedAffine, position);
  const CropTarget& out = work.out;
  const int v = static_cast<int>(blockIdx.y) * kTileHeight + static_cast<int>(threadIdx.y);
  const int u = static_cast<int>(blockIdx.x) * kTileWidth + static_cast<int>(threadIdx.x);
  for (int64_t p = blockIdx.z; p < out.count; p += gridDim.z) {
    const int64_t index = work.image_index.data == nullptr ? 0 : work.image_index(p);
    const bool names_image = index >= block.first && index < block.first + block.count;
    // With several launches, each writes the crops of its own images; crops of no image belong to the first.
    const bool is_mine = names_image || (block.first == 0 && (index < 0 || index >= block.total));
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0) {
      position = fixed_affine(load_affine(work.inverses, p), out.height, out.width);
    }
    __syncthreads();
    if (!is_mine || v >= out.height || u >= out.width) continue;
    const Pixel pixel = names_image && position.usable
                            ? crop_pixel<Sample>(work.spec, block.images[index - block.first], position, v, u)
                            : empty_pixel(work.spec);
    store_pixel(work.spec, out, p, v, u, pixel);
  }
}

}  // namespace

void Launcher::region_affines(const AffineSpec& spec, const RegionSource& source, const View<double, 3>& affines,
                              const View<double, 3>& inverses) const {
  const DeviceScope scope(device.index);
  for_each("region_affines", affines.size[0], stream_of(device), WriteRegionAffine{spec, source, affines, inverses});
}

void Launcher::invert_affines(const View<const double, 3>& affines, const View<double, 3>& inverses) const {
  const DeviceScope scope(device.index);
  for_each("invert_affines", affines.size[0], stream_of(device), InvertAffine{affines, inverses});
}

void Launcher::transform_points(const View<const float, 3>& points, const View<const double, 3>& affines,
                                const View<float, 3>& out) const {
  const DeviceScope scope(device.index);
  for_each("transform_points", points.size[0] * points.size[1], stream_of(device),
           TransformPoint{points, affines, out});
}

void Launcher::crop(const CropSpec& spec, const ImageTable& images, const View<const double, 3>& inverses,
                    const View<const int32_t, 1>& image_index, const CropTarget& out) const {
  const DeviceScope scope(device.index);
  const CropWork work{spec, inverses, image_index, out};
  constexpr int64_t kMostBlocksInZ = 65535;
  const dim3 grid((out.width + kTileWidth - 1) / kTileWidth, (out.height + kTileHeight - 1) / kTileHeight,
                  static_cast<unsigned>(std::min(out.count, kMostBlocksInZ)));
  const dim3 threads(kTileWidth, kTileHeight);
  for (int64_t first = 0; first < images.count; first += kImagesPerLaunch) {
    ImageBlock block;
    block.first = first;
    block.count = std::min<int64_t>(kImagesPerLaunch, images.count - first);
    block.total = images.count;
    for (int64_t i = 0; i < block.count; ++i) block.images[i] = images.images[first + i];
    if (spec.samples == ElementType::kUint8) {
      launch("crop_images", crop_kernel<uint8_t>, grid, threads, 0, stream_of(device), work, block);
    } else {
      launch("crop_images", crop_kernel<float>, grid, threads, 0, stream_of(device), work, block);
    }
  }
}

}  // namespace ppf::kernels

// Network maps and C-ordered results, as the ops of several files take them.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "bindings/arguments.h"
#include "bindings/array.h"
#include "core/peaks.h"
#include "ops/error.h"

namespace ppf::bindings {

inline bool is_half(const Array& array) {
  if (array.dtype() == DType::kFloat16) return true;
  if (array.dtype() == DType::kFloat32) return false;
  throw InputTypeError(array.argument(), "float32 or float16", name_of(array.dtype()));
}

inline void require_rank(const Array& array, int rank, const char* axes) {
  if (array.rank() != rank) throw InputError(array.argument(), axes, array.shape_text());
}

inline int32_t side(const Array& array, int axis) {
  if (array.shape(axis) > INT32_MAX) {
    throw InputError(array.argument(), "sides below 2^31", array.shape_text());
  }
  return static_cast<int32_t>(array.shape(axis));
}

// Axes N, K, H, W of an array in either layout.
struct Axes {
  int k, y, x;
  explicit Axes(bool is_nhwc) : k(is_nhwc ? 3 : 1), y(is_nhwc ? 1 : 2), x(is_nhwc ? 2 : 3) {}
};

inline MapView map_view(const Array& maps, bool is_nhwc) {
  require_rank(maps, 4, is_nhwc ? "[N, H, W, K]" : "[N, K, H, W]");
  const Axes axes(is_nhwc);
  return {maps.data(),        is_half(maps),  maps.shape(0),       maps.shape(axes.k),  side(maps, axes.y),
          side(maps, axes.x), maps.stride(0), maps.stride(axes.k), maps.stride(axes.y), maps.stride(axes.x)};
}

// Shapes alone decide how much scratch a call wants.
inline MapView shaped(int64_t n, int64_t k, int32_t height, int32_t width) {
  MapView maps;
  maps.n = n;
  maps.k = k;
  maps.height = height;
  maps.width = width;
  return maps;
}

// A processor to ask about scratch: the sizes differ between them.
inline Device device_named(bool is_cuda) {
  Device device;
  device.kind = is_cuda ? Device::kCuda : Device::kCpu;
  return device;
}

// What an earlier op returned. The structs of csrc/core are for reading and writing both, so that constness ends here.
template <class T, int Rank>
T* input(const Array& array, std::initializer_list<int64_t> shape) {
  const T* const data = array.in<T, Rank>("results").data;
  require_shape(array, shape);
  require_c_order(array);
  return const_cast<T*>(data);
}

template <class T, int Rank>
T* result(const Array& array, std::initializer_list<int64_t> shape) {
  T* const data = array.out<T, Rank>("results").data;
  require_shape(array, shape);
  require_c_order(array);
  return data;
}

}  // namespace ppf::bindings

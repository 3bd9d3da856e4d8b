// Views: what an algorithm sees of an array. They own nothing.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace ppf {

// Pointer, sizes and strides (both in elements, strides of either sign). With PPF_CHECK_BOUNDS every access is
// checked, which is how the sanitizer builds find an index that stays inside the allocation but leaves its row.
template <class T, int Rank>
struct View {
  T* data = nullptr;
  int64_t size[Rank] = {};
  int64_t stride[Rank] = {};

  template <class... Index>
  PPF_HD T& operator()(Index... index) const {
    static_assert(sizeof...(Index) == Rank, "one index per axis");
    const int64_t at[Rank] = {static_cast<int64_t>(index)...};
    int64_t offset = 0;
    for (int axis = 0; axis < Rank; ++axis) {
#ifdef PPF_CHECK_BOUNDS
      if (at[axis] < 0 || at[axis] >= size[axis]) __builtin_trap();
#endif
      offset += at[axis] * stride[axis];
    }
    return data[offset];
  }

  // The view of one entry of the first axis.
  PPF_HD View<T, Rank - 1> operator[](int64_t index) const {
    static_assert(Rank > 1, "a vector has no sub-views");
    View<T, Rank - 1> inner;
#ifdef PPF_CHECK_BOUNDS
    if (index < 0 || index >= size[0]) __builtin_trap();
#endif
    inner.data = data + index * stride[0];
    for (int axis = 1; axis < Rank; ++axis) {
      inner.size[axis - 1] = size[axis];
      inner.stride[axis - 1] = stride[axis];
    }
    return inner;
  }

  PPF_HD int64_t count() const {
    int64_t product = 1;
    for (int axis = 0; axis < Rank; ++axis) product *= size[axis];
    return product;
  }

  PPF_HD bool empty() const { return count() == 0; }
};

// The same view for reading only.
template <class T, int Rank>
PPF_HD View<const T, Rank> as_input(const View<T, Rank>& view) {
  View<const T, Rank> input;
  input.data = view.data;
  for (int axis = 0; axis < Rank; ++axis) {
    input.size[axis] = view.size[axis];
    input.stride[axis] = view.stride[axis];
  }
  return input;
}

}  // namespace ppf

// Checks that several arguments of one call share.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>

#include "bindings/array.h"
#include "ops/error.h"

namespace ppf::bindings {

// All arrays of a call live where the first does.
inline Device common_device(std::initializer_list<const Array*> arrays) {
  const Array& first = **arrays.begin();
  const auto place = [](const Device& device) {
    return device.kind == Device::kCpu ? std::string("on the CPU") : "on cuda:" + std::to_string(device.index);
  };
  for (const Array* array : arrays) {
    if (array == nullptr) continue;
    if (array->device().kind != first.device().kind || array->device().index != first.device().index) {
      throw DeviceMismatchError(array->argument(), first.argument() + " is " + place(first.device()),
                                place(array->device()), "move one of them to the device of the other");
    }
  }
  return first.device();
}

inline void require_shape(const Array& array, std::initializer_list<int64_t> shape) {
  bool fits = array.rank() == static_cast<int>(shape.size());
  int axis = 0;
  for (const int64_t size : shape) fits = fits && array.shape(axis++) == size;
  if (fits) return;
  std::string expected;
  for (const int64_t size : shape) expected += (expected.empty() ? "[" : ", ") + std::to_string(size);
  throw InputError(array.argument(), expected + "]", array.shape_text());
}

// For results that C++ writes through a bare pointer.
inline void require_c_order(const Array& array) {
  if (!array.is_c_contiguous()) throw InputError(array.argument(), "C order", "other strides");
}

inline void require_no_overlap(const Array& out, const Array& input) {
  if (out.may_overlap(input)) {
    throw InputError(out.argument(), "memory of its own", "memory that overlaps " + input.argument());
  }
}

}  // namespace ppf::bindings

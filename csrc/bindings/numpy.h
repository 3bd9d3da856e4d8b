// NumPy's numbers for element types, as its C interface has them.
#pragma once

#include <optional>

#include "bindings/array.h"

namespace ppf::bindings {

struct NumpyElement {
  int number;  // of NPY_TYPES
  DType dtype;
};

// Of two numbers for one type the first is what new arrays get.
constexpr NumpyElement kNumpyElements[] = {
    {0, DType::kBool},     {2, DType::kUint8},    {5, DType::kInt32},    {sizeof(long) == 8 ? 7 : 9, DType::kInt64},
    {23, DType::kFloat16}, {11, DType::kFloat32}, {12, DType::kFloat64}, {9, DType::kInt64},
};

inline std::optional<DType> dtype_of_numpy(int number) {
  for (const NumpyElement& element : kNumpyElements) {
    if (element.number == number) return element.dtype;
  }
  return std::nullopt;
}

// kNumpyElements begins in the order of DType.
inline int numpy_number(DType dtype) { return kNumpyElements[static_cast<int>(dtype)].number; }

}  // namespace ppf::bindings

// Results for callers with NumPy arrays, made here: to allocate four arrays and fill a dataclass takes Python longer
// than the maps of one person take the op that is called.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <initializer_list>

#include "bindings/array.h"

namespace ppf::bindings {

// A frozen dataclass with slots, whose fields get new arrays one after the other.
class NumpyResult {
 public:
  explicit NumpyResult(const pybind11::type& kind);

  // C order, of any content; returns where its elements are.
  void* add(DType dtype, const int64_t* shape, int rank);

  template <class T>
  T* add(std::initializer_list<int64_t> shape) {
    return static_cast<T*>(add(DTypeOf<T>::value, shape.begin(), static_cast<int>(shape.size())));
  }

  // When every field has its array.
  pybind11::object finish();

 private:
  pybind11::tuple fields_;
  pybind11::object result_;
  Py_ssize_t filled_ = 0;
};

}  // namespace ppf::bindings

// The caller's arrays, whatever framework they come from: no copy, and no framework known at build time.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <string>

#include "core/half.h"
#include "core/view.h"
#include "ops/device.h"

namespace ppf::bindings {

// The element types that can come in. Each op accepts some of them; every other type is refused when it comes in.
enum class DType : uint8_t { kBool, kUint8, kInt32, kInt64, kFloat16, kFloat32, kFloat64 };

const char* name_of(DType dtype);  // "float32"
int64_t size_of(DType dtype);      // bytes of one element

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::kBool;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::kUint8;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kInt32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kInt64;
};
template <>
struct DTypeOf<Half> {
  static constexpr DType value = DType::kFloat16;
};
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kFloat32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kFloat64;
};

// Where an array's elements are.
struct Memory {
  static constexpr int kMaxRank = 8;
  void* data = nullptr;
  DType dtype = DType::kFloat32;
  bool read_only = false;
  int rank = 0;
  int64_t shape[kMaxRank] = {};
  int64_t stride[kMaxRank] = {};  // in elements, of either sign
  Device device;                  // its stream is the one that this call's work goes to
};

// Keeps memory alive, and a resizable buffer from moving, until destroyed. Takes the GIL for that by itself.
class Owner {
 public:
  Owner() = default;
  virtual ~Owner() = default;
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;
};

// One argument of a call. What is wrong with it is raised by from(), in() or out(), naming the argument, so
// that code behind them sees only memory that it can use. Made with the GIL; used and destroyed with or without it.
class Array {
 public:
  // Takes anything with the buffer protocol, torch.Tensor, `__cuda_array_interface__` or `__dlpack__`. `stream` is
  // where the call's work goes (0: the default stream): a producer on another stream is made to finish first.
  static Array from(pybind11::handle object, std::string argument, std::uintptr_t stream = 0);

  // The elements, when they are of type T and have Rank axes. `axes` names these for the message, as in "[N, K, H, W]".
  template <class T, int Rank>
  View<const T, Rank> in(const char* axes) const {
    require(DTypeOf<T>::value, Rank, axes);
    return view<const T, Rank>();
  }

  // The same for writing: refused when read-only, or when several elements share one place.
  template <class T, int Rank>
  View<T, Rank> out(const char* axes) const {
    require(DTypeOf<T>::value, Rank, axes);
    require_writable();
    return view<T, Rank>();
  }

  // For ops that take several dtypes and keep the pointer untyped: the checks of in() and out() by themselves.
  void require(DType dtype, int rank, const char* axes) const;
  void require_writable() const;

  const std::string& argument() const { return argument_; }
  void* data() const { return memory_.data; }
  DType dtype() const { return memory_.dtype; }
  int rank() const { return memory_.rank; }
  int64_t shape(int axis) const { return memory_.shape[axis]; }
  int64_t stride(int axis) const { return memory_.stride[axis]; }
  const Device& device() const { return memory_.device; }
  bool read_only() const { return memory_.read_only; }
  bool is_c_contiguous() const;

  // Whether the smallest ranges of addresses that hold the two arrays meet.
  bool may_overlap(const Array& other) const;

  std::string shape_text() const;  // "[1, 17, 64, 48]"
  std::string describe() const;    // "float32 [1, 17, 64, 48] on cuda:0"

 private:
  explicit Array(std::string argument) : argument_(std::move(argument)) {}

  template <class T, int Rank>
  View<T, Rank> view() const {
    View<T, Rank> result;
    result.data = static_cast<T*>(memory_.data);
    for (int axis = 0; axis < Rank; ++axis) {
      result.size[axis] = memory_.shape[axis];
      result.stride[axis] = memory_.stride[axis];
    }
    return result;
  }

  Memory memory_;
  std::unique_ptr<Owner> owner_;
  std::string argument_;
};

// What came in, for `doctor` and the tests: pointer, device, device_index, dtype, shape, strides (in elements),
// read_only, contiguous.
pybind11::dict describe(const Array& array);

}  // namespace ppf::bindings

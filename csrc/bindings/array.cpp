#include "bindings/array.h"

#include <cstdlib>
#include <utility>

#include "bindings/elements.h"
#include "bindings/import.h"
#include "ops/error.h"

namespace py = pybind11;

namespace ppf::bindings {
namespace {

// The addresses [first, last) that an array's elements lie in.
struct Range {
  std::uintptr_t first, last;
};

Range range_of(const Memory& memory) {
  const int64_t bytes = size_of(memory.dtype);
  const auto start = reinterpret_cast<std::uintptr_t>(memory.data);
  Range range = {start, start + static_cast<std::uintptr_t>(bytes)};
  for (int axis = 0; axis < memory.rank; ++axis) {
    if (memory.shape[axis] == 0) return {start, start};
    const int64_t reach = (memory.shape[axis] - 1) * memory.stride[axis] * bytes;
    (reach < 0 ? range.first : range.last) += static_cast<std::uintptr_t>(reach);
  }
  return range;
}

// True when no two elements can share a place: from the smallest stride up, each must step over everything below it.
// Every slice, transpose and reshape of a plain array passes; broadcasts and sliding windows do not.
bool has_own_places(const Memory& memory) {
  int order[Memory::kMaxRank];  // axes by growing stride
  int axes = 0;
  for (int axis = 0; axis < memory.rank; ++axis) {
    if (memory.shape[axis] == 0) return true;
    if (memory.shape[axis] == 1) continue;
    int place = axes++;
    for (; place > 0 && std::abs(memory.stride[order[place - 1]]) > std::abs(memory.stride[axis]); --place) {
      order[place] = order[place - 1];
    }
    order[place] = axis;
  }
  int64_t reach = 0;
  for (int i = 0; i < axes; ++i) {
    const int64_t stride = std::abs(memory.stride[order[i]]);
    if (stride <= reach) return false;
    reach += stride * (memory.shape[order[i]] - 1);
  }
  return true;
}

}  // namespace

const char* name_of(DType dtype) { return kElements[static_cast<int>(dtype)].name; }
int64_t size_of(DType dtype) { return kElements[static_cast<int>(dtype)].bytes; }

Array Array::from(py::handle object, std::string argument, std::uintptr_t stream) {
  Array array(std::move(argument));
  array.memory_.device.stream = stream;
  array.owner_ = import_array(object, array.argument_, array.memory_);
  return array;
}

void Array::require(DType dtype, int rank, const char* axes) const {
  if (memory_.dtype == dtype && memory_.rank == rank) return;
  const std::string expected = std::string(name_of(dtype)) + " " + axes;
  const std::string got = std::string(name_of(memory_.dtype)) + " " + shape_text();
  if (memory_.dtype != dtype) throw InputTypeError(argument_, expected, got);
  throw InputError(argument_, expected, got);
}

void Array::require_writable() const {
  if (memory_.read_only) throw InputError(argument_, "a writable array", "a read-only one");
  if (!has_own_places(memory_)) {
    throw InputError(argument_, "an array whose elements have each a place of their own",
                     "overlapping elements (a broadcast or sliding view)", "make a copy of it");
  }
}

bool Array::is_c_contiguous() const {
  int64_t expected = 1;
  bool contiguous = true;
  for (int axis = memory_.rank - 1; axis >= 0; --axis) {
    if (memory_.shape[axis] == 0) return true;
    contiguous = contiguous && (memory_.shape[axis] == 1 || memory_.stride[axis] == expected);
    expected *= memory_.shape[axis];
  }
  return contiguous;
}

bool Array::may_overlap(const Array& other) const {
  const Range a = range_of(memory_), b = range_of(other.memory_);
  return a.first < b.last && b.first < a.last;
}

std::string Array::shape_text() const {
  std::string text = "[";
  for (int axis = 0; axis < memory_.rank; ++axis) {
    text += (axis == 0 ? "" : ", ") + std::to_string(memory_.shape[axis]);
  }
  return text + "]";
}

std::string Array::describe() const {
  const Device& device = memory_.device;
  return std::string(name_of(memory_.dtype)) + " " + shape_text() + " on " +
         (device.kind == Device::kCpu ? "the CPU" : "cuda:" + std::to_string(device.index));
}

py::dict describe(const Array& array) {
  py::tuple shape(array.rank()), strides(array.rank());
  for (int axis = 0; axis < array.rank(); ++axis) {
    shape[axis] = array.shape(axis);
    strides[axis] = array.stride(axis);
  }
  py::dict result;
  result["pointer"] = reinterpret_cast<std::uintptr_t>(array.data());
  result["device"] = array.device().kind == Device::kCpu ? "cpu" : "cuda";
  result["device_index"] = array.device().index;
  result["dtype"] = name_of(array.dtype());
  result["shape"] = shape;
  result["strides"] = strides;
  result["read_only"] = array.read_only();
  result["contiguous"] = array.is_c_contiguous();
  return result;
}

}  // namespace ppf::bindings

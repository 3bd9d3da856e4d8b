#include "bindings/results.h"

#include <pybind11/numpy.h>

#include <algorithm>
#include <iterator>

#include "bindings/elements.h"
#include "bindings/module.h"
#include "bindings/numpy.h"
#include "bindings/python.h"

namespace py = pybind11;
using namespace py::literals;

namespace ppf::bindings {
namespace {

DType dtype_named(PyObject* name) {
  const auto* const known = std::find_if(std::begin(kElements), std::end(kElements), [&](const NamedElement& element) {
    return PyUnicode_CompareWithASCIIString(name, element.name) == 0;
  });
  if (known == std::end(kElements)) throw py::value_error("no element type: " + std::string(py::str(py::handle(name))));
  return static_cast<DType>(known - kElements);
}

// `arrays`: shape and element type of each field.
py::object numpy_result(const py::type& kind, const py::tuple& arrays) {
  NumpyResult result(kind);
  for (const py::handle wanted : arrays) {
    PyObject *sizes, *name;
    if (PyArg_ParseTuple(wanted.ptr(), "O!U", &PyTuple_Type, &sizes, &name) == 0) throw py::error_already_set();
    int64_t shape[Memory::kMaxRank];
    const auto rank = static_cast<int>(PyTuple_GET_SIZE(sizes));
    if (rank > Memory::kMaxRank) throw py::value_error("too many axes");
    for (int axis = 0; axis < rank; ++axis) shape[axis] = to_int64(PyTuple_GET_ITEM(sizes, axis));
    result.add(dtype_named(name), shape, rank);
  }
  return result.finish();
}

}  // namespace

NumpyResult::NumpyResult(const py::type& kind) {
  static const Name kFields("__match_args__");
  auto* const type = reinterpret_cast<PyTypeObject*>(kind.ptr());
  fields_ = get(kind, kFields);
  result_ = own(type->tp_alloc(type, 0));
}

// Fields are set as the dataclass's own __init__ would set them, without a call of Python's for each.
void* NumpyResult::add(DType dtype, const int64_t* shape, int rank) {
  if (filled_ == PyTuple_GET_SIZE(fields_.ptr())) throw py::value_error("more arrays than fields");
  auto& numpy = py::detail::npy_api::get();
  Py_intptr_t sizes[Memory::kMaxRank];
  std::copy_n(shape, rank, sizes);
  PyObject* const element = numpy.PyArray_DescrFromType_(numpy_number(dtype));  // goes into the array
  const py::object array =
      own(numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, element, rank, sizes, nullptr, nullptr, 0, nullptr));
  PyObject* const field = PyTuple_GET_ITEM(fields_.ptr(), filled_++);
  if (PyObject_GenericSetAttr(result_.ptr(), field, array.ptr()) != 0) throw py::error_already_set();
  return py::detail::array_proxy(array.ptr())->data;
}

py::object NumpyResult::finish() {
  if (filled_ != PyTuple_GET_SIZE(fields_.ptr())) throw py::value_error("fewer arrays than fields");
  return std::move(result_);
}

void register_results(py::module_& m) { m.def("numpy_result", &numpy_result, "kind"_a, "arrays"_a, py::pos_only()); }

}  // namespace ppf::bindings

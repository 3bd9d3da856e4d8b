// Python objects where pybind11's words for them would cost more than the call they serve.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

namespace ppf::bindings {

namespace py = pybind11;

// Attribute names that every call looks up: made once, as Python does for the names in its own code.
struct Name {
  explicit Name(const char* text) : object(PyUnicode_InternFromString(text)) {}
  PyObject* object;
};

inline py::object own(PyObject* reference) {
  if (reference == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(reference);
}

inline py::object get(py::handle object, const Name& name) { return own(PyObject_GetAttr(object.ptr(), name.object)); }

inline py::object call(py::handle object, const Name& method) {
  return own(PyObject_CallMethodNoArgs(object.ptr(), method.object));
}

inline py::object get_if_there(py::handle object, const Name& name) {
  PyObject* const found = PyObject_GetAttr(object.ptr(), name.object);
  if (found == nullptr && !PyErr_ExceptionMatches(PyExc_AttributeError)) throw py::error_already_set();
  PyErr_Clear();
  return py::reinterpret_steal<py::object>(found);
}

inline int64_t to_int64(py::handle object) {
  const long long value = PyLong_AsLongLong(object.ptr());
  if (value == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
  return value;
}

inline std::string type_name(py::handle object) { return Py_TYPE(object.ptr())->tp_name; }

// An operation may let the last reference to an array go while it has given up the GIL.
struct WithGil {
  PyGILState_STATE state = PyGILState_Ensure();
  ~WithGil() { PyGILState_Release(state); }
};

}  // namespace ppf::bindings

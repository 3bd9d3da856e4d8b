// Checked settings on their way through Python: an opaque object that costs nothing to hand over. A capsule, since a
// class would be registered a second time by the emulated module, which the tests load beside this one.
#pragma once

#include <pybind11/pybind11.h>

#include <utility>

namespace ppf::bindings {

// Settings<T>::kName tells one kind from another; each is said where it is made.
template <class T>
struct Settings;

template <class T>
pybind11::capsule wrap(T settings) {
  return pybind11::capsule(new T(std::move(settings)), Settings<T>::kName, [](PyObject* capsule) {
    delete static_cast<T*>(PyCapsule_GetPointer(capsule, Settings<T>::kName));
  });
}

// Raises Python's ValueError for an object of another kind.
template <class T>
const T& unwrap(const pybind11::object& capsule) {
  const void* const settings = PyCapsule_GetPointer(capsule.ptr(), Settings<T>::kName);
  if (settings == nullptr) throw pybind11::error_already_set();
  return *static_cast<const T*>(settings);
}

}  // namespace ppf::bindings

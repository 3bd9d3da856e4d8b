#include "bindings/errors.h"

#include <exception>

#include "ops/error.h"

namespace py = pybind11;

namespace ppf::bindings {
namespace {

// Imported when an error is on its way, not before: importing the extension then needs nothing else of the package, and
// asking sys.modules costs little next to raising. If even that fails, its error is the one that is raised.
template <class... Text>
void raise(const char* class_name, const Text&... text) {
  try {
    const py::object type = py::module_::import("pyposefast.errors").attr(class_name);
    PyErr_SetObject(type.ptr(), type(text...).ptr());
  } catch (py::error_already_set& error) {
    error.restore();
  }
}

void raise_input(const char* class_name, const InputError& error) {
  raise(class_name, error.argument, error.expected, error.got, error.hint);
}

void translate(std::exception_ptr pointer) {  // NOLINT(performance-unnecessary-value-param): pybind11's signature
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const DeviceMismatchError& error) {
    raise_input("DeviceMismatchError", error);
  } catch (const InputTypeError& error) {
    raise_input("InputTypeError", error);
  } catch (const InputError& error) {
    raise_input("InputError", error);
  } catch (const DeviceError& error) {
    raise("DeviceError", error.what(), error.hint);
  }
}

}  // namespace

// Local to this module: the test build puts a second module with the same C++ classes into one process, and neither may
// see the other's errors.
void register_errors(py::module_&) { py::register_local_exception_translator(translate); }

}  // namespace ppf::bindings

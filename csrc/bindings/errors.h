// C++ errors become the Python classes of the same name (pyposefast/errors.py), with their attributes.
#pragma once

#include <pybind11/pybind11.h>

namespace ppf::bindings {

// Call once, when the module is made.
void register_errors(pybind11::module_& module);

}  // namespace ppf::bindings

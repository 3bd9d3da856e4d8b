// How an array of another library is understood: the protocols, in the order in which they are asked.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include "bindings/array.h"

namespace ppf::bindings {

// Fills `memory`, whose device says on which stream the caller will work, and returns what keeps it alive. Its errors
// name `argument`; then nothing is held and no capsule is consumed.
std::unique_ptr<Owner> import_array(pybind11::handle object, const std::string& argument, Memory& memory);

}  // namespace ppf::bindings

// What each file of the bindings adds to the module.
#pragma once

#include <pybind11/pybind11.h>

namespace ppf::bindings {

void register_assignment(pybind11::module_& module);
void register_crop(pybind11::module_& module);
void register_grouping(pybind11::module_& module);
void register_limbs(pybind11::module_& module);
void register_part_affinity(pybind11::module_& module);
void register_peaks(pybind11::module_& module);
void register_results(pybind11::module_& module);

}  // namespace ppf::bindings

// The extension module: facts about the build and the machine here, the ops in the files beside.
#include "bindings/module.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/array.h"
#include "bindings/errors.h"
#include "loops/loops.h"

#ifdef PPF_WITH_CUDA
#include "kernels/launch.h"
#endif
#ifdef PPF_EMULATED
#include "tests/emulation/control.h"
#endif

namespace py = pybind11;
using namespace py::literals;

namespace ppf::bindings {
namespace {

// NOLINTBEGIN(bugprone-branch-clone): what CMake knows of CUDA is empty without it
py::dict build_info() {
#ifdef PPF_WITH_CUDA
  const bool has_cuda = true;
#else
  const bool has_cuda = false;
#endif
  return py::dict("compiler"_a = PPF_COMPILER, "build_type"_a = PPF_BUILD_TYPE, "cuda"_a = has_cuda,
                  "cuda_compiler"_a = has_cuda ? PPF_CUDA_COMPILER : "",
                  "cuda_architectures"_a = has_cuda ? PPF_CUDA_ARCHITECTURES : "");
}

// NOLINTEND(bugprone-branch-clone)

// status: "ok", or why there is no device to use.
py::dict cuda_devices() {
  py::list devices;
  py::object driver = py::none(), runtime = py::none();
  std::string status = "this build has no CUDA kernels";
#ifdef PPF_WITH_CUDA
  const kernels::Survey survey = kernels::survey();
  status = survey.problem.empty() ? "ok" : survey.problem;
  if (survey.driver_version != 0) driver = py::int_(survey.driver_version);
  if (survey.runtime_version != 0) runtime = py::int_(survey.runtime_version);
  for (const kernels::DeviceInfo& device : survey.devices) {
    devices.append(py::dict("index"_a = device.index, "name"_a = device.name,
                            "compute_capability"_a = std::to_string(device.major) + "." + std::to_string(device.minor),
                            "memory_bytes"_a = device.memory_bytes, "multiprocessors"_a = device.multiprocessors));
  }
#endif
  return py::dict("status"_a = status, "driver_version"_a = driver, "runtime_version"_a = runtime,
                  "devices"_a = devices);
}

py::dict describe_array(const py::object& object, const std::string& argument, std::uintptr_t stream) {
  return describe(Array::from(object, argument, stream));
}

}  // namespace
}  // namespace ppf::bindings

PYBIND11_MODULE(PPF_MODULE_NAME, m) {
  using namespace ppf::bindings;
  register_errors(m);
  register_assignment(m);
  register_crop(m);
  register_grouping(m);
  register_limbs(m);
  register_part_affinity(m);
  register_peaks(m);
  register_results(m);
  m.def("build_info", &build_info);
  m.def("cuda_devices", &cuda_devices);
  m.def("instruction_set", [] { return ppf::loops::table().name; });
  m.def("instruction_sets", [] {
    std::vector<std::string> names;
    for (const ppf::loops::Table& table : ppf::loops::tables()) names.emplace_back(table.name);
    return names;
  });
  m.def("describe_array", &describe_array, "array"_a, "argument"_a, "stream"_a = 0);
#ifdef PPF_EMULATED
  m.def(
      "set_thread_order", [](const std::string& order) { ppf::emulation::set_thread_order(order.c_str()); }, "order"_a);
#endif
}

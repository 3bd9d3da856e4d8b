// The one place that knows which processors this build has.
#pragma once

#include "ops/device.h"
#include "ops/error.h"

#ifdef PPF_WITH_CUDA
#include "kernels/launch.h"
#endif

namespace ppf {

// Runs `cpu()` or `cuda(launcher)`. The CUDA lambda must be generic (const auto& gpu): a build without CUDA then never
// instantiates it, and needs no stub for any kernel.
template <class Cpu, class Cuda>
void run_on(const Device& device, const Cpu& cpu, const Cuda& cuda) {
  if (device.kind == Device::kCpu) return cpu();
#ifdef PPF_WITH_CUDA
  cuda(kernels::Launcher{device});
#else
  (void)cuda;
  throw DeviceError("cuda: this build of pyposefast has no CUDA kernels",
                    "install a CUDA build, or pass arrays that live on the CPU");
#endif
}

}  // namespace ppf

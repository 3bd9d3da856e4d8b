// Questions to the CUDA runtime that are not about any op.
#include "kernels/launch.cuh"
#include "kernels/launch.h"

namespace ppf::kernels {

void wait_for_stream(int device_index, std::uintptr_t consumer, std::uintptr_t producer) {
  const DeviceScope scope(device_index);
  cudaEvent_t reached;
  check("stream", cudaEventCreateWithFlags(&reached, cudaEventDisableTiming));
  cudaError_t error = cudaEventRecord(reached, reinterpret_cast<cudaStream_t>(producer));
  if (error == cudaSuccess) error = cudaStreamWaitEvent(reinterpret_cast<cudaStream_t>(consumer), reached, 0);
  // Destroying it now is allowed: the runtime keeps the event until the wait is over.
  const cudaError_t destroyed = cudaEventDestroy(reached);
  check("stream", error != cudaSuccess ? error : destroyed);
}

Survey survey() {
  Survey result;
  if (cudaDriverGetVersion(&result.driver_version) != cudaSuccess) result.driver_version = 0;
  if (cudaRuntimeGetVersion(&result.runtime_version) != cudaSuccess) result.runtime_version = 0;
  int count = 0;
  try {
    check("cuda", cudaGetDeviceCount(&count));
  } catch (const DeviceError& error) {
    (void)cudaGetLastError();
    result.problem = error.what();
    return result;
  }
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties;
    check("cuda", cudaGetDeviceProperties(&properties, index));
    result.devices.push_back({index, properties.name, properties.major, properties.minor,
                              static_cast<int64_t>(properties.totalGlobalMem), properties.multiProcessorCount});
  }
  return result;
}

}  // namespace ppf::kernels

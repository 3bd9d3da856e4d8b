#include "tests/emulation/runtime.h"

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>

namespace {

constexpr int kMajor = 9;
constexpr int kMinor = 0;
constexpr int kMultiprocessors = 4;

thread_local cudaError_t last_error = cudaSuccess;
std::atomic<cudaError_t> pretended{cudaSuccess};

cudaError_t report(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

// The result of a call that needs a device, and may fail for a reason of its own.
cudaError_t report_on_device(cudaError_t error = cudaSuccess) {
  const cudaError_t absent = pretended.load();
  return report(absent != cudaSuccess ? absent : error);
}

struct SharedLimits {
  std::mutex mutex;
  std::map<const void*, std::size_t> bytes;
};

SharedLimits& shared_limits() {
  static SharedLimits limits;
  return limits;
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver: return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorNoKernelImageForDevice: return "cudaErrorNoKernelImageForDevice";
    case cudaErrorInvalidResourceHandle: return "cudaErrorInvalidResourceHandle";
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorNoKernelImageForDevice: return "no kernel image is available for execution on the device";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
  }
  return "unrecognized error code";
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}

cudaError_t cudaDriverGetVersion(int* version) {
  const bool driver = pretended.load() != cudaErrorInsufficientDriver;
  *version = driver ? CUDART_VERSION : 0;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  const cudaError_t error = report_on_device();
  *count = error == cudaSuccess ? 1 : 0;
  return error;
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return report_on_device();
}

cudaError_t cudaSetDevice(int device) { return report_on_device(device == 0 ? cudaSuccess : cudaErrorInvalidDevice); }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  *properties = {};
  std::strcpy(properties->name, "emulated on the CPU");
  properties->totalGlobalMem = std::size_t{1} << 34;
  properties->major = kMajor;
  properties->minor = kMinor;
  properties->multiProcessorCount = kMultiprocessors;
  return report_on_device(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device != 0) return report_on_device(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = ppf::emulation::kDefaultSharedLimit; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrMultiProcessorCount: *value = kMultiprocessors; break;
    case cudaDevAttrComputeCapabilityMajor: *value = kMajor; break;
    case cudaDevAttrComputeCapabilityMinor: *value = kMinor; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = ppf::emulation::kSharedLimit; break;
    default: return report_on_device(cudaErrorInvalidValue);
  }
  return report_on_device();
}

cudaError_t cudaDeviceSynchronize() { return report_on_device(); }

cudaError_t cudaStreamSynchronize(cudaStream_t) { return report_on_device(); }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = reinterpret_cast<cudaEvent_t>(new char);  // unique, and a leak that LeakSanitizer sees
  return report_on_device();
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  return report_on_device(event ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete reinterpret_cast<char*>(event);
  return report_on_device(event ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t event, unsigned) {
  return report_on_device(event ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaMemcpyAsync(void* target, const void* source, std::size_t bytes, cudaMemcpyKind, cudaStream_t) {
  const cudaError_t error = report_on_device();
  if (error == cudaSuccess && bytes > 0) std::memmove(target, source, bytes);
  return error;
}

cudaError_t cudaMemsetAsync(void* target, int value, std::size_t bytes, cudaStream_t) {
  const cudaError_t error = report_on_device();
  if (error == cudaSuccess && bytes > 0) std::memset(target, value, bytes);
  return error;
}

namespace ppf::emulation {

cudaError_t set_dynamic_shared_limit(const void* kernel, cudaFuncAttribute attribute, int bytes) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || bytes < 0 ||
      static_cast<std::size_t>(bytes) > kSharedLimit) {
    return report_on_device(cudaErrorInvalidValue);
  }
  SharedLimits& limits = shared_limits();
  const std::lock_guard<std::mutex> lock(limits.mutex);
  limits.bytes[kernel] = static_cast<std::size_t>(bytes);
  return report_on_device();
}

std::size_t dynamic_shared_limit(const void* kernel) {
  SharedLimits& limits = shared_limits();
  const std::lock_guard<std::mutex> lock(limits.mutex);
  const auto found = limits.bytes.find(kernel);
  return found == limits.bytes.end() ? kDefaultSharedLimit : found->second;
}

void pretend(cudaError_t error) { pretended.store(error); }

cudaError_t pretended_error() { return report_on_device(); }

}  // namespace ppf::emulation

// The only CUDA header that a .cu file includes: how kernels start, and the few words whose spelling differs between
// nvcc and the emulator (tests/emulation), so that one source is compiled by both.
//
// What a kernel must keep to, to run on both: it starts through launch() or for_each(), never <<<>>>; shared memory
// comes from the two macros below; lanes talk through *_sync intrinsics only; no inline PTX, CUB or cooperative groups.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>

#ifdef PPF_EMULATED
#include "tests/emulation/emulator.h"
#else
#include <cuda_runtime.h>

// PPF_SHARED(float, tile, [32][33]); is one array per block, uninitialised. The extent may be left out.
#define PPF_SHARED(T, name, ...) __shared__ T name __VA_ARGS__
// PPF_DYNAMIC_SHARED(float, tile); is the block's `shared_bytes` of launch(), 16-byte aligned. Every such name of a
// kernel is the same memory.
#define PPF_DYNAMIC_SHARED(T, name)                                    \
  extern __shared__ __align__(16) unsigned char ppf_dynamic_shared_[]; \
  T* name = reinterpret_cast<T*>(ppf_dynamic_shared_)
#endif

#include "ops/device.h"
#include "ops/error.h"

namespace ppf::kernels {

// Every CUDA call goes through here, so that each failure names the op that met it.
inline void check(const char* op, cudaError_t error) {
  if (error == cudaSuccess) return;
  (void)cudaGetLastError();  // reading it clears it: left there, it would be blamed on the next user of this thread
  const std::string where = std::string(op) + ": ";
  const std::string why = cudaGetErrorString(error);
  switch (error) {
    case cudaErrorNoDevice:
      throw DeviceError(where + "no CUDA device (" + why + ")",
                        "pass CPU arrays, or check with `nvidia-smi` that a GPU is visible to this process");
    case cudaErrorInsufficientDriver:
      throw DeviceError(
          where + "no CUDA device (" + why + ")",
          "pass CPU arrays, or install an NVIDIA driver that supports CUDA " + std::to_string(CUDART_VERSION / 1000));
    case cudaErrorNoKernelImageForDevice:
      throw DeviceError(where + why, "this build has no code for this GPU: build pyposefast on this machine");
    default: throw DeviceError(where + why);
  }
}

inline cudaStream_t stream_of(const Device& device) { return reinterpret_cast<cudaStream_t>(device.stream); }

// Makes a device current for a scope. A caller's framework has its own idea of the current device, which must be the
// same after an op as before it.
class DeviceScope {
 public:
  explicit DeviceScope(int index) {
    check("device", cudaGetDevice(&previous_));
    if (index == previous_) return;
    check("device", cudaSetDevice(index));
    changed_ = true;
  }
  ~DeviceScope() {
    // Nothing useful can be done about a failure here, and a destructor must not throw.
    if (changed_) (void)cudaSetDevice(previous_);
  }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  int previous_ = 0;
  bool changed_ = false;
};

// Starts a kernel on the caller's stream. Errors of the launch itself are raised here; what goes wrong while the kernel
// runs is seen by whoever waits for the stream. An empty grid is no work, not the launch error that CUDA makes of it.
template <class... Parameters, class... Arguments>
void launch(const char* op, void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
            cudaStream_t stream, Arguments&&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  // Up to this size a block gets shared memory for the asking; beyond it a kernel has to opt in.
  constexpr std::size_t kDefaultSharedLimit = 48 * 1024;
  if (shared_bytes > kDefaultSharedLimit) {
    check(op,
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)));
  }
  std::tuple<Parameters...> values(static_cast<Parameters>(arguments)...);
  std::apply(
      [&](auto&... value) {
        void* addresses[] = {&value..., nullptr};
        // The call's own result, not cudaGetLastError(): that one may hold an error that somebody else left behind.
        check(op, cudaLaunchKernel(kernel, grid, block, addresses, shared_bytes, stream));
      },
      values);
}

constexpr int kForEachThreads = 256;
// Fills the largest device several times over; past 2^21 items each thread takes more than one.
constexpr std::int64_t kForEachBlocks = 8192;

template <class Body>
__global__ void __launch_bounds__(kForEachThreads) for_each_kernel(std::int64_t count, Body body) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    body(i);
  }
}

// body(i) for every i in [0, count), in no order. Body: a struct, copied to the device, with
// `__device__ void operator()(int64_t i) const`.
template <class Body>
void for_each(const char* op, std::int64_t count, cudaStream_t stream, const Body& body) {
  if (count <= 0) return;
  const std::int64_t blocks = std::min((count - 1) / kForEachThreads + 1, kForEachBlocks);
  launch(op, for_each_kernel<Body>, dim3(static_cast<unsigned>(blocks)), dim3(kForEachThreads), 0, stream, count, body);
}

}  // namespace ppf::kernels

// CUDA's vocabulary for kernels that are compiled as plain C++ and run on the CPU, one fiber per CUDA thread.
//
// kernels/launch.cuh includes this in place of <cuda_runtime.h> when PPF_EMULATED is defined; kernels/*.cu stay as they
// are. Barriers, warp intrinsics and shared memory behave as on a device, and misuse of them is an Error (control.h).
// What it cannot show: races between blocks (only ThreadSanitizer does), memory order, registers, alignment, speed. A
// thread that spins until another has done something hangs: only a wait lets others run.
// __activemask() is missing on purpose: what it gives on a device depends on the weather.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>
#include <utility>

#include "tests/emulation/block.h"
#include "tests/emulation/runtime.h"
#include "tests/emulation/types.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __restrict__ __restrict

#define threadIdx (static_cast<const uint3&>(::ppf::emulation::current->index))
#define blockIdx (static_cast<const uint3&>(::ppf::emulation::current->block->index))
#define blockDim (static_cast<const dim3&>(::ppf::emulation::current->block->size))
#define gridDim (static_cast<const dim3&>(::ppf::emulation::current->block->grid))
constexpr int warpSize = 32;

// The address of a static constant is the array's key: one per array in the source, also in templates.
#define PPF_SHARED(T, name, ...)                                  \
  using name##_shared_type_ = T __VA_ARGS__;                      \
  static const char name##_shared_key_ = 0;                       \
  name##_shared_type_& name = *static_cast<name##_shared_type_*>( \
      ::ppf::emulation::shared_array(&name##_shared_key_, sizeof(name##_shared_type_)))
#define PPF_DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(::ppf::emulation::dynamic_shared())

namespace ppf::emulation {

template <class T>
T shuffle(Collective kind, unsigned mask, T value, int argument, int width, Site site) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "CUDA shuffles 4 or 8 bytes");
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = collective(kind, mask, bits, argument, width, site);
  T result;
  std::memcpy(&result, &bits, sizeof(T));
  return result;
}

inline std::uint64_t vote(Collective kind, unsigned mask, bool predicate, Site site) {
  return collective(kind, mask, predicate, 0, static_cast<int>(kLanes), site);
}

// Relaxed as on a device, and real atomics so that ThreadSanitizer knows them for what they are.
template <class T, class Change>
T change_atomically(T* address, Change change) {
  static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned> || std::is_same_v<T, unsigned long long> ||
                    std::is_same_v<T, float>,
                "CUDA has atomics for int, unsigned, unsigned long long and (to add and exchange) float");
  T before, after;
  __atomic_load(address, &before, __ATOMIC_RELAXED);
  do {
    after = change(before);
  } while (!__atomic_compare_exchange(address, &before, &after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return before;
}

template <class To, class From>
To same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(To));
  return to;
}

template <class... Parameters>
struct KernelCall {
  void (*kernel)(Parameters...);
  void** arguments;

  static void run(void* call) { static_cast<const KernelCall*>(call)->apply(std::index_sequence_for<Parameters...>()); }
  template <std::size_t... Position>
  void apply(std::index_sequence<Position...>) const {
    kernel(*static_cast<const Parameters*>(arguments[Position])...);
  }
};

// The second operand does not take part in finding T, so that atomicAdd(counter, 1) works for every counter.
template <class T>
struct Operand {
  using type = T;
};
template <class T>
using OperandOf = typename Operand<T>::type;

}  // namespace ppf::emulation

inline void __syncthreads(ppf::emulation::Site site = ppf::emulation::Site::here()) {
  ppf::emulation::barrier(false, site);
}
inline int __syncthreads_or(int predicate, ppf::emulation::Site site = ppf::emulation::Site::here()) {
  return ppf::emulation::barrier(predicate != 0, site).count > 0;
}
inline int __syncthreads_and(int predicate, ppf::emulation::Site site = ppf::emulation::Site::here()) {
  return ppf::emulation::barrier(predicate != 0, site).all;
}
inline int __syncthreads_count(int predicate, ppf::emulation::Site site = ppf::emulation::Site::here()) {
  return ppf::emulation::barrier(predicate != 0, site).count;
}

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32,
              ppf::emulation::Site site = ppf::emulation::Site::here()) {
  return ppf::emulation::shuffle(ppf::emulation::Collective::kShuffle, mask, value, lane, width, site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32,
                 ppf::emulation::Site site = ppf::emulation::Site::here()) {
  return ppf::emulation::shuffle(ppf::emulation::Collective::kShuffleUp, mask, value, static_cast<int>(distance), width,
                                 site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32,
                   ppf::emulation::Site site = ppf::emulation::Site::here()) {
  return ppf::emulation::shuffle(ppf::emulation::Collective::kShuffleDown, mask, value, static_cast<int>(distance),
                                 width, site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32,
                  ppf::emulation::Site site = ppf::emulation::Site::here()) {
  return ppf::emulation::shuffle(ppf::emulation::Collective::kShuffleXor, mask, value, lane_mask, width, site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, ppf::emulation::Site site = ppf::emulation::Site::here()) {
  return static_cast<unsigned>(ppf::emulation::vote(ppf::emulation::Collective::kBallot, mask, predicate != 0, site));
}
inline int __all_sync(unsigned mask, int predicate, ppf::emulation::Site site = ppf::emulation::Site::here()) {
  return ppf::emulation::vote(ppf::emulation::Collective::kAll, mask, predicate != 0, site) != 0;
}
inline int __any_sync(unsigned mask, int predicate, ppf::emulation::Site site = ppf::emulation::Site::here()) {
  return ppf::emulation::vote(ppf::emulation::Collective::kAny, mask, predicate != 0, site) != 0;
}
inline void __syncwarp(unsigned mask = ppf::emulation::kAllLanes,
                       ppf::emulation::Site site = ppf::emulation::Site::here()) {
  ppf::emulation::vote(ppf::emulation::Collective::kSync, mask, false, site);
}

inline void __threadfence() { ppf::emulation::fence(); }
inline void __threadfence_block() { ppf::emulation::fence(); }
inline void __threadfence_system() { ppf::emulation::fence(); }

template <class T>
T atomicAdd(T* address, ppf::emulation::OperandOf<T> value) {
  return ppf::emulation::change_atomically(address, [=](T before) { return before + value; });
}
template <class T>
T atomicSub(T* address, ppf::emulation::OperandOf<T> value) {
  static_assert(!std::is_same_v<T, float>, "CUDA subtracts integers only");
  return ppf::emulation::change_atomically(address, [=](T before) { return before - value; });
}
template <class T>
T atomicMax(T* address, ppf::emulation::OperandOf<T> value) {
  static_assert(!std::is_same_v<T, float>, "CUDA compares integers only");
  return ppf::emulation::change_atomically(address, [=](T before) { return before < value ? value : before; });
}
template <class T>
T atomicMin(T* address, ppf::emulation::OperandOf<T> value) {
  static_assert(!std::is_same_v<T, float>, "CUDA compares integers only");
  return ppf::emulation::change_atomically(address, [=](T before) { return value < before ? value : before; });
}
template <class T>
T atomicOr(T* address, ppf::emulation::OperandOf<T> value) {
  return ppf::emulation::change_atomically(address, [=](T before) { return before | value; });
}
template <class T>
T atomicAnd(T* address, ppf::emulation::OperandOf<T> value) {
  return ppf::emulation::change_atomically(address, [=](T before) { return before & value; });
}
template <class T>
T atomicXor(T* address, ppf::emulation::OperandOf<T> value) {
  return ppf::emulation::change_atomically(address, [=](T before) { return before ^ value; });
}
template <class T>
T atomicExch(T* address, ppf::emulation::OperandOf<T> value) {
  return ppf::emulation::change_atomically(address, [=](T) { return value; });
}
template <class T>
T atomicCAS(T* address, ppf::emulation::OperandOf<T> expected, ppf::emulation::OperandOf<T> value) {
  static_assert(!std::is_same_v<T, float>, "CUDA compares integers only");
  return ppf::emulation::change_atomically(address, [=](T before) { return before == expected ? value : before; });
}

template <class T>
T __ldg(const T* address) {
  return *address;
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __popcll(unsigned long long bits) { return __builtin_popcountll(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __ffsll(long long bits) { return __builtin_ffsll(bits); }
inline int __clz(int bits) { return bits == 0 ? 32 : __builtin_clz(static_cast<unsigned>(bits)); }
inline int __clzll(long long bits) { return bits == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(bits)); }
inline unsigned __float_as_uint(float value) { return ppf::emulation::same_bits<unsigned>(value); }
inline int __float_as_int(float value) { return ppf::emulation::same_bits<int>(value); }
inline float __uint_as_float(unsigned bits) { return ppf::emulation::same_bits<float>(bits); }
inline float __int_as_float(int bits) { return ppf::emulation::same_bits<float>(bits); }
// CUDA has these in the global namespace.
using std::max;
using std::min;

// Runs the kernel to its end. What a device would refuse is an Error, so that it shows in the test that did it.
template <class... Parameters>
cudaError_t cudaLaunchKernel(void (*kernel)(Parameters...), dim3 grid, dim3 block, void** arguments,
                             std::size_t shared_bytes, cudaStream_t) {
  static_assert(
      ((std::is_trivially_copy_constructible_v<Parameters> && std::is_trivially_destructible_v<Parameters>) && ...),
      "kernel parameters are copied as bytes");
  static_assert((sizeof(Parameters) + ... + 0) <= 4096, "kernel parameters take up to 4 KiB");
  const cudaError_t absent = ppf::emulation::pretended_error();
  if (absent != cudaSuccess) return absent;
  ppf::emulation::KernelCall<Parameters...> call = {kernel, arguments};
  ppf::emulation::run({reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, &call.run, &call});
  return cudaSuccess;
}

// The emulator against CUDA's rules: what intrinsics give, what is refused, and that it can be used again after an
// error.
#include <atomic>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "kernels/launch.cuh"
#include "tests/emulation/sanitizers.h"

namespace {

using ppf::emulation::Order;
using ppf::kernels::for_each;
using ppf::kernels::launch;

constexpr unsigned kEveryLane = 0xffffffffu;
constexpr const char* kOrders[] = {"ascending", "descending", "1", "2", "3"};

int failures = 0;

void expect(bool condition, const std::string& what) {
  if (condition) return;
  ++failures;
  std::printf("FAILED: %s\n", what.c_str());
}

template <class Exception>
void expect_error(const std::string& name, const std::string& says, const std::function<void()>& action) {
  std::string got = "nothing was thrown";
  try {
    action();
  } catch (const Exception& error) {
    got = error.what();
  }
  expect(got.find(says) != std::string::npos, name + ": expected \"" + says + "\", got \"" + got + "\"");
}

// Launches any callable as a kernel of `threads` threads, with a pointer to what the test wants to see afterwards.
template <class Body>
__global__ void call_kernel(Body body) {
  body();
}
template <class Body>
void on_device(dim3 grid, dim3 block, const Body& body, std::size_t shared_bytes = 0) {
  launch("test", call_kernel<Body>, grid, block, shared_bytes, nullptr, body);
}

__device__ unsigned lane() { return threadIdx.x % 32; }

void test_indices() {
  std::vector<int> seen(2 * 3 * 4 * 5 * 2 * 3, 0);
  int* const count = seen.data();
  on_device(dim3(2, 3, 4), dim3(5, 2, 3), [=] {
    const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    atomicAdd(&count[block * blockDim.x * blockDim.y * blockDim.z + thread], 1);
  });
  for (const int times : seen) expect(times == 1, "every thread of every block runs once");
}

struct Increment {
  unsigned char* count;
  __device__ void operator()(std::int64_t i) const { ++count[i]; }
};

void test_for_each() {
  // The last one has more items than for_each starts threads.
  for (const std::int64_t items : {0, 1, 255, 256, 257, (1 << 21) + 100}) {
    if (ppf::emulation::kThreadSanitizer && items > 1000) continue;  // every thread costs it a fiber
    std::vector<unsigned char> count(static_cast<std::size_t>(items) + 1, 0);
    for_each("test", items, nullptr, Increment{count.data()});
    bool once = true;
    for (std::int64_t i = 0; i < items; ++i) once = once && count[static_cast<std::size_t>(i)] == 1;
    expect(once && count.back() == 0, "for_each of " + std::to_string(items));
  }
}

void test_warp_intrinsics() {
  std::vector<int> wrong(1, 0);
  int* const errors = wrong.data();
  on_device(dim3(2), dim3(64), [=] {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const auto check = [&](bool right) {
      if (!right) atomicAdd(errors, 1);
    };
    for (int width = 1; width <= 32; width *= 2) {
      const int first = lane / width * width;
      const int past = first + width;
      check(__shfl_sync(kEveryLane, lane, 3, width) == first + 3 % width);
      check(__shfl_up_sync(kEveryLane, lane, 2, width) == (lane - 2 < first ? lane : lane - 2));
      check(__shfl_down_sync(kEveryLane, lane, 5, width) == (lane + 5 >= past ? lane : lane + 5));
      check(__shfl_xor_sync(kEveryLane, lane, 6, width) == ((lane ^ 6) >= past ? lane : lane ^ 6));
    }
    check(__shfl_sync(kEveryLane, lane + 0.5, 7) == 7.5);
    check(__ballot_sync(kEveryLane, lane % 3 == 0) == 0x49249249u);
    check(__all_sync(kEveryLane, lane < 32) == 1 && __all_sync(kEveryLane, lane < 31) == 0);
    check(__any_sync(kEveryLane, lane == 31) == 1 && __any_sync(kEveryLane, lane == 32) == 0);
    // Two halves of a warp in different code, each with its own mask.
    if (lane < 16) {
      check(__ballot_sync(0x0000ffffu, lane == 4) == 0x10u);
    } else {
      __syncwarp(0xffff0000u);
      check(__shfl_sync(0xffff0000u, lane, 20) == 20);
    }
  });
  expect(wrong[0] == 0, "warp intrinsics: " + std::to_string(wrong[0]) + " wrong results");
}

void test_barriers() {
  std::vector<int> wrong(1, 0);
  int* const errors = wrong.data();
  on_device(dim3(3), dim3(96), [=] {
    PPF_SHARED(int, written, [96]);
    const int thread = static_cast<int>(threadIdx.x);
    if (thread >= 90) return;  // those who ended are not waited for
    for (int round = 0; round < 3; ++round) {
      written[thread] = round;
      const bool right = __syncthreads_count(thread < 7) == 7 && __syncthreads_or(thread == 5) &&
                         !__syncthreads_or(0) && __syncthreads_and(1) && !__syncthreads_and(thread != 5);
      if (!right || written[89 - thread] != round) atomicAdd(errors, 1);
      __syncthreads();
    }
  });
  expect(wrong[0] == 0, "barriers: " + std::to_string(wrong[0]) + " wrong results");
}

void test_atomics_and_bits() {
  int integer = 5, least = 9, most = -3, swapped = 0;
  unsigned bits = 1;
  unsigned long long large = 0;
  float sum = 0;
  int *const integer_at = &integer, *const least_at = &least, *const most_at = &most, *const swapped_at = &swapped;
  unsigned* const bits_at = &bits;
  unsigned long long* const large_at = &large;
  float* const sum_at = &sum;
  on_device(dim3(2), dim3(64), [=] {
    const int thread = static_cast<int>(threadIdx.x);
    atomicAdd(integer_at, 1);
    atomicMin(least_at, thread - 4);
    atomicMax(most_at, thread);
    atomicOr(bits_at, 1u << (thread % 32));
    atomicAdd(large_at, 1ull << 40);
    atomicAdd(sum_at, 0.5f);
    atomicCAS(swapped_at, 0, 7);
  });
  expect(integer == 133 && least == -4 && most == 63 && swapped == 7, "integer atomics");
  expect(bits == kEveryLane && large == 128ull << 40 && sum == 64.0f, "other atomics");
  expect(__popc(0xf0u) == 4 && __ffs(8) == 4 && __ffs(0) == 0 && __clz(1) == 31 && __clz(0) == 32, "bits");
  expect(__uint_as_float(__float_as_uint(-1.5f)) == -1.5f, "the bits of a float");
}

void test_shared_memory() {
  std::vector<int> wrong(1, 0);
  int* const errors = wrong.data();
  const auto body = [=] {
    PPF_SHARED(float, plane, [4][8]);
    PPF_DYNAMIC_SHARED(int, dynamic);
    // Every block finds its memory poisoned, whatever the one before it left there.
    if (dynamic[threadIdx.x] != -1 || !std::isnan(plane[threadIdx.x / 8][threadIdx.x % 8])) atomicAdd(errors, 1);
    plane[threadIdx.x / 8][threadIdx.x % 8] = 1;
    dynamic[threadIdx.x] = 1;
  };
  on_device(dim3(3), dim3(32), body, 32 * sizeof(int));
  on_device(dim3(3), dim3(32), body, 100 * 1024);  // beyond 48 KiB, which launch() has to ask for
  expect(wrong[0] == 0, "shared memory starts poisoned");
}

// The usual last-block reduction: plain stores of other blocks are read after a fence and an atomic.
void test_fences() {
  std::vector<int> partial(20, 0);
  int done = 0, total = 0;
  int *const partial_at = partial.data(), *const done_at = &done, *const total_at = &total;
  on_device(dim3(20), dim3(1), [=] {
    partial_at[blockIdx.x] = static_cast<int>(blockIdx.x);
    __threadfence();
    if (atomicAdd(done_at, 1) != 19) return;
    __threadfence();
    for (int i = 0; i < 20; ++i) *total_at += partial_at[i];
  });
  expect(total == 190, "the last block sees what the others wrote");
}

std::vector<int> order_of_threads() {
  std::vector<int> order(3 * 64, -1);
  int next = 0;
  int *const order_at = order.data(), *const next_at = &next;
  on_device(dim3(3), dim3(64),
            [=] { order_at[atomicAdd(next_at, 1)] = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); });
  return order;
}

void test_orders() {
  std::vector<int> ascending(3 * 64);
  for (int i = 0; i < 3 * 64; ++i) ascending[static_cast<std::size_t>(i)] = i;
  const std::vector<int> descending(ascending.rbegin(), ascending.rend());
  ppf::emulation::set_thread_order(Order::kAscending);
  expect(order_of_threads() == ascending, "ascending order");
  ppf::emulation::set_thread_order("descending");
  expect(order_of_threads() == descending, "descending order");
  ppf::emulation::set_thread_order(Order::kSeeded, 1);
  const std::vector<int> first = order_of_threads();
  expect(first == order_of_threads(), "a seed gives the same order again");
  ppf::emulation::set_thread_order("2");
  expect(first != order_of_threads() && first != ascending, "another seed gives another order");
  for (const char* const text : {"", "upwards", "-1", "1x"}) {
    expect_error<ppf::emulation::Error>("order", "expected ascending", [=] { ppf::emulation::set_thread_order(text); });
  }
}

void test_switches() {
  if (ppf::emulation::kThreadSanitizer) return;
  ppf::emulation::set_thread_order(Order::kAscending);
  const std::uint64_t before = ppf::emulation::counters().switches;
  on_device(dim3(10), dim3(1024), [] {});
  expect(ppf::emulation::counters().switches - before == 10, "a block that never waits costs one switch");
}

// Counts its copies that are alive, on the stacks of threads that an error stops half-way.
struct Counted {
  std::atomic<int>* alive;
  explicit Counted(std::atomic<int>* alive) : alive(alive) { ++*alive; }
  ~Counted() { --*alive; }
};

void test_errors() {
  using ppf::emulation::Error;
  const auto refused = [](const char* name, const char* says, dim3 block, const auto& body) {
    expect_error<Error>(name, says, [&] { on_device(dim3(2), block, body); });
    test_barriers();  // still in order
  };
  refused("caller", "leaves the caller out", dim3(32), [=] { __syncwarp(0xfffffffeu); });
  refused("absent", "names lanes that have ended or never were: 0xffff0000", dim3(16), [=] { __syncwarp(); });
  refused("ended", "end", dim3(32), [=] {
    if (lane() != 9) __syncwarp();
  });
  refused("source", "reads lane 30, which is not in the mask 0x0000ffff", dim3(32), [=] {
    if (lane() < 16) __shfl_sync(0xffffu, 1, 30);
  });
  refused("width", "not a power of two", dim3(32), [=] { __shfl_sync(kEveryLane, 1, 0, 12); });
  refused("intrinsics", "does not match", dim3(32), [=] {
    if (lane() < 16) {
      __syncwarp();
    } else {
      __any_sync(kEveryLane, 1);
    }
  });
  refused("masks", "does not match", dim3(32), [=] { __any_sync(lane() < 16 ? 0x0001ffffu : kEveryLane, 1); });
  refused("deadlock", "deadlock in block (", dim3(32), [=] {
    if (lane() < 16) {
      __syncwarp();
    } else {
      __syncthreads();
    }
  });
  constexpr int kLine = __LINE__ + 3;
  const auto diverges = [] {
    if (threadIdx.x < 32) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  };
  refused("lines", ("self_test.cu:" + std::to_string(kLine)).c_str(), dim3(64), diverges);
  refused("lines", ("self_test.cu:" + std::to_string(kLine + 2)).c_str(), dim3(64), diverges);
  refused("static", "48 KiB", dim3(32), [] {
    PPF_SHARED(char, large, [48 * 1024 + 1]);
    large[0] = 0;
  });
  refused("nested", "a kernel cannot launch a kernel", dim3(1), [] { on_device(dim3(1), dim3(1), [] {}); });
  if (!ppf::emulation::kAddressSanitizer) {  // which ends the program for it
    refused("guard", "written outside of its bounds by block (", dim3(32), [] {
      PPF_SHARED(int, array, [32]);
      int* const first = array;
      first[threadIdx.x + 1] = 0;
    });
  }

  std::atomic<int> alive{0};
  std::atomic<int>* const alive_at = &alive;
  expect_error<std::runtime_error>("own exception", "from a kernel", [=] {
    on_device(dim3(1), dim3(64), [=] {
      const Counted counted(alive_at);
      if (threadIdx.x == 40) throw std::runtime_error("from a kernel");
      __syncthreads();
    });
  });
  expect(alive == 0, "an error unwinds the stacks of the threads that wait");
}

void test_configurations() {
  using ppf::emulation::Error;
  const auto refused = [](const char* says, dim3 grid, dim3 block) {
    expect_error<Error>("configuration", says, [=] { on_device(grid, block, [] {}); });
  };
  refused("a block of (1025, 1, 1)", dim3(1), dim3(1025));
  refused("a block of (32, 33, 1)", dim3(1), dim3(32, 33));
  refused("a block of (1, 1, 65)", dim3(1), dim3(1, 1, 65));
  refused("an empty block", dim3(1), dim3(0));
  refused("a grid of (1, 65536, 1)", dim3(1, 65536), dim3(1));
  refused("a grid of (1, 1, 65536)", dim3(1, 1, 65536), dim3(1));
  refused("a grid of (2147483648, 1, 1)", dim3(2147483648u), dim3(1));
  on_device(dim3(0), dim3(1025), [] {});  // no work, so nothing to refuse
  expect_error<ppf::DeviceError>("shared", "test: invalid argument",
                                 [] { on_device(dim3(1), dim3(1), [] {}, 227 * 1024 + 1); });
}

void test_device() {
  expect_error<ppf::DeviceError>("index", "device: invalid device ordinal", [] { ppf::kernels::DeviceScope scope(1); });
  expect(cudaGetLastError() == cudaSuccess, "no error is left behind for others");
  {
    const ppf::kernels::DeviceScope scope(0);
  }
  cudaEvent_t event = nullptr;
  expect(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess, "event");
  expect(cudaEventRecord(event, nullptr) == cudaSuccess && cudaStreamWaitEvent(nullptr, event, 0) == cudaSuccess &&
             cudaEventDestroy(event) == cudaSuccess,
         "events");
  for (const cudaError_t error : {cudaErrorNoDevice, cudaErrorInsufficientDriver}) {
    ppf::emulation::pretend(error);
    expect_error<ppf::DeviceError>("absent", "test: no CUDA device (", [] { on_device(dim3(1), dim3(1), [] {}); });
    expect_error<ppf::DeviceError>("absent", "device: no CUDA device (", [] { ppf::kernels::DeviceScope scope(0); });
  }
  ppf::emulation::pretend(cudaSuccess);
}

void test_concurrent_launches() {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int round = 0; round < 5; ++round) {
        std::vector<unsigned char> count(1000, 0);
        for_each("test", 1000, nullptr, Increment{count.data()});
        int sum = 0;
        int* const sum_at = &sum;
        on_device(dim3(2), dim3(64), [=] {
          const int votes = __popc(__ballot_sync(kEveryLane, 1));
          __syncthreads();
          atomicAdd(sum_at, votes);
        });
        if (sum != 2 * 64 * 32 || count[999] != 1) std::abort();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

int main() {
  for (const char* const order : kOrders) {
    ppf::emulation::set_thread_order(order);
    test_indices();
    test_for_each();
    test_warp_intrinsics();
    test_barriers();
    test_atomics_and_bits();
    test_shared_memory();
    test_fences();
    test_errors();
    test_configurations();
    test_device();
  }
  test_concurrent_launches();
  test_orders();
  test_switches();
  std::printf("%s\n", failures == 0 ? "all right" : "some tests failed");
  return failures == 0 ? 0 : 1;
}

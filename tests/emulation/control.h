// What tests steer and read: plain C++, for callers that must not see the CUDA vocabulary of emulator.h.
#pragma once

#include <cstdint>
#include <stdexcept>

namespace ppf::emulation {

// A kernel did something that hangs, is refused or is undefined on a device. The message says which block and thread,
// and the file and line of every intrinsic concerned. The emulator stays usable after it.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// In which order the blocks of a launch, and between two waits the threads of a block, run. A correct kernel gives the
// same result in every order.
enum class Order { kAscending, kDescending, kSeeded };

// For all launches that start afterwards, on any OS thread. Before the first call the order is that of the environment
// variable PPF_EMULATION_ORDER ("ascending", "descending" or a seed), and ascending without one.
void set_thread_order(Order order, std::uint64_t seed = 0);
// The same from text: "ascending", "descending" or a seed in decimal digits. Anything else is an Error.
void set_thread_order(const char* text);

struct ThreadOrder {
  Order order = Order::kAscending;
  std::uint64_t seed = 0;
};
ThreadOrder thread_order();

// What the launches of the calling OS thread have cost so far.
struct Counters {
  std::uint64_t launches = 0;
  std::uint64_t blocks = 0;
  std::uint64_t switches = 0;     // of the stack, there and back counted once
  std::uint64_t barriers = 0;     // __syncthreads that completed, once per block
  std::uint64_t collectives = 0;  // warp intrinsics that completed, once per group of lanes
};
Counters& counters();

}  // namespace ppf::emulation

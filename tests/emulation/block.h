// What a thread of a kernel can see and do: who it is, and the ways to meet other threads. emulator.h gives these their
// CUDA names; scheduler.cpp decides who runs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tests/emulation/control.h"
#include "tests/emulation/types.h"

namespace ppf::emulation {

constexpr unsigned kLanes = 32;
constexpr std::uint32_t kAllLanes = 0xffffffffu;

// Where in the kernel's source an intrinsic was called. Two calls on one line are taken for the same.
struct Site {
  const char* file = nullptr;
  int line = 0;
  bool operator==(const Site& other) const { return file == other.file && line == other.line; }
  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};

enum class Collective : std::uint8_t { kShuffle, kShuffleUp, kShuffleDown, kShuffleXor, kBallot, kAll, kAny, kSync };

// What ThreadSanitizer orders threads through; see release() and acquire() in sanitizers.h.
using Token = std::uint64_t;

class Fiber;
struct Block;
struct Warp;

struct Thread {
  enum class State : std::uint8_t { kFresh, kReady, kAtBarrier, kInWarp, kFinished };

  uint3 index;  // threadIdx
  Block* block;
  Warp* warp;
  unsigned linear;  // in the block
  unsigned lane;    // in the warp
  State state;
  Site site;  // of the intrinsic it waits in, or last waited in

  // The warp intrinsic that it waits in.
  Collective collective;
  std::uint32_t mask;
  std::uint64_t value;
  int argument;  // a shuffle's lane or distance
  int width;     // a shuffle's segment
  std::uint64_t result;

  Fiber* fiber;  // holds its stack while it waits
};

struct Warp {
  Thread* lanes;  // as many as exist
  std::uint32_t alive;
  std::uint32_t waiting;        // lanes in a warp intrinsic
  std::uint32_t syncs[kLanes];  // __syncwarps completed so far, by the lowest lane of their mask
  Token (*tokens)[2];           // two for every lowest lane, used like those of the block
};

struct Block {
  dim3 grid, size;
  uint3 index;
  Thread* threads;
  unsigned count;  // of threads
  unsigned alive;
  // The barrier that some of them wait at.
  unsigned arrived;
  Site barrier_site;
  unsigned barrier_first;  // the thread that came first, for messages
  int arrived_true;        // how many brought a true predicate
  int counted_true;        // the same of the last barrier that completed
  bool counted_all;
  std::uint32_t barriers;  // completed so far
  Token* tokens;           // two, in turn: a fast thread may reach the next barrier before a slow one has left this one
};

// The thread that runs on this OS thread; null outside of kernels. Launches of different OS threads share nothing, so
// that a test of concurrent ops tests just that. A fiber never moves to another OS thread, so the compiler may keep the
// address, and the initial-exec model spares a call per threadIdx in a shared library.
inline thread_local Thread* current __attribute__((tls_model("initial-exec"))) = nullptr;

// Ends the launch with an Error. Called inside of a kernel.
[[noreturn]] void fail(const char* what);

struct BarrierResult {
  int count;  // of true predicates
  bool all;
};
BarrierResult barrier(bool predicate, Site site);
std::uint64_t collective(Collective kind, std::uint32_t mask, std::uint64_t value, int argument, int width, Site site);
void fence();

// The block's shared memory: the array that belongs to `key`, the same for all threads, and what launch() asked for.
void* shared_array(const void* key, std::size_t bytes);
void* dynamic_shared();

// One launch, run to its end on the calling OS thread. Throws Error, or what the kernel threw.
struct Launch {
  const void* kernel;
  dim3 grid, block;
  std::size_t dynamic_bytes;
  void (*body)(void* argument);  // one thread of the kernel
  void* argument;
};
void run(const Launch& launch);

}  // namespace ppf::emulation

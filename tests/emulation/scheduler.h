// Runs the blocks of a launch one after the other, and the threads of a block as fibers, in a given order. Internal to
// the emulator.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "tests/emulation/block.h"
#include "tests/emulation/fibers.h"
#include "tests/emulation/shared_memory.h"

namespace ppf::emulation {

// Small, fast and the same on every platform, which std::shuffle is not.
class Random {
 public:
  explicit Random(std::uint64_t seed = 0) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
  }
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(((next() >> 32) * bound) >> 32); }

 private:
  std::uint64_t state_;
};

// One per OS thread: it owns the stacks, which are kept from block to block and from launch to launch.
class Scheduler {
 public:
  ~Scheduler();

  void run(const Launch& launch);
  // The current thread stops here until its state is kReady again and its turn has come.
  void wait();
  // Called when a thread has ended: those who wait for it may have to go on, or never will.
  void finished(Thread& thread);
  SharedMemory& shared() { return shared_; }
  // The error of the launch; the first one stands.
  void set_error(std::exception_ptr error);

 private:
  struct Worker;
  static void work(void* worker);

  void run_block(std::uint64_t number);
  void prepare_block(std::uint64_t number);
  void run_threads();
  void begin_round();
  Thread* next_in_round();
  void resume(Thread& thread);
  void run_thread(Thread& thread);
  Worker& worker_for(const Thread& thread);
  void cancel();
  std::string deadlock() const;

  const Launch* launch_ = nullptr;
  Order order_ = Order::kAscending;
  std::uint64_t seed_ = 0;
  Random random_;  // of the block

  Block block_ = {};
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;

  std::vector<unsigned> turns_;  // the threads in the order of this round
  std::size_t turn_ = 0;
  std::uint32_t held_back_ = 0;  // bit per warp that sits this round out
  Thread* chosen_ = nullptr;     // found by a worker that could not run it on its own stack

  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Worker*> idle_;
  std::vector<std::unique_ptr<Token[]>> tokens_;
  SharedMemory shared_;
  std::exception_ptr error_;
  bool cancelling_ = false;
};

Scheduler& scheduler();

// Lets everyone go on when all threads that are left have come to the barrier.
void complete_barrier(Block& block);

std::string describe(Site site);
std::string describe(const Thread& thread);

}  // namespace ppf::emulation

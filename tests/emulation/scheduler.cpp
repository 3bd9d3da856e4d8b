#include "tests/emulation/scheduler.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "tests/emulation/runtime.h"
#include "tests/emulation/sanitizers.h"

namespace ppf::emulation {
namespace {

// Thrown into the threads that still wait when a launch has failed, so that their stacks are unwound.
struct Cancelled {};

std::string text(uint3 index) {
  return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) + ")";
}

void check_configuration(const Launch& launch) {
  const dim3 grid = launch.grid;
  const dim3 block = launch.block;
  const auto refuse = [](const std::string& what) { throw Error("launch refused: " + what); };
  if (block.x == 0 || block.y == 0 || block.z == 0) refuse("an empty block");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) refuse("an empty grid");
  if (block.x > 1024 || block.y > 1024 || block.z > 64 || std::uint64_t{block.x} * block.y * block.z > 1024) {
    refuse("a block of " + text({block.x, block.y, block.z}) + " threads, the most is 1024 in all and 64 along z");
  }
  if (grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) {
    refuse("a grid of " + text({grid.x, grid.y, grid.z}) + " blocks, the most is (2147483647, 65535, 65535)");
  }
  if (launch.dynamic_bytes > kDefaultSharedLimit && launch.dynamic_bytes > dynamic_shared_limit(launch.kernel)) {
    refuse(std::to_string(launch.dynamic_bytes) +
           " bytes of dynamic shared memory, without having asked for the right");
  }
}

// The blocks of a launch, each exactly once. A step that has no factor in common with their number visits all of them,
// without a list that would be as long as the grid.
class BlockSequence {
 public:
  BlockSequence(Order order, std::uint64_t seed, std::uint64_t count) : count_(count) {
    if (order == Order::kDescending) {
      next_ = count - 1;
      step_ = count - 1;
    } else if (order == Order::kSeeded) {
      Random random(seed);
      next_ = random.next() % count;
      step_ = random.next() % count;
      while (std::gcd(step_, count) != 1) ++step_;
    }
  }
  std::uint64_t next() {
    const std::uint64_t block = next_;
    next_ = (next_ + step_) % count_;
    return block;
  }

 private:
  std::uint64_t count_;
  std::uint64_t next_ = 0;
  std::uint64_t step_ = 1;
};

}  // namespace

Scheduler& scheduler() {
  thread_local Scheduler scheduler;
  return scheduler;
}

void run(const Launch& launch) { scheduler().run(launch); }

// A stack, and the thread that is on it. A thread that never waits leaves its stack to the next one without a switch,
// so that a block of such threads costs one switch in all.
struct Scheduler::Worker {
  explicit Worker(Scheduler& owner) : owner(owner), fiber(&Scheduler::work, this) {}
  Scheduler& owner;
  Thread* assigned = nullptr;  // null when entered: come to an end
  bool started = false;
  Fiber fiber;
};

Scheduler::~Scheduler() {
  for (const auto& worker : workers_) {
    if (worker && worker->started) worker->fiber.enter();
  }
}

void Scheduler::work(void* argument) {
  Worker& worker = *static_cast<Worker*>(argument);
  Scheduler& self = worker.owner;
  const Unwatched unwatched;
  while (worker.assigned != nullptr) {
    Thread& thread = *worker.assigned;
    thread.fiber = &worker.fiber;
    self.run_thread(thread);
    worker.assigned = nullptr;
    // ThreadSanitizer orders what happens on one fiber, so there every thread needs one of its own.
    if (!kThreadSanitizer && !self.error_) {
      Thread* const next = self.next_in_round();
      if (next != nullptr && next->state == Thread::State::kFresh) {
        worker.assigned = next;
        continue;
      }
      self.chosen_ = next;  // it has a stack already: the scheduler goes there
    }
    if (!kThreadSanitizer) self.idle_.push_back(&worker);
    worker.fiber.leave();
  }
}

void Scheduler::run_thread(Thread& thread) {
  current = &thread;
  thread.state = Thread::State::kReady;
  try {
    const Watched watched;
    launch_->body(launch_->argument);
  } catch (const Cancelled&) {
  } catch (...) {
    set_error(std::current_exception());
  }
  release(this);  // acquired when the launch is over
  finished(thread);
  current = nullptr;
}

void Scheduler::finished(Thread& thread) {
  thread.state = Thread::State::kFinished;
  Block& block = *thread.block;
  Warp& warp = *thread.warp;
  --block.alive;
  warp.alive &= ~(1u << thread.lane);
  if (cancelling_ || error_) return;
  for (std::uint32_t left = warp.waiting; left != 0; left &= left - 1) {
    const Thread& other = warp.lanes[__builtin_ctz(left)];
    if ((other.mask >> thread.lane & 1) == 0) continue;
    set_error(std::make_exception_ptr(Error(describe(thread) + " ends while lane " + std::to_string(other.lane) +
                                            " of its warp waits for it at " + describe(other.site))));
    return;
  }
  complete_barrier(block);
}

void Scheduler::set_error(std::exception_ptr error) {
  if (!error_) error_ = std::move(error);
}

void Scheduler::wait() {
  Thread& self = *current;
  if (!cancelling_) self.fiber->leave();
  current = &self;
  if (cancelling_) throw Cancelled();
}

void Scheduler::resume(Thread& thread) {
  ++counters().switches;
  if (thread.state == Thread::State::kFresh) {
    Worker& worker = worker_for(thread);
    worker.assigned = &thread;
    worker.started = true;
    worker.fiber.enter();
  } else {
    thread.fiber->enter();
  }
  current = nullptr;
}

Scheduler::Worker& Scheduler::worker_for(const Thread& thread) {
  if (kThreadSanitizer) {
    // To ThreadSanitizer all that happens on one fiber is in order, and at a barrier a fiber hands on what it saw in
    // earlier blocks. So every thread has a fiber of its own, and the blocks of a launch take turns on two sets of
    // them: then nothing orders a block after the one before it, and a race between the two is seen.
    constexpr std::size_t kMostThreads = 1024;
    const std::size_t index = thread.linear + (counters().blocks % 2) * kMostThreads;
    if (workers_.empty()) workers_.resize(2 * kMostThreads);
    if (!workers_[index]) workers_[index] = std::make_unique<Worker>(*this);
    return *workers_[index];
  }
  if (idle_.empty()) {
    workers_.push_back(std::make_unique<Worker>(*this));
    return *workers_.back();
  }
  Worker* const worker = idle_.back();
  idle_.pop_back();
  return *worker;
}

void Scheduler::run(const Launch& launch) {
  if (current != nullptr) throw Error("a kernel cannot launch a kernel");
  check_configuration(launch);
  const Unwatched unwatched;
  const ThreadOrder order = thread_order();
  order_ = order.order;
  seed_ = order.seed;
  launch_ = &launch;
  error_ = nullptr;
  ++counters().launches;
  const std::uint64_t count = std::uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  BlockSequence blocks(order_, seed_, count);
  for (std::uint64_t turn = 0; turn < count && !error_; ++turn) run_block(blocks.next());
  acquire(this);
  shared_.end_launch();
  if (kThreadSanitizer) tokens_.clear();
  launch_ = nullptr;
  if (error_) {
    const std::exception_ptr error = std::move(error_);
    error_ = nullptr;
    std::rethrow_exception(error);
  }
}

void Scheduler::prepare_block(std::uint64_t number) {
  const dim3 grid = launch_->grid;
  const dim3 size = launch_->block;
  const unsigned count = size.x * size.y * size.z;
  const unsigned warps = (count + kLanes - 1) / kLanes;
  threads_.resize(count);
  warps_.resize(warps);
  block_ = {};
  block_.grid = grid;
  block_.size = size;
  block_.index = {static_cast<unsigned>(number % grid.x), static_cast<unsigned>(number / grid.x % grid.y),
                  static_cast<unsigned>(number / grid.x / grid.y)};
  block_.threads = threads_.data();
  block_.count = count;
  block_.alive = count;
  // Tokens that an earlier block used would order this block after that one.
  if (kThreadSanitizer || tokens_.empty()) {
    constexpr unsigned kWarpsAtMost = 32;
    tokens_.push_back(std::make_unique<Token[]>(2 + 2 * kLanes * (kThreadSanitizer ? warps : kWarpsAtMost)));
  }
  block_.tokens = tokens_.back().get();
  held_back_ = 0;
  random_ = Random(seed_ ^ number * 0x2545f4914f6cdd1du);

  uint3 index = {0, 0, 0};
  for (unsigned i = 0; i < count; ++i) {
    Thread& thread = threads_[i];
    Warp& warp = warps_[i / kLanes];
    const unsigned lane = i % kLanes;
    if (lane == 0) {
      const unsigned lanes = std::min(kLanes, count - i);
      warp.lanes = &thread;
      warp.alive = lanes == kLanes ? kAllLanes : (1u << lanes) - 1;
      warp.waiting = 0;
      std::fill(warp.syncs, warp.syncs + kLanes, 0u);
      warp.tokens = reinterpret_cast<Token(*)[2]>(block_.tokens + 2 + 2 * i);
    }
    thread.index = index;
    thread.block = &block_;
    thread.warp = &warp;
    thread.linear = i;
    thread.lane = lane;
    thread.state = Thread::State::kFresh;
    thread.site = {};
    if (++index.x == size.x) {
      index.x = 0;
      if (++index.y == size.y) {
        index.y = 0;
        ++index.z;
      }
    }
  }
  turns_.resize(count);
  std::iota(turns_.begin(), turns_.end(), 0u);
  if (order_ == Order::kDescending) std::reverse(turns_.begin(), turns_.end());
}

void Scheduler::run_block(std::uint64_t number) {
  ++counters().blocks;
  prepare_block(number);
  shared_.begin_block(launch_->dynamic_bytes);
  try {
    run_threads();
  } catch (...) {  // no memory for another stack
    set_error(std::current_exception());
  }
  if (error_) cancel();
  const char* const damage = shared_.end_block();
  if (damage != nullptr) {
    set_error(std::make_exception_ptr(Error(std::string(damage) + " by block " + text(block_.index))));
  }
}

void Scheduler::run_threads() {
  while (block_.alive > 0) {
    begin_round();
    bool moved = false;
    while (Thread* const thread = next_in_round()) {
      moved = true;
      resume(*thread);
      if (error_) return;
    }
    if (moved) continue;
    if (held_back_ != 0) continue;
    set_error(std::make_exception_ptr(Error(deadlock())));
    return;
  }
}

void Scheduler::begin_round() {
  turn_ = 0;
  if (order_ != Order::kSeeded) return;
  for (std::size_t i = turns_.size(); i > 1; --i) {
    std::swap(turns_[i - 1], turns_[random_.below(static_cast<std::uint32_t>(i))]);
  }
  // Half of the warps sit every other round out, so that some run far ahead of the others, as they do on a device.
  held_back_ = held_back_ == 0 && warps_.size() > 1 ? static_cast<std::uint32_t>(random_.next()) : 0;
}

Thread* Scheduler::next_in_round() {
  if (Thread* const chosen = chosen_) {
    chosen_ = nullptr;
    return chosen;
  }
  for (; turn_ < turns_.size(); ++turn_) {
    Thread& thread = threads_[turns_[turn_]];
    const bool may_run = thread.state == Thread::State::kFresh || thread.state == Thread::State::kReady;
    if (!may_run || (held_back_ >> (thread.linear / kLanes) & 1) != 0) continue;
    ++turn_;
    return &thread;
  }
  return nullptr;
}

void Scheduler::cancel() {
  cancelling_ = true;
  chosen_ = nullptr;
  for (Thread& thread : threads_) {
    const bool on_a_stack = thread.state != Thread::State::kFresh && thread.state != Thread::State::kFinished;
    if (on_a_stack) thread.fiber->enter();
  }
  current = nullptr;
  cancelling_ = false;
}

std::string Scheduler::deadlock() const {
  std::string message = "deadlock in block " + text(block_.index) + ":";
  int shown = 0;
  for (const Thread& thread : threads_) {
    if (thread.state == Thread::State::kFinished) continue;
    const bool as_before = thread.linear > 0 && threads_[thread.linear - 1].site.line == thread.site.line &&
                           threads_[thread.linear - 1].state == thread.state;
    if (as_before || ++shown > 8) continue;
    message += " thread " + std::to_string(thread.linear) + " waits at " + describe(thread.site) + ";";
  }
  message.pop_back();
  return message;
}

}  // namespace ppf::emulation

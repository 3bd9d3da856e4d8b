// The ways in which threads meet: barriers, warp intrinsics, fences, shared arrays.
#include <string>

#include "tests/emulation/sanitizers.h"
#include "tests/emulation/scheduler.h"

namespace ppf::emulation {
namespace {

const char* name_of(Collective kind) {
  switch (kind) {
    case Collective::kShuffle: return "__shfl_sync";
    case Collective::kShuffleUp: return "__shfl_up_sync";
    case Collective::kShuffleDown: return "__shfl_down_sync";
    case Collective::kShuffleXor: return "__shfl_xor_sync";
    case Collective::kBallot: return "__ballot_sync";
    case Collective::kAll: return "__all_sync";
    case Collective::kAny: return "__any_sync";
    case Collective::kSync: return "__syncwarp";
  }
  return "?";
}

std::string hexadecimal(std::uint32_t mask) {
  std::string digits = "0x";
  for (int shift = 28; shift >= 0; shift -= 4) digits += "0123456789abcdef"[mask >> shift & 15];
  return digits;
}

bool is_shuffle(Collective kind) { return kind <= Collective::kShuffleXor; }

[[noreturn]] void fail_in(const Thread& thread, const std::string& what) {
  throw Error(std::string(name_of(thread.collective)) + " at " + describe(thread.site) + ": " + what + "; " +
              describe(thread));
}

// The lane that a shuffle reads, with CUDA's rules for segments of `width` lanes.
unsigned source_lane(const Thread& thread) {
  const int lane = static_cast<int>(thread.lane);
  const int width = thread.width;
  const int first = lane & ~(width - 1);
  const int past = first + width;
  const int distance = thread.argument;
  int source = lane;
  switch (thread.collective) {
    case Collective::kShuffle: source = first + (distance & (width - 1)); break;
    case Collective::kShuffleUp: source = lane - distance < first ? lane : lane - distance; break;
    case Collective::kShuffleDown: source = lane + distance >= past ? lane : lane + distance; break;
    case Collective::kShuffleXor: source = (lane ^ distance) >= past ? lane : lane ^ distance; break;
    default: break;
  }
  return static_cast<unsigned>(source);
}

// Called by the lane that came last: gives every lane of the group its result and lets it go on.
void complete_group(Warp& warp, const Thread& last) {
  ++counters().collectives;
  const std::uint32_t mask = last.mask;
  std::uint32_t votes = 0;
  for (std::uint32_t left = mask; left != 0; left &= left - 1) {
    const unsigned lane = static_cast<unsigned>(__builtin_ctz(left));
    if (warp.lanes[lane].value != 0) votes |= 1u << lane;
  }
  for (std::uint32_t left = mask; left != 0; left &= left - 1) {
    Thread& thread = warp.lanes[__builtin_ctz(left)];
    if (is_shuffle(thread.collective)) {
      const unsigned source = source_lane(thread);
      if ((mask >> source & 1) == 0) {
        fail_in(thread, "reads lane " + std::to_string(source) + ", which is not in the mask " + hexadecimal(mask));
      }
      thread.result = warp.lanes[source].value;
    } else if (thread.collective == Collective::kBallot) {
      thread.result = votes;
    } else if (thread.collective == Collective::kAll) {
      thread.result = votes == mask;
    } else if (thread.collective == Collective::kAny) {
      thread.result = votes != 0;
    }
    thread.state = Thread::State::kReady;
  }
  warp.waiting &= ~mask;
  if (last.collective == Collective::kSync) ++warp.syncs[__builtin_ctz(mask)];
}

// The lanes of a __syncwarp order their memory accesses through one address. It belongs to the lowest lane of the mask,
// which every group with this address goes through: groups share it only when they are ordered anyway.
Token* sync_token(Warp& warp, std::uint32_t mask) {
  const int lowest = __builtin_ctz(mask);
  return &warp.tokens[lowest][warp.syncs[lowest] & 1];
}

}  // namespace

std::string describe(Site site) {
  return site.file == nullptr ? "its start" : std::string(site.file) + ":" + std::to_string(site.line);
}

std::string describe(const Thread& thread) {
  const uint3 block = thread.block->index;
  return "thread " + std::to_string(thread.linear) + " of block (" + std::to_string(block.x) + ", " +
         std::to_string(block.y) + ", " + std::to_string(block.z) + ")";
}

void fail(const char* what) {
  const Unwatched unwatched;
  throw Error(std::string(what) + "; " + describe(*current));
}

void complete_barrier(Block& block) {
  if (block.arrived == 0 || block.arrived < block.alive) return;
  ++counters().barriers;
  block.counted_true = block.arrived_true;
  block.counted_all = block.arrived_true == static_cast<int>(block.arrived);
  block.arrived = 0;
  block.arrived_true = 0;
  ++block.barriers;
  for (unsigned i = 0; i < block.count; ++i) {
    if (block.threads[i].state == Thread::State::kAtBarrier) block.threads[i].state = Thread::State::kReady;
  }
}

BarrierResult barrier(bool predicate, Site site) {
  const Unwatched unwatched;
  Thread& self = *current;
  Block& block = *self.block;
  self.site = site;
  if (block.arrived == 0) {
    block.barrier_site = site;
    block.barrier_first = self.linear;
  } else if (!(block.barrier_site == site)) {
    throw Error("divergent __syncthreads: " + describe(self) + " comes to the one at " + describe(site) +
                " while thread " + std::to_string(block.barrier_first) + " waits at " + describe(block.barrier_site));
  }
  ++block.arrived;
  block.arrived_true += predicate;
  self.state = Thread::State::kAtBarrier;
  Token* const token = &block.tokens[block.barriers & 1];
  release(token);
  complete_barrier(block);
  scheduler().wait();
  acquire(token);
  return {block.counted_true, block.counted_all};
}

std::uint64_t collective(Collective kind, std::uint32_t mask, std::uint64_t value, int argument, int width, Site site) {
  const Unwatched unwatched;
  Thread& self = *current;
  Warp& warp = *self.warp;
  self.site = site;
  self.collective = kind;
  self.mask = mask;
  self.value = value;
  self.argument = argument;
  self.width = width;
  if ((mask >> self.lane & 1) == 0) fail_in(self, "the mask " + hexadecimal(mask) + " leaves the caller out");
  if ((mask & ~warp.alive) != 0) {
    fail_in(self, "the mask " + hexadecimal(mask) +
                      " names lanes that have ended or never were: " + hexadecimal(mask & ~warp.alive));
  }
  if (is_shuffle(kind) && (width < 1 || width > 32 || (width & (width - 1)) != 0)) {
    fail_in(self, "the width " + std::to_string(width) + " is not a power of two up to 32");
  }
  // Everyone who waits and is named by this lane, or names it, has to wait for the same thing.
  std::uint32_t group = 1u << self.lane;
  for (std::uint32_t left = warp.waiting; left != 0; left &= left - 1) {
    const Thread& other = warp.lanes[__builtin_ctz(left)];
    const bool meets = (mask >> other.lane & 1) != 0 || (other.mask >> self.lane & 1) != 0;
    if (!meets) continue;
    if (other.collective != kind || other.mask != mask) {
      fail_in(self, "with the mask " + hexadecimal(mask) + " does not match " + name_of(other.collective) + " at " +
                        describe(other.site) + " with the mask " + hexadecimal(other.mask) + ", where lane " +
                        std::to_string(other.lane) + " waits");
    }
    group |= 1u << other.lane;
  }
  warp.waiting |= 1u << self.lane;
  self.state = Thread::State::kInWarp;
  // Votes and shuffles order no memory accesses: only __syncwarp does.
  Token* const token = kind == Collective::kSync ? sync_token(warp, mask) : nullptr;
  if (token != nullptr) release(token);
  if (group == mask) complete_group(warp, self);
  scheduler().wait();
  if (token != nullptr) acquire(token);
  return self.result;
}

void fence() {
  const Unwatched unwatched;
  // What a fence orders depends on who reads what; here every fence orders the caller after all earlier ones. That may
  // hide a race between two threads that both use fences, and never invents one.
  acquire(&counters());
  release(&counters());
}

void* shared_array(const void* key, std::size_t bytes) {
  const Unwatched unwatched;
  void* const memory = scheduler().shared().array(key, bytes);
  if (memory == nullptr) fail("more than 48 KiB of static, or 227 KiB of all shared memory");
  return memory;
}

void* dynamic_shared() {
  const Unwatched unwatched;
  return scheduler().shared().dynamic();
}

}  // namespace ppf::emulation

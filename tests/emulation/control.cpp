#include "tests/emulation/control.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

namespace ppf::emulation {
namespace {

ThreadOrder parse_order(const char* text) {
  if (std::strcmp(text, "ascending") == 0) return {Order::kAscending, 0};
  if (std::strcmp(text, "descending") == 0) return {Order::kDescending, 0};
  char* end = nullptr;
  const std::uint64_t seed = std::strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0') {
    throw Error(std::string("thread order: expected ascending, descending or a seed, got ") + text);
  }
  return {Order::kSeeded, seed};
}

// One number, read and written without locks: a lock would put the launches of different OS threads in order, and
// ThreadSanitizer could not see two ops race any more.
constexpr std::uint64_t kUnknown = 0, kAscending = 1, kDescending = 2, kFirstSeed = 3;
std::atomic<std::uint64_t> stored{kUnknown};

void store(ThreadOrder value) {
  std::uint64_t number = kFirstSeed + value.seed;
  if (value.order == Order::kAscending) number = kAscending;
  if (value.order == Order::kDescending) number = kDescending;
  stored.store(number, std::memory_order_relaxed);
}

}  // namespace

ThreadOrder thread_order() {
  if (stored.load(std::memory_order_relaxed) == kUnknown) {
    const char* const environment = std::getenv("PPF_EMULATION_ORDER");
    store(environment != nullptr && *environment != '\0' ? parse_order(environment) : ThreadOrder());
  }
  const std::uint64_t number = stored.load(std::memory_order_relaxed);
  if (number == kAscending) return {Order::kAscending, 0};
  if (number == kDescending) return {Order::kDescending, 0};
  return {Order::kSeeded, number - kFirstSeed};
}

void set_thread_order(Order order, std::uint64_t seed) { store({order, seed}); }

void set_thread_order(const char* text) { store(parse_order(text)); }

Counters& counters() {
  thread_local Counters counters;
  return counters;
}

}  // namespace ppf::emulation

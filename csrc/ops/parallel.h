// Sharing items between CPU threads. Threads live for one call: nothing survives a fork, nothing is shared between
// calls, and one thread (the default everywhere) costs nothing at all.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

namespace ppf {

// How many threads `threads` really means for so many items.
inline int thread_count(int threads, int64_t items) {
  return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(threads, items)));
}

// Calls body(first, last, thread) over [0, items) in contiguous shares. The body must not throw.
template <class Body>
void parallel_for(int64_t items, int threads, const Body& body) {
  const int count = thread_count(threads, items);
  std::vector<std::thread> helpers;
  for (int i = 1; i < count; ++i) helpers.emplace_back(body, items * i / count, items * (i + 1) / count, i);
  body(int64_t{0}, items / count, 0);
  for (std::thread& helper : helpers) helper.join();
}

}  // namespace ppf

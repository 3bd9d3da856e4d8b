// Where an op runs: the processor that owns its arrays, and the stream that orders its work there.
#pragma once

#include <cstdint>

namespace ppf {

struct Device {
  enum Kind { kCpu, kCuda } kind = kCpu;
  int index = 0;
  std::uintptr_t stream = 0;  // a cudaStream_t; 0 is the default stream
};

}  // namespace ppf

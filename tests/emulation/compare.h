// The CPU loops against the emulated kernels of the same op, bit for bit.
#pragma once

#include <cstring>
#include <initializer_list>

#include "ops/device.h"
#include "tests/core/check.h"
#include "tests/emulation/control.h"

namespace check {

inline const ppf::Device kCpuDevice;
inline const ppf::Device kEmulatedDevice{ppf::Device::kCuda, 0, 0};

// `run(device)` returns a vector of results: the same ones in every thread order.
template <class Run>
void compare(const char* what, const Run& run,
             std::initializer_list<const char*> orders = {"ascending", "descending", "1", "2", "3"}) {
  const auto expected = run(kCpuDevice);
  for (const char* order : orders) {
    ppf::emulation::set_thread_order(order);
    const auto result = run(kEmulatedDevice);
    const bool same = result.size() == expected.size() &&
                      std::memcmp(result.data(), expected.data(), sizeof(result[0]) * result.size()) == 0;
    if (!same) std::printf("    %s differs in order %s\n", what, order);
    CHECK(same);
  }
}

}  // namespace check

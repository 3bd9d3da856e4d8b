// A fiber: a function with a stack of its own, which can be left half-way and entered again where it was left. It knows
// nothing of CUDA.
#pragma once

#include <cstddef>

namespace ppf::emulation {

class Fiber {
 public:
  using Body = void (*)(void* argument);
  // The body starts at the first enter(), and must neither throw nor return while anybody may still enter it.
  Fiber(Body body, void* argument);
  // Only of a fiber that never started or whose body returned: the stack of any other still has live objects on it.
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Called outside of fibers: runs the fiber until it leaves or its body returns.
  void enter();
  // Called inside of this fiber: goes back to the caller of enter().
  void leave();

 private:
  static void begin();
  void switch_out(bool for_good);

  Body body_;
  void* argument_;
  char* mapping_ = nullptr;  // a page that may not be touched, then the stack
  char* stack_ = nullptr;
  void* first_context_ = nullptr;
  void* own_context_ = nullptr;   // where to go on in the fiber
  void* host_context_ = nullptr;  // and outside of it
  // What AddressSanitizer wants to know: the fake stack of the side that is left, the real stack of the side entered.
  void* own_fake_stack_ = nullptr;
  void* host_fake_stack_ = nullptr;
  const void* host_stack_ = nullptr;
  std::size_t host_stack_bytes_ = 0;
  // ThreadSanitizer's names of the two sides.
  void* own_identity_ = nullptr;
  void* host_identity_ = nullptr;
};

}  // namespace ppf::emulation

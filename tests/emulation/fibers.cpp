#include "tests/emulation/fibers.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#include "tests/emulation/sanitizers.h"

#if !defined(__x86_64__) || defined(PPF_EMULATION_UCONTEXT)
#define PPF_EMULATION_PORTABLE_SWITCH
#include <ucontext.h>
#endif

namespace ppf::emulation {
namespace {

// Sanitizers put a red zone around every local array, and their interceptors need room too.
constexpr std::size_t kStackBytes = (kAddressSanitizer || kThreadSanitizer ? 256 : 64) * 1024;

std::size_t page_bytes() {
  static const std::size_t bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

// begin() takes no argument, as a fresh stack has no place for one on every platform: it finds its fiber here.
thread_local Fiber* entered = nullptr;

}  // namespace

#ifndef PPF_EMULATION_PORTABLE_SWITCH

// swapcontext() asks the kernel for the signal mask every time, which makes it fifty times slower than this: push the
// registers that a callee must keep, swap stacks, pop those of the other side.
extern "C" __attribute__((visibility("hidden"))) void ppf_emulation_switch(void** save, void* load);
asm(R"(
.text
.type ppf_emulation_switch, @function
.globl ppf_emulation_switch
.hidden ppf_emulation_switch
ppf_emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size ppf_emulation_switch, . - ppf_emulation_switch
)");

namespace {

void* fresh_context(char* stack, void (*begin)()) {
  auto* top = reinterpret_cast<std::uintptr_t*>(stack + kStackBytes);
  *--top = 0;                                        // the return address of begin(): a debugger stops here
  *--top = reinterpret_cast<std::uintptr_t>(begin);  // where `ret` goes, with the alignment of a call
  for (int saved_register = 0; saved_register < 6; ++saved_register) *--top = 0;
  return top;
}

void free_context(void*) {}

// Inlined, as ThreadSanitizer would else see a call begin on one stack and end on the other.
inline __attribute__((always_inline)) void switch_context(void** save, void* load) { ppf_emulation_switch(save, load); }

}  // namespace

#else

namespace {

void* fresh_context(char* stack, void (*begin)()) {
  auto* context = new ucontext_t;
  getcontext(context);
  context->uc_stack.ss_sp = stack;
  context->uc_stack.ss_size = kStackBytes;
  context->uc_link = nullptr;
  makecontext(context, begin, 0);
  return context;
}

void free_context(void* context) { delete static_cast<ucontext_t*>(context); }

// Inlined, as ThreadSanitizer would else see a call begin on one stack and end on the other.
inline __attribute__((always_inline)) void switch_context(void** save, void* load) {
  ucontext_t here;  // in the frame that waits for it, which outlives the wait
  *save = &here;
  swapcontext(&here, static_cast<ucontext_t*>(load));
}

}  // namespace

#endif

Fiber::Fiber(Body body, void* argument) : body_(body), argument_(argument) {
  void* const mapping = mmap(nullptr, page_bytes() + kStackBytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  mapping_ = static_cast<char*>(mapping);
  stack_ = mapping_ + page_bytes();
  // A kernel that outgrows its stack stops at once, and does not write into its neighbour's.
  if (mprotect(mapping_, page_bytes(), PROT_NONE) != 0) {
    munmap(mapping_, page_bytes() + kStackBytes);
    throw std::bad_alloc();
  }
  first_context_ = fresh_context(stack_, &Fiber::begin);
  own_context_ = first_context_;
#ifdef PPF_EMULATION_TSAN
  own_identity_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
#ifdef PPF_EMULATION_TSAN
  __tsan_destroy_fiber(own_identity_);
#endif
#ifdef PPF_EMULATION_ASAN
  // The frames that never returned left their red zones behind, for whoever maps this address next.
  __asan_unpoison_memory_region(stack_, kStackBytes);
#endif
  free_context(first_context_);
  munmap(mapping_, page_bytes() + kStackBytes);
}

void Fiber::begin() {
  Fiber& self = *entered;
#ifdef PPF_EMULATION_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &self.host_stack_, &self.host_stack_bytes_);
#endif
  self.body_(self.argument_);
  self.switch_out(true);
  std::abort();  // entered after its end
}

void Fiber::enter() {
  entered = this;
#ifdef PPF_EMULATION_ASAN
  __sanitizer_start_switch_fiber(&host_fake_stack_, stack_, kStackBytes);
#endif
#ifdef PPF_EMULATION_TSAN
  constexpr unsigned kOrdered = 0;  // what was done before the launch is done for every fiber
  host_identity_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(own_identity_, kOrdered);
#endif
  switch_context(&host_context_, own_context_);
#ifdef PPF_EMULATION_ASAN
  __sanitizer_finish_switch_fiber(host_fake_stack_, nullptr, nullptr);
#endif
}

void Fiber::leave() { switch_out(false); }

void Fiber::switch_out([[maybe_unused]] bool for_good) {
#ifdef PPF_EMULATION_ASAN
  __sanitizer_start_switch_fiber(for_good ? nullptr : &own_fake_stack_, host_stack_, host_stack_bytes_);
#endif
#ifdef PPF_EMULATION_TSAN
  // Not ordered: the scheduler would hand what this fiber did on to the next, and no race would ever be seen. At its
  // end it is, as this object may be freed then.
  constexpr unsigned kOrdered = 0, kUnordered = 1;
  __tsan_switch_to_fiber(host_identity_, for_good ? kOrdered : kUnordered);
#endif
  switch_context(&own_context_, host_context_);
#ifdef PPF_EMULATION_ASAN
  __sanitizer_finish_switch_fiber(own_fake_stack_, &host_stack_, &host_stack_bytes_);
#endif
}

}  // namespace ppf::emulation

// How the emulator talks to the sanitizers, when one is compiled in; nothing otherwise.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define PPF_EMULATION_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define PPF_EMULATION_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PPF_EMULATION_ASAN 1
#elif __has_feature(thread_sanitizer)
#define PPF_EMULATION_TSAN 1
#endif
#endif

#ifdef PPF_EMULATION_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifdef PPF_EMULATION_TSAN
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace ppf::emulation {

#ifdef PPF_EMULATION_TSAN
constexpr bool kThreadSanitizer = true;
#else
constexpr bool kThreadSanitizer = false;
#endif

#ifdef PPF_EMULATION_ASAN
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

// ThreadSanitizer takes every fiber for a thread of its own, and orders two of them only where we say so. To it a
// kernel is what CUDA says it is: threads without order except at barriers. release() publishes what the calling fiber
// did so far, acquire() orders the calling fiber after all that was released there.
inline void release([[maybe_unused]] void* token) {
#ifdef PPF_EMULATION_TSAN
  __tsan_release(token);
#endif
}
inline void acquire([[maybe_unused]] void* token) {
#ifdef PPF_EMULATION_TSAN
  __tsan_acquire(token);
#endif
}

inline void ignore_accesses([[maybe_unused]] bool ignore) {
#ifdef PPF_EMULATION_TSAN
  if (ignore) {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  } else {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
#endif
}

// Around the emulator's own code, which all fibers run: to ThreadSanitizer its data would be one big race.
struct Unwatched {
  Unwatched() { ignore_accesses(true); }
  ~Unwatched() { ignore_accesses(false); }
  Unwatched(const Unwatched&) = delete;
  Unwatched& operator=(const Unwatched&) = delete;
};

// Around the kernel, inside of the above.
struct Watched {
  Watched() { ignore_accesses(false); }
  ~Watched() { ignore_accesses(true); }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;
};

}  // namespace ppf::emulation

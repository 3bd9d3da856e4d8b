#include "tests/emulation/shared_memory.h"

#include <cstring>
#include <utility>

#include "tests/emulation/runtime.h"
#include "tests/emulation/sanitizers.h"

namespace ppf::emulation {
namespace {

constexpr unsigned char kPoison = 0xff;
// AddressSanitizer has its own, and would take ours for part of the array.
constexpr std::size_t kGuardBytes = kAddressSanitizer ? 0 : 256;

bool is_poison(const char* bytes, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (static_cast<unsigned char>(bytes[i]) != kPoison) return false;
  }
  return true;
}

}  // namespace

SharedMemory::Array::Array(const void* key, std::size_t bytes)
    : key_(key), bytes_(bytes), memory_(new char[bytes + 2 * kGuardBytes]) {
  std::memset(memory_.get(), kPoison, bytes + 2 * kGuardBytes);
}

char* SharedMemory::Array::data() const { return memory_.get() + kGuardBytes; }

bool SharedMemory::Array::intact() const {
  return is_poison(data() - kGuardBytes, kGuardBytes) && is_poison(data() + bytes_, kGuardBytes);
}

void SharedMemory::begin_block(std::size_t dynamic_bytes) {
  dynamic_ = Array(nullptr, dynamic_bytes);
  dynamic_bytes_ = dynamic_bytes;
  static_bytes_ = 0;
}

const char* SharedMemory::end_block() {
  bool intact = dynamic_.intact();
  for (const Array& array : arrays_) intact = intact && array.intact();
  if (kThreadSanitizer) {
    // Freed now, this memory would be the next block's, and ThreadSanitizer would see the two blocks race for it.
    for (Array& array : arrays_) kept_.push_back(std::move(array));
    kept_.push_back(std::move(dynamic_));
  }
  arrays_.clear();
  return intact ? nullptr : "a shared array was written outside of its bounds";
}

void SharedMemory::end_launch() { kept_.clear(); }

void* SharedMemory::array(const void* key, std::size_t bytes) {
  for (const Array& array : arrays_) {
    if (array.key() == key) return array.data();
  }
  static_bytes_ += bytes;
  if (static_bytes_ > kDefaultSharedLimit || static_bytes_ + dynamic_bytes_ > kSharedLimit) return nullptr;
  arrays_.emplace_back(key, bytes);
  return arrays_.back().data();
}

}  // namespace ppf::emulation

// The shared memory of a block. Internal to the emulator.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace ppf::emulation {

// Every array has exactly its size, so that AddressSanitizer sees an index past its end; without it, guard bytes around
// the array show a write past the end when the block is over. Both array and guards start as 0xFF bytes: NaN as floats
// and -1 as integers, so that what nobody wrote shows in the result.
class SharedMemory {
 public:
  void begin_block(std::size_t dynamic_bytes);
  // What is wrong with the memory that the block leaves behind; null when nothing is.
  const char* end_block();
  // Frees what end_block() had to keep.
  void end_launch();

  void* dynamic() { return dynamic_.data(); }
  // The array of that key, made when its first thread asks; null when the block has no room for it.
  void* array(const void* key, std::size_t bytes);

 private:
  class Array {
   public:
    Array() = default;
    Array(const void* key, std::size_t bytes);
    const void* key() const { return key_; }
    char* data() const;
    bool intact() const;

   private:
    const void* key_ = nullptr;
    std::size_t bytes_ = 0;
    std::unique_ptr<char[]> memory_;
  };

  Array dynamic_;
  std::size_t dynamic_bytes_ = 0;
  std::size_t static_bytes_ = 0;
  std::vector<Array> arrays_;
  std::vector<Array> kept_;
};

}  // namespace ppf::emulation

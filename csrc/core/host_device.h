// What a header of `core` needs to be the same algorithm for every processor.
#pragma once

// The CPU loops are compiled once per instruction set (csrc/loops). An inline function that a compiler chose not to
// inline would then exist several times under one name, the linker would keep any one of them, and an old CPU could
// meet AVX-512 code. So every function of `core` is forced inline: no copy is left for the linker to choose from.
#if defined(__CUDACC__)
#define PPF_HD __host__ __device__ __forceinline__
#else
#define PPF_HD inline __attribute__((always_inline))
#endif

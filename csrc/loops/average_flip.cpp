// Flip-test averaging: maps and mirrored maps, read once, written once.
#include "core/flip.h"
#include "loops/loops.h"

namespace ppf::loops::PPF_ISA {
namespace {

template <class T>
void average_flip_of(const MapView& maps, const MapView& flipped, const FlipPairs& pairs, bool shift,
                     const MapTarget& out, int64_t first, int64_t last) {
  for (int64_t index = first; index < last; ++index) {
    const int64_t n = index / maps.k, k = index % maps.k;
    const T* straight = static_cast<const T*>(maps.data) + n * maps.stride_n + k * maps.stride_k;
    const T* mirrored =
        static_cast<const T*>(flipped.data) + n * flipped.stride_n + pairs.partner[k] * flipped.stride_k;
    T* target = static_cast<T*>(out.data) + n * out.stride_n + k * out.stride_k;
    const bool is_contiguous = maps.stride_x == 1 && flipped.stride_x == 1 && out.stride_x == 1;
    for (int y = 0; y < maps.height; ++y) {
      const T* a = straight + y * maps.stride_y;
      const T* b = mirrored + y * flipped.stride_y;
      T* to = target + y * out.stride_y;
      if (is_contiguous) {
        const int unshifted = shift ? 1 : 0;
        for (int x = 0; x < unshifted; ++x) to[x] = flip_mean(a[x], b[mirrored_column(x, maps.width, shift)]);
        const T* from = b + mirrored_column(unshifted, maps.width, shift) + unshifted;
        for (int x = unshifted; x < maps.width; ++x) to[x] = flip_mean(a[x], from[-x]);
      } else {
        for (int x = 0; x < maps.width; ++x) {
          to[x * out.stride_x] =
              flip_mean(a[x * maps.stride_x], b[mirrored_column(x, maps.width, shift) * flipped.stride_x]);
        }
      }
    }
  }
}

}  // namespace

void average_flip(const MapView& maps, const MapView& flipped, const FlipPairs& pairs, bool shift, const MapTarget& out,
                  int64_t first, int64_t last) {
  if (maps.is_half) {
    average_flip_of<Half>(maps, flipped, pairs, shift, out, first, last);
  } else {
    average_flip_of<float>(maps, flipped, pairs, shift, out, first, last);
  }
}

}  // namespace ppf::loops::PPF_ISA

// Crops on the CPU. Three ways to the same bits:
//   upright   the crop is not turned: source rows are blended vertically once per crop row, in memory order, and the
//             horizontal blend then reads the blended row. Most crops of a pose pipeline take this way.
//   turned    four neighbours are fetched per pixel, while all of them lie inside the image.
//   any       crop_pixel() of core, for borders, grey, NV12 and float images that the two above leave out.
#include "core/crop.h"

#include <cstring>

#include "loops/loops.h"

namespace ppf::loops::PPF_ISA {
namespace {

constexpr int kTile = 256;            // crop columns per pass
constexpr int kBlendedPixels = 2048;  // source columns that a tile may span: a reduction of 8 at full width

// One colour and a lane that nobody reads: a vector register on every processor.
typedef float Quad __attribute__((vector_size(16)));

// Samples per step of the vertical blend, and whether that step stays a loop for GCC to vectorise or is unrolled into
// statements that it joins to vectors again: whichever it makes of it the better code with these registers. Measured on
// a row of 921 samples: 70 ns with AVX-512, 120 ns with AVX2, 190 ns with SSE2; the wrong choice takes 650 to 1000.
#if defined(__AVX512F__)
constexpr int kChunk = 16;
#define PPF_KEEP_LOOP
#elif defined(__AVX2__)
constexpr int kChunk = 32;
#define PPF_KEEP_LOOP _Pragma("GCC unroll 1")
#else
constexpr int kChunk = 16;
#define PPF_KEEP_LOOP _Pragma("GCC unroll 1")
#endif

// By way of int, which vector units have an instruction for.
PPF_HD float as_float(uint8_t sample) { return static_cast<float>(static_cast<int>(sample)); }
PPF_HD float as_float(float sample) { return sample; }

template <class Vector, class Element>
PPF_HD Vector load(const Element* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

template <class Vector>
PPF_HD void store(float* to, Vector vector) {
  std::memcpy(to, &vector, sizeof vector);
}

// Colours that the horizontal blend works on at once.
#ifdef __AVX2__
constexpr int kGroup = 8;
#else
constexpr int kGroup = 4;
#endif

// What the loops below keep on the stack is aligned by hand: GCC 12 writes some of it with aligned stores once it has
// vectorised a loop over it, and does not lay it out for them.

// A tile of one crop row, channel by channel and in source order, before normalisation. Room for a last whole group.
struct alignas(64) Row {
  float channel[3][kTile + kGroup];
};

// Writes the first `count` colours of a row to crop row v from column u on: normalised, in the target's order and type.
template <class Element, class Convert>
PPF_HD void store_row_as(const CropSpec& spec, const CropTarget& out, int64_t p, int v, int u, int count,
                         const Row& row, Convert convert) {
  Element* const first =
      static_cast<Element*>(out.data) + p * out.crop_stride + v * out.row_stride + u * out.column_stride;
  for (int c = 0; c < spec.channels; ++c) {
    const float* __restrict from = row.channel[spec.order[c]];
    const float gain = spec.gain.channel[spec.order[c]], bias = spec.bias.channel[spec.order[c]];
    Element* __restrict to = first + c * out.channel_stride;
    if (out.column_stride == 1) {
      for (int i = 0; i < count; ++i) to[i] = convert(from[i] * gain + bias);
    } else if (out.column_stride == 3) {
      for (int i = 0; i < count; ++i) to[3 * i] = convert(from[i] * gain + bias);
    } else {
      for (int i = 0; i < count; ++i) to[i * out.column_stride] = convert(from[i] * gain + bias);
    }
  }
}

void store_row(const CropSpec& spec, const CropTarget& out, int64_t p, int v, int u, int count, const Row& row) {
  switch (out.type) {
    case ElementType::kFloat32:
      return store_row_as<float>(spec, out, p, v, u, count, row, [](float value) { return value; });
    case ElementType::kFloat16:
      return store_row_as<Half>(spec, out, p, v, u, count, row, [](float value) { return to_half(value); });
    case ElementType::kUint8:
      return store_row_as<uint8_t>(spec, out, p, v, u, count, row, [](float value) { return to_byte(value); });
  }
}

struct Job {
  const CropSpec& spec;
  const Image& image;
  const FixedAffine& position;
  const CropTarget& out;
  int64_t crop;
};

template <class Sample>
void crop_any(const Job& job, int v, int first, int last) {
  for (int u = first; u < last; ++u) {
    store_pixel(job.spec, job.out, job.crop, v, u, crop_pixel<Sample>(job.spec, job.image, job.position, v, u));
  }
}

// blended[i] = lerp(above[i], below[i], t) over `count` samples.
template <class Sample>
__attribute__((noinline)) void blend_rows(const Sample* above, const Sample* below, float t, int count,
                                          float* __restrict blended) {
  if (count < kChunk) {
    for (int i = 0; i < count; ++i) blended[i] = lerp(as_float(above[i]), as_float(below[i]), t);
    return;
  }
  // The last chunk ends with the row and may repeat samples of the one before.
  for (int i = 0; i < count; i += kChunk) {
    const int at = smaller(i, count - kChunk);
    const Sample *from = above + at, *to = below + at;
    float* result = blended + at;
    PPF_KEEP_LOOP
    for (int j = 0; j < kChunk; ++j) result[j] = lerp(as_float(from[j]), as_float(to[j]), t);
  }
}

template <class Sample>
void blend_with_fill(const Sample* row, const Pixel& fill, bool row_is_above, float t, int pixels,
                     float* __restrict blended) {
  for (int i = 0; i < pixels; ++i) {
    for (int c = 0; c < 3; ++c) {
      const float inside = static_cast<float>(row[3 * i + c]), outside = fill.channel[c];
      blended[3 * i + c] = row_is_above ? lerp(inside, outside, t) : lerp(outside, inside, t);
    }
  }
}

// The replicate rule beside the image: `count` copies of one blended column.
template <class Sample>
void repeat_column(const Sample* above, const Sample* below, float t, int column, float* blended, int count) {
  for (int i = 0; i < count; ++i) {
    blend_rows(above + 3 * static_cast<int64_t>(column), below + 3 * static_cast<int64_t>(column), t, 3,
               blended + 3 * i);
  }
}

// Where byte c of memory ends up in a word.
PPF_HD int byte_shift(int c) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  return 24 - 8 * c;
#else
  return 8 * c;
#endif
}

// Where each column of a tile reads the blended row, and how far it is to the next sample.
struct alignas(64) Columns {
  int32_t offset[kTile + kGroup];  // of the left tap in floats; a last group is filled up with zeros
  // Fractions, a copy for each channel, in the order in which blend_group() wants them.
  float fraction[(kTile + kGroup) / kGroup][4][kGroup];
  int32_t left, right;  // first and one past the last source column, before any border rule
};

bool place_columns(const FixedAffine& position, int first, int count, Columns& columns) {
  const Fixed start = position.x + position.x_along_u * first;
  const Tap one_end = tap_at(start), other_end = tap_at(start + position.x_along_u * (count - 1));
  columns.left = smaller(one_end.index, other_end.index);
  columns.right = larger(one_end.index, other_end.index) + 2;
  if (columns.right - columns.left > kBlendedPixels) return false;
  for (int i = 0; i < count + kGroup - 1; ++i) {
    const Tap tap = tap_at(start + position.x_along_u * (i < count ? i : 0));
    columns.offset[i] = (tap.index - columns.left) * 3;
    float* copies = columns.fraction[i / kGroup][i % 4] + i % kGroup / 4 * 4;
    for (int c = 0; c < 4; ++c) copies[c] = tap.fraction;
  }
  return true;
}

#ifdef __AVX2__
// Colours i and i + 4 of a group share a register: half the arithmetic, and the shuffles stay within its halves.
typedef float Group __attribute__((vector_size(32)));

PPF_HD Group load_colours(const float* line, const int32_t* offset) {
  return __builtin_shufflevector(load<Quad>(line + offset[0]), load<Quad>(line + offset[4]), 0, 1, 2, 3, 4, 5, 6, 7);
}

// From four registers of colours to one per channel.
PPF_HD void store_channels(Group a, Group b, Group c, Group d, Row& row, int i) {
  const Group low_ab = __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
  const Group low_cd = __builtin_shufflevector(c, d, 0, 8, 1, 9, 4, 12, 5, 13);
  const Group high_ab = __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
  const Group high_cd = __builtin_shufflevector(c, d, 2, 10, 3, 11, 6, 14, 7, 15);
  store(row.channel[0] + i, __builtin_shufflevector(low_ab, low_cd, 0, 1, 8, 9, 4, 5, 12, 13));
  store(row.channel[1] + i, __builtin_shufflevector(low_ab, low_cd, 2, 3, 10, 11, 6, 7, 14, 15));
  store(row.channel[2] + i, __builtin_shufflevector(high_ab, high_cd, 0, 1, 8, 9, 4, 5, 12, 13));
}
#else
typedef Quad Group;

PPF_HD Group load_colours(const float* line, const int32_t* offset) { return load<Quad>(line + offset[0]); }

PPF_HD void store_channels(Group a, Group b, Group c, Group d, Row& row, int i) {
  for (int channel = 0; channel < 3; ++channel) {
    store(row.channel[channel] + i, Quad{a[channel], b[channel], c[channel], d[channel]});
  }
}
#endif

PPF_HD Group blend_colours(const float* line, const int32_t* offset, const float* fraction) {
  const Group from = load_colours(line, offset), to = load_colours(line + 3, offset);
  return from + load<Group>(fraction) * (to - from);
}

// A group of colours at a time, turned from a vector per colour into one per channel.
PPF_HD void blend_columns(const float* blended, const Columns& columns, int count, Row& row) {
  for (int i = 0; i < count; i += kGroup) {
    const int32_t* offset = columns.offset + i;
    const auto& fraction = columns.fraction[i / kGroup];
    store_channels(blend_colours(blended, offset, fraction[0]), blend_colours(blended, offset + 1, fraction[1]),
                   blend_colours(blended, offset + 2, fraction[2]), blend_colours(blended, offset + 3, fraction[3]),
                   row, i);
  }
}

// One tile of an upright crop: all rows, `count` columns from `first` on. False when it reduces too much for the
// buffer.
template <class Sample>
bool crop_upright(const Job& job, int first, int count) {
  Columns columns;
  if (!place_columns(job.position, first, count, columns)) return false;
  const Image& image = job.image;
  const Pixel& fill = job.spec.fill;
  const bool constant = job.spec.border == Border::kConstant;

  alignas(64) float blended[3 * kBlendedPixels + 4];
  Row row;
  // The part of [left, right) that lies inside the image, and what the border rule makes of the rest.
  const int inside_left = clamp_to(columns.left, 0, image.width);
  const int inside_right = clamp_to(columns.right, inside_left, image.width);
  float* const inside = blended + 3 * (inside_left - columns.left);
  const int inside_pixels = inside_right - inside_left;
  for (int x = 0; x < columns.right - columns.left; ++x) {
    for (int c = 0; c < 3; ++c) blended[3 * x + c] = fill.channel[c];
  }
  for (int c = 0; c < 4; ++c) blended[3 * (columns.right - columns.left) + c] = 0.0f;

  for (int v = 0; v < job.out.height; ++v) {
    const Tap y = tap_at(job.position.y + job.position.y_along_v * v);
    int above = y.index, below = y.index + 1;
    if (!constant) {
      above = clamp_to(above, 0, image.height - 1);
      below = clamp_to(below, 0, image.height - 1);
    }
    const bool has_above = above >= 0 && above < image.height, has_below = below >= 0 && below < image.height;
    const Sample* samples = static_cast<const Sample*>(image.data);
    if (constant || inside_pixels > 0) {
      const int64_t column = static_cast<int64_t>(inside_left) * 3;
      const Sample* row_above = has_above ? samples + above * image.row_stride + column : nullptr;
      const Sample* row_below = has_below ? samples + below * image.row_stride + column : nullptr;
      if (has_above && has_below) {
        blend_rows(row_above, row_below, y.fraction, 3 * inside_pixels, inside);
      } else if (has_above) {
        blend_with_fill(row_above, fill, true, y.fraction, inside_pixels, inside);
      } else if (has_below) {
        blend_with_fill(row_below, fill, false, y.fraction, inside_pixels, inside);
      } else {
        for (int i = 0; i < inside_pixels; ++i) {
          for (int c = 0; c < 3; ++c) inside[3 * i + c] = fill.channel[c];
        }
      }
    }
    if (!constant) {
      const Sample* row_above = samples + above * image.row_stride;
      const Sample* row_below = samples + below * image.row_stride;
      repeat_column(row_above, row_below, y.fraction, 0, blended, smaller(columns.right, 0) - columns.left);
      const int beyond = larger(columns.left, image.width);
      repeat_column(row_above, row_below, y.fraction, image.width - 1, blended + 3 * (beyond - columns.left),
                    columns.right - beyond);
    }
    blend_columns(blended, columns, count, row);
    store_row(job.spec, job.out, job.crop, v, first, count, row);
  }
  return true;
}

// True when the four neighbours of pixel (v, u) lie inside the image, with one more column because a word reads a byte
// past its pixel.
PPF_HD bool has_neighbours(const Job& job, int v, int u) {
  const FixedAffine& at = job.position;
  const int32_t x = tap_at(at.x + at.x_along_u * u + at.x_along_v * v).index;
  const int32_t y = tap_at(at.y + at.y_along_u * u + at.y_along_v * v).index;
  return x >= 0 && x < job.image.width - 2 && y >= 0 && y < job.image.height - 1;
}

// Narrows [first, last) to where the position along one axis, start + u * step, is in [0, limit).
void narrow(double start, double step, double limit, int& first, int& last) {
  if (step == 0.0) {
    if (start < 0.0 || start >= limit) last = first;
    return;
  }
  const double one = -start / step, other = (limit - start) / step;
  const double low = one < other ? one : other, high = one < other ? other : one;
  if (low > first) first = low < last ? static_cast<int>(low) : last;
  if (high < last) last = high > first ? static_cast<int>(high) + 1 : first;
}

// The pixels of a tile row for which has_neighbours() holds: an interval, since positions move on a line.
void find_inside(const Job& job, int v, int& first, int& last) {
  constexpr double kUnit = 1.0 / 4294967296.0;
  const FixedAffine& at = job.position;
  narrow(static_cast<double>(at.x + at.x_along_v * v) * kUnit, static_cast<double>(at.x_along_u) * kUnit,
         job.image.width - 2, first, last);
  narrow(static_cast<double>(at.y + at.y_along_v * v) * kUnit, static_cast<double>(at.y_along_u) * kUnit,
         job.image.height - 1, first, last);
  // The quotients are rounded; what decides is the fixed-point position.
  while (first < last && !has_neighbours(job, v, first)) ++first;
  while (first < last && !has_neighbours(job, v, last - 1)) --last;
}

// The four neighbours of each pixel of a tile row, a 32-bit word per neighbour of which three bytes are the colour.
struct alignas(64) Neighbours {
  uint32_t top_left[kTile], top_right[kTile], bottom_left[kTile], bottom_right[kTile];
  float right[kTile], down[kTile];
};

void crop_turned_row(const Job& job, int v, int first, int count, Neighbours& n, Row& row) {
  const FixedAffine& at = job.position;
  const uint8_t* samples = static_cast<const uint8_t*>(job.image.data);
  const int64_t below = job.image.row_stride;
  Fixed x = at.x + at.x_along_u * first + at.x_along_v * v;
  Fixed y = at.y + at.y_along_u * first + at.y_along_v * v;
  for (int i = 0; i < count; ++i) {
    const Tap tx = tap_at(x), ty = tap_at(y);
    const uint8_t* p = samples + ty.index * below + 3 * static_cast<int64_t>(tx.index);
    n.top_left[i] = load<uint32_t>(p);
    n.top_right[i] = load<uint32_t>(p + 3);
    n.bottom_left[i] = load<uint32_t>(p + below);
    n.bottom_right[i] = load<uint32_t>(p + below + 3);
    n.right[i] = tx.fraction;
    n.down[i] = ty.fraction;
    x += at.x_along_u;
    y += at.y_along_u;
  }
  for (int c = 0; c < 3; ++c) {
    const int shift = byte_shift(c);
    const auto sample = [shift](uint32_t word) {
      return static_cast<float>(static_cast<int32_t>(word >> shift & 255));
    };
    for (int i = 0; i < count; ++i) {
      const float left = lerp(sample(n.top_left[i]), sample(n.bottom_left[i]), n.down[i]);
      const float right = lerp(sample(n.top_right[i]), sample(n.bottom_right[i]), n.down[i]);
      row.channel[c][i] = lerp(left, right, n.right[i]);
    }
  }
}

void crop_one(const Job& job) {
  const CropSpec& spec = job.spec;
  const bool colour = spec.source == Source::kRgb || spec.source == Source::kBgr;
  const bool bytes = spec.samples == ElementType::kUint8;
  const bool upright = job.position.x_along_v == 0 && job.position.y_along_u == 0;
  Row row;
  Neighbours neighbours;
  for (int first = 0; first < job.out.width; first += kTile) {
    const int count = smaller(kTile, job.out.width - first);
    if (colour && upright &&
        (bytes ? crop_upright<uint8_t>(job, first, count) : crop_upright<float>(job, first, count))) {
      continue;
    }
    for (int v = 0; v < job.out.height; ++v) {
      int inside = first, outside = colour && bytes ? first + count : first;
      find_inside(job, v, inside, outside);
      if (inside < outside) {
        crop_turned_row(job, v, inside, outside - inside, neighbours, row);
        store_row(spec, job.out, job.crop, v, inside, outside - inside, row);
      }
      if (bytes) {
        crop_any<uint8_t>(job, v, first, inside);
        crop_any<uint8_t>(job, v, outside, first + count);
      } else {
        crop_any<float>(job, v, first, first + count);
      }
    }
  }
}

void fill_one(const CropSpec& spec, const CropTarget& out, int64_t p) {
  const Pixel pixel = empty_pixel(spec);
  for (int v = 0; v < out.height; ++v) {
    for (int u = 0; u < out.width; ++u) store_pixel(spec, out, p, v, u, pixel);
  }
}

}  // namespace

void crop(const CropSpec& spec, const Image* images, int64_t image_count, const View<const double, 3>& inverses,
          const View<const int32_t, 1>& image_index, const CropTarget& out, int64_t first, int64_t last) {
  for (int64_t p = first; p < last; ++p) {
    const int64_t index = image_index.data == nullptr ? 0 : image_index(p);
    const FixedAffine position = fixed_affine(load_affine(inverses, p), out.height, out.width);
    if (!position.usable || index < 0 || index >= image_count) {
      fill_one(spec, out, p);
    } else {
      crop_one({spec, images[index], position, out, p});
    }
  }
}

}  // namespace ppf::loops::PPF_ISA

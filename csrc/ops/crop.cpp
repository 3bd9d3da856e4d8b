#include "core/crop.h"

#include <cmath>
#include <cstdio>

#include "loops/loops.h"
#include "ops/error.h"
#include "ops/ops.h"
#include "ops/parallel.h"
#include "ops/run_on.h"

namespace ppf::ops {
namespace {

std::string item(const std::string& argument, int64_t index) { return argument + "[" + std::to_string(index) + "]"; }

std::string text_of(const View<const double, 1>& row) {
  std::string text;
  for (int64_t i = 0; i < row.size[0]; ++i) {
    char number[32];
    std::snprintf(number, sizeof number, "%s%.6g", i == 0 ? "" : ", ", row(i));
    text += number;
  }
  return "[" + text + "]";
}

// What region p was described by, for a message.
std::string text_of(const AffineSpec& spec, const RegionSource& source, int64_t p) {
  if (spec.kind == RegionKind::kJoint) {
    const int64_t joints = source.points.size[1];
    return "joint " + std::to_string(p % joints) + " at " + text_of(source.points[p / joints][p % joints]) +
           ", reference joints at " + text_of(source.points[p / joints][spec.reference[0]]) + " and " +
           text_of(source.points[p / joints][spec.reference[1]]);
  }
  const std::string first = text_of(source.first[p]);
  return source.second.data == nullptr ? first : first + " with " + text_of(source.second[p]);
}

bool is_sane(const View<const double, 1>& row) {
  constexpr double kFar = 1 << 29;
  for (int64_t i = 0; i < row.size[0]; ++i) {
    if (!(std::fabs(row(i)) < kFar)) return false;
  }
  return true;
}

// Which of the arguments that describe region p is at fault.
std::string culprit(const AffineSpec& spec, const RegionSource& source, const std::string& argument, int64_t p) {
  if (spec.kind == RegionKind::kJoint) return item(argument, p / source.points.size[1]);
  if (is_sane(source.first[p])) {
    if (spec.angle_rad.data != nullptr && !is_finite(spec.angle_rad(p))) return item("angle_rad", p);
    if (spec.kind == RegionKind::kScale) return item("scales", p);
    if (spec.kind == RegionKind::kAxis) return item("ends", p);
  }
  return item(argument, p);
}

// Inverts all affines, and raises for one that cannot be used.
void invert(const View<const double, 3>& affines, const View<double, 3>& inverses, int height, int width) {
  for (int64_t p = 0; p < affines.size[0]; ++p) {
    const Affine inverse = inverse_of(load_affine(affines, p));
    if (!fixed_affine(inverse, height, width).usable) {
      const View<const double, 2> affine = affines[p];
      throw InputError(item("affines", p), "a finite, invertible affine whose crop lies within 2^30 px of the image",
                       "[" + text_of(affine[0]) + ", " + text_of(affine[1]) + "]");
    }
    store_affine(inverses, p, inverse);
  }
}

void check_image_index(const View<const int32_t, 1>& image_index, int64_t images) {
  if (image_index.data == nullptr) return;
  for (int64_t p = 0; p < image_index.size[0]; ++p) {
    if (image_index(p) < 0 || image_index(p) >= images) {
      throw InputError(item("image_index", p), "an index below " + std::to_string(images),
                       std::to_string(image_index(p)));
    }
  }
}

}  // namespace

void region_affines(const AffineSpec& spec, const RegionSource& source, const View<double, 3>& affines,
                    const View<double, 3>& inverses, const std::string& argument, const Device& device) {
  run_on(
      device,
      [&] {
        for (int64_t p = 0; p < affines.size[0]; ++p) {
          if (write_region_affine(spec, source, p, affines, inverses)) continue;
          throw InputError(culprit(spec, source, argument, p), "finite numbers and an area above 0, within 2^29 px",
                           text_of(spec, source, p),
                           spec.kind == RegionKind::kBox ? "a box is x1, y1, x2, y2 with x1 < x2 and y1 < y2" : "");
        }
      },
      [&](const auto& gpu) { gpu.region_affines(spec, source, affines, inverses); });
}

void crop(const CropSpec& spec, const ImageTable& images, const View<const double, 3>& affines,
          const View<const int32_t, 1>& image_index, const CropTarget& out, const View<double, 3>& inverses,
          int threads, const Device& device) {
  if (out.count == 0) return;
  if (images.count == 0) throw InputError("images", "at least one image, since there are affines", "none");
  run_on(
      device,
      [&] {
        invert(affines, inverses, out.height, out.width);
        check_image_index(image_index, images.count);
        const View<const double, 3> positions = as_input(inverses);
        parallel_for(out.count, threads, [&](int64_t first, int64_t last, int) {
          loops::table().crop(spec, images.images, images.count, positions, image_index, out, first, last);
        });
      },
      [&](const auto& gpu) {
        gpu.invert_affines(affines, inverses);
        gpu.crop(spec, images, as_input(inverses), image_index, out);
      });
}

void transform_points(const View<const float, 3>& points, const View<const double, 3>& affines,
                      const View<float, 3>& out, const Device& device) {
  run_on(
      device,
      [&] {
        for (int64_t p = 0; p < points.size[0]; ++p) {
          const Affine affine = load_affine(affines, p);
          for (int64_t k = 0; k < points.size[1]; ++k) {
            transform_point(affine, points(p, k, 0), points(p, k, 1), out(p, k, 0), out(p, k, 1));
          }
        }
      },
      [&](const auto& gpu) { gpu.transform_points(points, affines, out); });
}

}  // namespace ppf::ops

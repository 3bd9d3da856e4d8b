// Region -> crop and back: the only file with half pixels. docs/conventions.md has the drawings.
//
// A region is the part of an image that becomes a crop: a rectangle, perhaps turned. Its centre is given in edge
// coordinates (the left edge of the image is 0, the centre of the first pixel 0.5), its sides in pixels. Everything
// published maps to a region first and then, by one of three alignments, to an affine.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/elementary.h"
#include "core/host_device.h"
#include "core/view.h"

namespace ppf {

// Takes (x, y) to (a x + b y + c, d x + e y + f).
struct Affine {
  double a, b, c, d, e, f;
};

struct Region {
  double x, y;           // centre, edge coordinates
  double width, height;  // > 0, pixels
  double cosine, sine;   // of the turn, clockwise as seen on the screen (y points down)
};

// How the pixels of the region meet those of the crop.
enum class Alignment : int32_t {
  kHalfPixel,  // areas meet areas: exact geometry, what resizing libraries call half-pixel centres
  kCorner,     // HRNet, SimpleBaseline, hourglass: the half pixel is ignored on both sides
  kUdp,        // first and last pixel centres meet: sides are lengths between centres (UDP, ViTPose, RTMPose)
};

// What describes the regions; `first` and `second` are the arrays of RegionSource.
enum class RegionKind : int32_t {
  kBox,    // first [P, 4]: x1 y1 x2 y2, edge coordinates
  kScale,  // first [P, 2]: centre x y; second [P, 2]: scales x y, a side being scale * unit_px
  kJoint,  // points [B, K, 2], pixel-centre coordinates: a square around each, side = reach * size of the pose
  kAxis,   // first [P, 2]: start x y; second [P, 2]: end x y, pixel-centre coordinates: a square around start, turned
           // so that end is above it, half side = reach * length
  kLetterbox,  // first [P, 2]: height, width of an image, all of which must fit
};

struct RegionSource {
  View<const double, 2> first, second;
  View<const double, 3> points;
};

enum class Fit : int32_t {
  kExpand,   // the shorter side grows until the region has the crop's aspect
  kStretch,  // the aspect is given up
};

struct AffineSpec {
  RegionKind kind = RegionKind::kBox;
  Alignment alignment = Alignment::kHalfPixel;
  Fit fit = Fit::kExpand;
  double padding = 1.0;    // factor on both sides, after fitting
  double unit_px = 200.0;  // kScale: what a scale of 1 measures
  double reach = 1.25;     // kJoint: side over the size of the pose; kAxis: half side over the length of the axis
  int32_t reference[2] = {0, 0};  // kJoint: the two joints whose distance is the size of the pose
  bool top_left = false;          // kLetterbox: the image at the crop's top left, not in its middle
  int32_t height = 0, width = 0;  // of the crop
  // Per region, or absent (data == nullptr): the turn in radians, and whether the crop shows the mirror image.
  View<const double, 1> angle_rad;
  View<const uint8_t, 1> mirror;
};

constexpr double kHalf = 0.5;

// Where a point in pixel-centre coordinates is in those of a region: half a pixel on, unless the alignment is one of
// those that take the two systems for one.
PPF_HD double region_coordinate(const AffineSpec& spec, double coordinate) {
  return spec.alignment == Alignment::kHalfPixel ? coordinate + kHalf : coordinate;
}

PPF_HD bool is_finite(double value) { return value - value == 0.0; }

PPF_HD double distance(double dx, double dy) { return sqrt(dx * dx + dy * dy); }

PPF_HD Region region_at(const AffineSpec& spec, const RegionSource& source, int64_t p) {
  Region r{0.0, 0.0, 0.0, 0.0, 1.0, 0.0};
  const View<const double, 2>&first = source.first, &second = source.second;
  switch (spec.kind) {
    case RegionKind::kBox:
      r.x = kHalf * (first(p, 0) + first(p, 2));
      r.y = kHalf * (first(p, 1) + first(p, 3));
      r.width = first(p, 2) - first(p, 0);
      r.height = first(p, 3) - first(p, 1);
      break;
    case RegionKind::kScale:
      r.x = first(p, 0);
      r.y = first(p, 1);
      r.width = second(p, 0) * spec.unit_px;
      r.height = second(p, 1) * spec.unit_px;
      break;
    case RegionKind::kJoint: {
      const View<const double, 2> pose = source.points[p / source.points.size[1]];
      const int64_t joint = p % source.points.size[1], a = spec.reference[0], b = spec.reference[1];
      r.x = region_coordinate(spec, pose(joint, 0));
      r.y = region_coordinate(spec, pose(joint, 1));
      r.width = r.height = spec.reach * distance(pose(a, 0) - pose(b, 0), pose(a, 1) - pose(b, 1));
      break;
    }
    case RegionKind::kAxis: {
      const double dx = second(p, 0) - first(p, 0), dy = second(p, 1) - first(p, 1);
      const double length = distance(dx, dy);
      r.x = region_coordinate(spec, first(p, 0));
      r.y = region_coordinate(spec, first(p, 1));
      r.width = r.height = 2.0 * spec.reach * length;
      r.cosine = -dy / length;  // the axis shall point up: (0, -1) in the crop
      r.sine = dx / length;
      break;
    }
    case RegionKind::kLetterbox:
      r.x = kHalf * first(p, 1);
      r.y = kHalf * first(p, 0);
      r.width = first(p, 1);
      r.height = first(p, 0);
      break;
  }
  return r;
}

// True when the region can become a crop: all finite, some area, and not so far out that positions lose their meaning.
PPF_HD bool is_usable(const Region& r) {
  constexpr double kFar = 1 << 29;
  return fabs(r.x) < kFar && fabs(r.y) < kFar && r.width > 0.0 && r.height > 0.0 && r.width < kFar && r.height < kFar &&
         is_finite(r.cosine) && is_finite(r.sine);
}

PPF_HD void fit_region(const AffineSpec& spec, Region& r) {
  const bool keeps_aspect = spec.fit == Fit::kExpand || spec.kind == RegionKind::kLetterbox;
  if (keeps_aspect) {
    const double aspect = static_cast<double>(spec.width) / spec.height;
    const double width = r.width, height = r.height;
    if (width > aspect * height) {
      r.height = width / aspect;
    } else {
      r.width = height * aspect;
    }
    if (spec.kind == RegionKind::kLetterbox && spec.top_left) {
      r.x = kHalf * r.width;
      r.y = kHalf * r.height;
    }
  }
  r.width *= spec.padding;
  r.height *= spec.padding;
}

// Image pixels -> crop pixels, both in pixel-centre coordinates.
PPF_HD Affine affine_of(const Region& r, int crop_height, int crop_width, Alignment alignment, bool mirror) {
  // Per axis: crop = (image - origin) * scale + middle, in the frame that is turned with the region.
  double scale_x = crop_width / r.width, scale_y = crop_height / r.height;
  double origin_x = r.x, origin_y = r.y;
  double middle_x = kHalf * crop_width, middle_y = kHalf * crop_height;
  if (alignment == Alignment::kHalfPixel) {
    origin_x -= kHalf;
    origin_y -= kHalf;
    middle_x -= kHalf;
    middle_y -= kHalf;
  } else if (alignment == Alignment::kUdp) {
    scale_x = (crop_width - 1) / r.width;
    scale_y = (crop_height - 1) / r.height;
    middle_x -= kHalf;
    middle_y -= kHalf;
  }
  const double last = crop_width - 1;
  if (mirror) {
    scale_x = -scale_x;
    middle_x = last - middle_x;
  }
  Affine t;
  t.a = scale_x * r.cosine;
  t.b = scale_x * r.sine;
  t.d = -scale_y * r.sine;
  t.e = scale_y * r.cosine;
  t.c = middle_x - t.a * origin_x - t.b * origin_y;
  t.f = middle_y - t.d * origin_x - t.e * origin_y;
  return t;
}

PPF_HD Affine no_affine() {
  const double nan = kNan;
  return {nan, nan, nan, nan, nan, nan};
}

// The inverse, or no_affine() when there is none.
PPF_HD Affine inverse_of(const Affine& t) {
  const double determinant = t.a * t.e - t.b * t.d;
  const double one_over = 1.0 / determinant;
  Affine inverse;
  inverse.a = t.e * one_over;
  inverse.b = -t.b * one_over;
  inverse.d = -t.d * one_over;
  inverse.e = t.a * one_over;
  inverse.c = -(inverse.a * t.c + inverse.b * t.f);
  inverse.f = -(inverse.d * t.c + inverse.e * t.f);
  const double sum = inverse.a + inverse.b + inverse.c + inverse.d + inverse.e + inverse.f;
  if (!is_finite(sum)) return no_affine();
  return inverse;
}

PPF_HD Affine load_affine(const View<const double, 3>& affines, int64_t p) {
  return {affines(p, 0, 0), affines(p, 0, 1), affines(p, 0, 2), affines(p, 1, 0), affines(p, 1, 1), affines(p, 1, 2)};
}

PPF_HD void store_affine(const View<double, 3>& affines, int64_t p, const Affine& t) {
  affines(p, 0, 0) = t.a;
  affines(p, 0, 1) = t.b;
  affines(p, 0, 2) = t.c;
  affines(p, 1, 0) = t.d;
  affines(p, 1, 1) = t.e;
  affines(p, 1, 2) = t.f;
}

// Region p -> its affine and inverse; both NaN, and false, when the region is not usable.
PPF_HD bool write_region_affine(const AffineSpec& spec, const RegionSource& source, int64_t p,
                                const View<double, 3>& affines, const View<double, 3>& inverses) {
  Region region = region_at(spec, source, p);
  if (spec.angle_rad.data != nullptr) {
    region.cosine = cos(spec.angle_rad(p));
    region.sine = sin(spec.angle_rad(p));
  }
  const bool is_region = is_usable(region);
  fit_region(spec, region);
  const bool mirror = spec.mirror.data != nullptr && spec.mirror(p) != 0;
  Affine affine = affine_of(region, spec.height, spec.width, spec.alignment, mirror);
  Affine inverse = inverse_of(affine);
  // A region can be so thin that its scale is infinite.
  const bool usable = is_region && is_finite(inverse.a);
  if (!usable) affine = inverse = no_affine();
  store_affine(affines, p, affine);
  store_affine(inverses, p, inverse);
  return usable;
}

PPF_HD void transform_point(const Affine& t, float x, float y, float& out_x, float& out_y) {
  const double dx = x, dy = y;
  out_x = static_cast<float>(t.a * dx + t.b * dy + t.c);
  out_y = static_cast<float>(t.d * dx + t.e * dy + t.f);
}

}  // namespace ppf

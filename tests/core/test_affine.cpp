#include "core/affine.h"

#include "check.h"
#include "core/sampling.h"

using namespace ppf;

namespace {

Affine compose(const Affine& after, const Affine& before) {
  return {after.a * before.a + after.b * before.d,           after.a * before.b + after.b * before.e,
          after.a * before.c + after.b * before.f + after.c, after.d * before.a + after.e * before.d,
          after.d * before.b + after.e * before.e,           after.d * before.c + after.e * before.f + after.f};
}

double at_x(const Affine& t, double x, double y) { return t.a * x + t.b * y + t.c; }
double at_y(const Affine& t, double x, double y) { return t.d * x + t.e * y + t.f; }

const Region kRegion{700.25, 411.5, 300.0, 400.0, 1.0, 0.0};

}  // namespace

TEST(inverse_undoes_every_alignment) {
  for (const Alignment alignment : {Alignment::kHalfPixel, Alignment::kCorner, Alignment::kUdp}) {
    for (const bool mirror : {false, true}) {
      const Affine t = affine_of(kRegion, 256, 192, alignment, mirror);
      const Affine identity = compose(inverse_of(t), t);
      CHECK_NEAR(at_x(identity, 1919, 1079), 1919, 1e-9);
      CHECK_NEAR(at_y(identity, 1919, 1079), 1079, 1e-9);
    }
  }
}

TEST(half_pixel_maps_edges_to_edges) {
  const Affine t = affine_of(kRegion, 256, 192, Alignment::kHalfPixel, false);
  // The left edge of the region, 550.25 in edge coordinates, is half a pixel left of crop pixel 0's centre.
  CHECK_NEAR(at_x(t, 550.25 - 0.5, 0), -0.5, 1e-12);
  CHECK_NEAR(at_y(t, 0, 611.5 - 0.5), 255.5, 1e-12);
}

TEST(udp_maps_first_and_last_centres) {
  const Affine t = affine_of(kRegion, 256, 192, Alignment::kUdp, false);
  CHECK_NEAR(at_x(t, 550.25, 0), 0.0, 1e-12);
  CHECK_NEAR(at_x(t, 850.25, 0), 191.0, 1e-12);
}

TEST(mirror_swaps_columns) {
  const Affine t = affine_of(kRegion, 256, 192, Alignment::kCorner, false);
  const Affine m = affine_of(kRegion, 256, 192, Alignment::kCorner, true);
  CHECK_NEAR(at_x(m, 600, 300), 191.0 - at_x(t, 600, 300), 1e-12);
}

TEST(a_turn_is_clockwise_on_the_screen) {
  Region turned = kRegion;
  turned.cosine = 0.0;
  turned.sine = 1.0;  // a quarter turn: what was at the right of the region's frame is at the bottom of the image
  const Affine t = affine_of(turned, 256, 192, Alignment::kHalfPixel, false);
  CHECK_NEAR(at_x(t, 700.25 - 0.5, 411.5 - 0.5 + 150.0), 191.5, 1e-9);
}

TEST(singular_affines_have_no_inverse) {
  CHECK(!is_finite(inverse_of({1, 2, 3, 2, 4, 6}).a));
  CHECK(!fixed_affine(inverse_of({1, 2, 3, 2, 4, 6}), 10, 10).usable);
  CHECK(!fixed_affine({1e9, 0, 0, 0, 1, 0}, 10, 10).usable);
  CHECK(fixed_affine({2, 0, 5, 0, 2, 5}, 256, 192).usable);
}

TEST(fixed_point_stays_exact_across_a_large_crop) {
  const FixedAffine f = fixed_affine({7.123456789, 0, -3.3, 0, 1, 0}, 4096, 4096);
  const Fixed at = f.x + f.x_along_u * 4095;
  CHECK_NEAR(static_cast<double>(at) / 4294967296.0, 7.123456789 * 4095 - 3.3, 1e-6);
  CHECK(tap_at(to_fixed(-0.25)).index == -1);
  CHECK_NEAR(tap_at(to_fixed(-0.25)).fraction, 0.75, 1e-7);
}

#include "core/elementary.h"

#include <cmath>
#include <limits>

#include "check.h"
#include "core/peaks.h"

using namespace ppf;

namespace {

// Distance from the true value in units of the last place of the result.
double ulps(float result, double exact) {
  const float next = std::nextafter(std::fabs(result), std::numeric_limits<float>::infinity());
  return std::fabs(static_cast<double>(result) - exact) / (next - std::fabs(result));
}

}  // namespace

TEST(log_is_within_two_ulp_everywhere) {
  double worst = 0.0;
  // Every 997th positive float, denormals included; near 1 the result itself vanishes, so absolute error counts there.
  for (int32_t bits = 1; bits < kInfinityBits - 997; bits += 997) {
    const float value = float_of(bits);
    const double exact = std::log(static_cast<double>(value));
    const double error =
        std::fabs(exact) < 1e-3 ? std::fabs(log_of(value) - exact) / 1.2e-10 : ulps(log_of(value), exact);
    worst = error > worst ? error : worst;
  }
  CHECK_NEAR(worst, 0.0, 2.0);
}

TEST(log_of_one_is_zero) { CHECK(log_of(1.0f) == 0.0f); }

TEST(exp_is_within_two_ulp) {
  double worst = 0.0;
  for (float x = -87.0f; x < 88.5f; x += 0.00137f) {
    const double error = ulps(exp_of(x), std::exp(static_cast<double>(x)));
    worst = error > worst ? error : worst;
  }
  CHECK_NEAR(worst, 0.0, 2.0);
}

TEST(exp_saturates) {
  CHECK(exp_of(-1000.0f) == 0.0f);
  CHECK(exp_of(1000.0f) == kInfinity);
  CHECK(exp_of(0.0f) == 1.0f);
  CHECK(std::isnan(exp_of(kNan)));
}

TEST(sigmoid_keeps_order_and_symmetry) {
  CHECK(sigmoid(0.0f) == 0.5f);
  CHECK(sigmoid(200.0f) == 1.0f);
  CHECK(sigmoid(-200.0f) == 0.0f);
  for (float x = -20.0f; x < 20.0f; x += 0.01f) CHECK(sigmoid(x + 0.01f) >= sigmoid(x));
}

TEST(rounding_takes_halves_to_even) {
  CHECK(round_to_even(0.5f) == 0);
  CHECK(round_to_even(1.5f) == 2);
  CHECK(round_to_even(2.5f) == 2);
  CHECK(round_to_even(-0.5f) == 0);
  CHECK(round_to_even(-1.5f) == -2);
  CHECK(round_to_even(254.50002f) == 255);
}

TEST(keys_order_as_values_do) {
  const float ascending[] = {-3e38f, -1.0f, -1e-40f, 0.0f, 1e-45f, 1e-40f, 1.0f, 3e38f};
  for (int i = 0; i + 1 < 8; ++i) CHECK(order_key(ascending[i]) < order_key(ascending[i + 1]));
  CHECK(order_key(-0.0f) == order_key(0.0f));
  for (const float odd : {kNan, -kNan, kInfinity, -kInfinity}) CHECK(order_key(odd) == kNever);
  for (const float value : ascending) CHECK(value_of_key(order_key(value)) == value);
}

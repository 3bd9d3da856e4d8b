// Sorting by place in a range against sorting by all of a score.
#include "loops/sort.h"

#include <algorithm>
#include <random>
#include <vector>

#include "check.h"

using namespace ppf;

namespace {

template <class Score>
void check_sorted(int32_t count, const Score& score) {
  std::vector<uint64_t> order(static_cast<size_t>(count)), spare(2 * order.size());
  for (int32_t i = 0; i < count; ++i) order[static_cast<size_t>(i)] = rank_of(score(i), static_cast<uint32_t>(i));
  std::vector<uint64_t> expected = order;
  std::sort(expected.begin(), expected.end());
  loops::PPF_ISA::RankSort(order.data(), spare.data(), count).run();
  CHECK(order == expected);
}

constexpr int32_t kCounts[] = {1, 2, 31, 32, 33, 100, 1000, 10000, 65536, 65537};

}  // namespace

TEST(of_any_number) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  for (const int32_t count : kCounts) check_sorted(count, [&](int32_t) { return uniform(random); });
}

TEST(with_ties) {
  std::mt19937 random(2);
  for (const int32_t count : kCounts) {
    check_sorted(count, [&](int32_t) { return static_cast<float>(random() % 5); });
    check_sorted(count, [&](int32_t) { return 0.5f; });
    check_sorted(count, [&](int32_t i) { return i % 2 == 0 ? 0.0f : -0.0f; });
  }
}

// Places in the range tell nothing then.
TEST(with_one_far_off) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(0.1f, 1.0f);
  for (const int32_t count : kCounts) {
    for (const float far : {1e9f, -1e9f, kLargest, -kLargest, kInfinity, -kInfinity, kNan}) {
      check_sorted(count, [&](int32_t i) { return i == count / 2 ? far : uniform(random); });
      check_sorted(count, [&](int32_t i) { return i < 2 ? (i == 0 ? far : -far) : uniform(random); });
    }
  }
}

TEST(of_any_bits) {
  std::mt19937 random(4);
  for (const int32_t count : kCounts) {
    check_sorted(count, [&](int32_t) { return float_of(static_cast<int32_t>(random())); });
    check_sorted(count, [&](int32_t) { return float_of(static_cast<int32_t>(random() % 1000)); });  // denormals
  }
}

TEST(in_order_already_and_backwards) {
  for (const int32_t count : kCounts) {
    check_sorted(count, [&](int32_t i) { return static_cast<float>(i); });
    check_sorted(count, [&](int32_t i) { return -static_cast<float>(i); });
  }
}

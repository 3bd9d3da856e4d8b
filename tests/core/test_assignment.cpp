// The matchings of csrc/core, called as another loop would call them, against all there are.
#include "core/assignment.h"

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "check.h"

using namespace ppf;

namespace {

// Scores [rows, columns], quantised so that ties are common. On the longer side all want the first three candidates,
// and others are mostly missing: so rows have to go without, and later ones displace them.
struct Problem {
  int32_t rows, columns;
  std::vector<float> scores;

  explicit Problem(unsigned seed) {
    std::mt19937 random(seed);
    rows = 1 + static_cast<int32_t>(random() % 7);
    columns = rows + static_cast<int32_t>(random() % 2);
    const bool is_turned = random() % 2 == 0;
    if (is_turned) std::swap(rows, columns);
    const unsigned levels = seed % 3 == 0 ? 3 : 1000;
    for (int32_t i = 0; i < rows * columns; ++i) {
      const bool is_wanted = (is_turned ? i / columns : i % columns) < 3;
      const bool is_missing = random() % 16 < (is_wanted ? seed % 12 : 14);
      scores.push_back(is_missing ? kNan : static_cast<float>(random() % levels) / 8.0f - 20.0f);
    }
  }

  Pairs pairs() const { return {scores.data(), rows, columns, columns, 1}; }
};

using Result = std::pair<int, double>;  // how many pairs, and their total

Result best_of_all(const Problem& problem, int32_t row, unsigned taken) {
  if (row == problem.rows) return {0, 0.0};
  Result best = best_of_all(problem, row + 1, taken);
  for (int32_t column = 0; column < problem.columns; ++column) {
    const float score = problem.pairs().at(row, column);
    if ((taken >> column & 1) != 0 || !is_finite(score)) continue;
    Result other = best_of_all(problem, row + 1, taken | 1u << column);
    ++other.first;
    other.second += score;
    best = std::max(best, other);
  }
  return best;
}

struct Matched {
  std::vector<int32_t> column_of, row_of;

  explicit Matched(const Problem& problem)
      : column_of(static_cast<std::size_t>(problem.rows), 77), row_of(static_cast<std::size_t>(problem.columns), 77) {}

  Result result(const Problem& problem) const {
    Result result{0, 0.0};
    for (int32_t row = 0; row < problem.rows; ++row) {
      const int32_t column = column_of[static_cast<std::size_t>(row)];
      if (column < 0) continue;
      CHECK(column < problem.columns && row_of[static_cast<std::size_t>(column)] == row);
      ++result.first;
      result.second += problem.pairs().at(row, column);
    }
    int others = 0;
    for (const int32_t row : row_of) others += row >= 0;
    CHECK(others == result.first);
    return result;
  }
};

}  // namespace

TEST(optimal_is_the_best_of_all) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    const Problem problem(seed);
    Matched matched(problem);
    std::vector<double> scratch(static_cast<std::size_t>(optimal_words(problem.rows, problem.columns, true)));
    AssignSpec spec;
    CHECK(match_optimally(spec, problem.pairs(), scratch.data(), matched.column_of.data(), matched.row_of.data()));
    // Eighths of up to 1000: every sum is exact.
    const Result found = matched.result(problem);
    CHECK(found == best_of_all(problem, 0, 0));
    CHECK(total_of(problem.pairs(), matched.column_of.data()) == static_cast<float>(found.second));
  }
}

TEST(greedy_leaves_no_better_pair) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    const Problem problem(seed);
    Matched matched(problem);
    std::vector<double> scratch(static_cast<std::size_t>(greedy_words(problem.rows, problem.columns)));
    AssignSpec spec;
    spec.method = AssignMethod::kGreedy;
    match_greedily(spec, problem.pairs(), scratch.data(), matched.column_of.data(), matched.row_of.data());
    matched.result(problem);
    // A pair that was not taken lost its row or its column to one that is no worse.
    for (int32_t row = 0; row < problem.rows; ++row) {
      for (int32_t column = 0; column < problem.columns; ++column) {
        const float score = problem.pairs().at(row, column);
        const int32_t other_column = matched.column_of[static_cast<std::size_t>(row)];
        const int32_t other_row = matched.row_of[static_cast<std::size_t>(column)];
        const bool lost_row = other_column >= 0 && problem.pairs().at(row, other_column) >= score;
        const bool lost_column = other_row >= 0 && problem.pairs().at(other_row, column) >= score;
        CHECK(!is_finite(score) || lost_row || lost_column);
      }
    }
  }
}

// Matching rows with columns, one to one: the best pair first, or the best total.
//
// A caller with a dense matrix and scratch of greedy_words() or optimal_words() gets a matching from match_greedily()
// or match_optimally(). The kernels take the same steps with the threads of a block, and share the functions that
// those two are made of.
//
// The best total is found by shortest augmenting paths with prices (Jonker and Volgenant, "A shortest augmenting path
// algorithm for dense and sparse linear assignment problems", 1987). Each row of the shorter side in turn is matched
// by the cheapest change of what is matched already. A row with no way to a free column costs the matching one pair,
// whoever loses it, so the row is left out, of all that could be, whose absence is cheapest. From then on the columns
// that this search saw are `scarce`: every way into them ends in leaving out a row. Paths into scarce columns count as
// longer than all others, and are looked at only when these have run out. That is the arithmetic of pairs (rows left
// out, total) compared from the left, without a large number that would swallow the digits of the total.
//
// Lengths and prices are doubles: sums of floats cannot overflow them, and denormals are ordinary numbers there.
#pragma once

#include <cstdint>

#include "core/elementary.h"
#include "core/host_device.h"
#include "core/lanes.h"
#include "core/peaks.h"
#include "core/view.h"

namespace ppf {

enum class AssignMethod : int32_t { kGreedy, kOptimal };

// With so many candidates on a side, places in a problem are 32-bit numbers.
constexpr int32_t kMaxMatched = 1 << 15;
constexpr double kOutOfReach = __builtin_huge_val();  // where no column is, or none that is still looked for

struct AssignSpec {
  AssignMethod method = AssignMethod::kOptimal;
  bool maximise = true;
  int32_t gate_key = kNever + 1;   // a pair exists when its key is not below
  int32_t iterations = INT32_MAX;  // scans of a row's pairs that kOptimal may take for a problem
};

// N problems; counts may be absent, and say how much of each problem exists.
struct AssignProblems {
  View<const float, 3> scores;           // [N, R, C]
  View<const int32_t, 1> rows, columns;  // [N]
};

// Results, C order.
struct Assignments {
  int32_t* column = nullptr;    // [N, R], -1: none
  int32_t* row = nullptr;       // [N, C], -1: none
  float* total = nullptr;       // [N]
  int32_t* finished = nullptr;  // [N]
};

// One problem [rows, columns], whatever its memory order.
struct Pairs {
  const float* data;
  int32_t rows, columns;
  int64_t stride_row, stride_column;

  PPF_HD float at(int32_t row, int32_t column) const { return data[row * stride_row + column * stride_column]; }
  PPF_HD Pairs transposed() const { return {data, columns, rows, stride_column, stride_row}; }
};

// A count that is out of range, which on a device nobody can see beforehand, is the nearest that is in it.
PPF_HD Pairs pairs_at(const AssignProblems& problems, int64_t index) {
  const View<const float, 2> scores = problems.scores[index];
  int32_t rows = static_cast<int32_t>(scores.size[0]), columns = static_cast<int32_t>(scores.size[1]);
  if (problems.rows.data != nullptr) rows = clamp_to(problems.rows(index), 0, rows);
  if (problems.columns.data != nullptr) columns = clamp_to(problems.columns(index), 0, columns);
  return {scores.data, rows, columns, scores.stride[0], scores.stride[1]};
}

// Larger is better; below the gate, and so when the score is not finite, there is no such pair.
PPF_HD int32_t key_of(const AssignSpec& spec, float score) {
  const int32_t key = order_key(score);
  return spec.maximise || key == kNever ? key : -key;
}

PPF_HD float cost_of(const AssignSpec& spec, float score) {
  if (key_of(spec, score) < spec.gate_key) return kInfinity;
  return spec.maximise ? -score : score;
}

// Summed in the order of the rows.
PPF_HD float total_of(const Pairs& pairs, const int32_t* column_of /* [rows] */) {
  double total = 0.0;
  for (int32_t row = 0; row < pairs.rows; ++row) {
    if (column_of[row] >= 0) total += static_cast<double>(pairs.at(row, column_of[row]));
  }
  return static_cast<float>(total);
}

// ---- the best pair first ----------------------------------------------------------------------------------------

struct RankedPair {
  uint32_t rank;  // smaller is better
  int32_t index;  // row * columns + column
};

constexpr int kDigits = 4, kDigitBits = 8, kDigitValues = 1 << kDigitBits;

// In doubles, as all scratch here: two lists of pairs, and for each digit how often each of its values occurs.
PPF_HD int64_t greedy_words(int64_t rows, int64_t columns) { return 2 * rows * columns + kDigits * kDigitValues / 2; }

PPF_HD void sort_few(RankedPair* pairs, int32_t count) {
  for (int32_t i = 1; i < count; ++i) {
    const RankedPair moving = pairs[i];
    int32_t place = i;
    for (; place > 0 && pairs[place - 1].rank > moving.rank; --place) pairs[place] = pairs[place - 1];
    pairs[place] = moving;
  }
}

// Digit by digit from the lowest; stable, so equal pairs stay in order of their index.
PPF_HD void sort_many(RankedPair* pairs, RankedPair* others, int32_t* counts, int32_t count) {
  for (int i = 0; i < kDigits * kDigitValues; ++i) counts[i] = 0;
  for (int32_t i = 0; i < count; ++i) {
    for (int digit = 0; digit < kDigits; ++digit) {
      ++counts[digit * kDigitValues + (pairs[i].rank >> (digit * kDigitBits)) % kDigitValues];
    }
  }
  for (int digit = 0; digit < kDigits; ++digit) {
    int32_t* const starts = counts + digit * kDigitValues;
    int32_t before = 0;
    for (int value = 0; value < kDigitValues; ++value) {
      const int32_t here = starts[value];
      starts[value] = before;
      before += here;
    }
    for (int32_t i = 0; i < count; ++i) {
      others[starts[(pairs[i].rank >> (digit * kDigitBits)) % kDigitValues]++] = pairs[i];
    }
    RankedPair* const sorted = others;
    others = pairs;
    pairs = sorted;
  }
  static_assert(kDigits % 2 == 0, "after an even number of turns the sorted list is the first again");
}

// Takes the best pair of those whose row and column are both free, ties by row and then column, until none is left.
// column_of [rows] and row_of [columns] become the partner or -1.
PPF_HD void match_greedily(const AssignSpec& spec, const Pairs& pairs, double* scratch, int32_t* column_of,
                           int32_t* row_of) {
  // Where insertion takes as long as counting digits does.
  constexpr int32_t kFew = 48;
  const int64_t room = int64_t{pairs.rows} * pairs.columns;
  RankedPair* const list = reinterpret_cast<RankedPair*>(scratch);
  int32_t count = 0;
  for (int32_t row = 0; row < pairs.rows; ++row) {
    column_of[row] = -1;
    for (int32_t column = 0; column < pairs.columns; ++column) {
      const int32_t key = key_of(spec, pairs.at(row, column));
      list[count] = {0x7fffffffu - static_cast<uint32_t>(key), row * pairs.columns + column};
      count += key >= spec.gate_key;
    }
  }
  for (int32_t column = 0; column < pairs.columns; ++column) row_of[column] = -1;
  if (count <= kFew) {
    sort_few(list, count);
  } else {
    sort_many(list, list + room, reinterpret_cast<int32_t*>(scratch + 2 * room), count);
  }
  int32_t left = smaller(pairs.rows, pairs.columns);
  for (int32_t i = 0; i < count && left > 0; ++i) {
    const int32_t row = list[i].index / pairs.columns, column = list[i].index % pairs.columns;
    if (column_of[row] >= 0 || row_of[column] >= 0) continue;
    column_of[row] = column;
    row_of[column] = row;
    --left;
  }
}

// ---- the best total ---------------------------------------------------------------------------------------------

// What a search works on. Rows here are the shorter side; arrays of columns are padded to whole lanes.
struct AssignState {
  double* row_price;     // [rows]
  double* column_price;  // [columns]
  double* search_price;  // [columns], minus infinity for columns that are closed to this search
  double* distance;      // [columns], of the shortest path so far; infinity: none, or the column is closed
  double* closed_at;     // [rows], the distances of the closed columns, in the order in which they were closed
  int32_t* closed;       // [rows], those columns
  int32_t* via;          // [columns], the row from which the shortest path comes
  int32_t* is_scarce;    // [columns]
  float* cost;           // [rows, padded columns]; not for kernels, which read the scores themselves
};

PPF_HD int64_t padded(int64_t count) { return (count + kLaneCount - 1) / kLaneCount * kLaneCount; }

PPF_HD AssignState assign_state(double* scratch, int64_t rows, int64_t columns) {
  const int64_t n = padded(rows), m = padded(columns);
  AssignState state;
  state.row_price = scratch;
  state.closed_at = state.row_price + n;
  state.column_price = state.closed_at + n;
  state.search_price = state.column_price + m;
  state.distance = state.search_price + m;
  state.closed = reinterpret_cast<int32_t*>(state.distance + m);
  state.via = state.closed + n;
  state.is_scarce = state.via + m;
  state.cost = reinterpret_cast<float*>(state.is_scarce + m);
  return state;
}

// In doubles, for a problem of up to so many rows and columns.
PPF_HD int64_t optimal_words(int64_t rows, int64_t columns, bool with_cost) {
  const int64_t n = rows < columns ? rows : columns, m = padded(rows < columns ? columns : rows);
  return 2 * padded(n) + 3 * m + padded(n) / 2 + m + (with_cost ? n * m / 2 : 0);
}

// From `reach`, the distance of a row, less that row's price.
PPF_HD double path_length(float cost, double reach_less_price, double search_price) {
  return (static_cast<double>(cost) + reach_less_price) - search_price;
}

// The best end of a search: the nearest column, a free one before others, then the first.
struct NearestColumn {
  double distance;
  int32_t rank;  // the column, plus the number of columns when it is not free

  PPF_HD bool beats(const NearestColumn& other) const {
    return distance < other.distance || (distance == other.distance && rank < other.rank);
  }
  PPF_HD int32_t column(int32_t columns) const { return rank < columns ? rank : rank - columns; }
};

// Bits and not conditions, here and where it is used: of two nested ones GCC makes no vector code.
PPF_HD int32_t rank_of(int32_t column, int32_t columns, int32_t row) { return column + (columns & ~(row >> 31)); }

// Of the rows that a search has reached, the one whose absence is cheapest.
struct Sacrifice {
  double length;
  int32_t position;  // of its column among the closed ones; -1: the row that the search started from

  PPF_HD void offer(double other, int32_t at) {
    if (other < length) {
      length = other;
      position = at;
    }
  }
};

// Ends a search of length `reach` for the closed column at `position`.
PPF_HD void settle_prices(const AssignState& state, const int32_t* row_of, int32_t position, double reach,
                          bool ends_scarce) {
  const int32_t column = state.closed[position];
  const double rise = reach - state.closed_at[position];
  state.column_price[column] -= rise;
  state.row_price[row_of[column]] += rise;
  if (ends_scarce) state.is_scarce[column] = 1;
}

// Passes columns on along the shortest path that ends in `column`.
PPF_HD void augment(const AssignState& state, int32_t column, int32_t source, int32_t* column_of, int32_t* row_of) {
  for (;;) {
    const int32_t row = state.via[column];
    const int32_t given_up = column_of[row];
    column_of[row] = column;
    row_of[column] = row;
    if (row == source) return;
    column = given_up;
  }
}

// The same where a row has to go without: it hands over its column first.
PPF_HD void augment_without(const AssignState& state, const Sacrifice& sacrifice, int32_t source, int32_t* column_of,
                            int32_t* row_of) {
  if (sacrifice.position < 0) return;
  const int32_t column = state.closed[sacrifice.position];
  column_of[row_of[column]] = -1;
  augment(state, column, source, column_of, row_of);
}

// ---- the best total, by one thread ------------------------------------------------------------------------------

PPF_HD void relax(const AssignState& state, int32_t columns, int32_t row, double reach) {
  const int32_t width = static_cast<int32_t>(padded(columns));
  const float* cost = state.cost + static_cast<int64_t>(row) * width;
  const double reach_less_price = reach - state.row_price[row];
  for (int32_t column = 0; column < width; ++column) {
    const double length = path_length(cost[column], reach_less_price, state.search_price[column]);
    const bool is_shorter = length < state.distance[column];
    state.distance[column] = is_shorter ? length : state.distance[column];
    state.via[column] = is_shorter ? row : state.via[column];
  }
}

PPF_HD NearestColumn nearest_column(const AssignState& state, int32_t columns, const int32_t* row_of) {
  Minima minima;
  for (int32_t column = 0; column < columns; column += kLaneCount) minima.add(state.distance + column);
  const double distance = minima.smallest();
  int32_t rank = INT32_MAX;
  for (int32_t column = 0; column < columns; ++column) {
    const int32_t unless_nearest = state.distance[column] == distance ? 0 : INT32_MAX;
    rank = smaller(rank, rank_of(column, columns, row_of[column]) | unless_nearest);
  }
  return {distance, rank};
}

// The matching of most pairs and, among those, best total. column_of [rows] and row_of [columns] become the partner or
// -1. False when spec.iterations scans were not enough; what is matched then is the best for the first rows of the
// shorter side.
PPF_HD bool match_optimally(const AssignSpec& spec, const Pairs& given, double* scratch, int32_t* column_of,
                            int32_t* row_of) {
  const bool is_turned = given.rows > given.columns;
  const Pairs pairs = is_turned ? given.transposed() : given;
  if (is_turned) {
    int32_t* const turned = column_of;
    column_of = row_of;
    row_of = turned;
  }
  const AssignState state = assign_state(scratch, pairs.rows, pairs.columns);
  const int32_t width = static_cast<int32_t>(padded(pairs.columns));
  for (int32_t row = 0; row < pairs.rows; ++row) {
    column_of[row] = -1;
    state.row_price[row] = 0.0;
    float* const cost = state.cost + static_cast<int64_t>(row) * width;
    for (int32_t column = 0; column < pairs.columns; ++column) cost[column] = cost_of(spec, pairs.at(row, column));
    for (int32_t column = pairs.columns; column < width; ++column) cost[column] = kInfinity;
  }
  for (int32_t column = 0; column < pairs.columns; ++column) row_of[column] = -1;
  for (int32_t column = 0; column < width; ++column) {
    state.column_price[column] = 0.0;
    state.is_scarce[column] = 0;
    state.via[column] = 0;
  }
  int64_t scans = 0;
  for (int32_t source = 0; source < pairs.rows; ++source) {
    for (int32_t column = 0; column < width; ++column) {
      state.search_price[column] = state.is_scarce[column] != 0 ? -kOutOfReach : state.column_price[column];
      state.distance[column] = kOutOfReach;
    }
    Sacrifice sacrifice{0.0, -1};
    bool ends_scarce = false;
    int32_t row = source, closed = 0, sink = -1;
    double reach = 0.0;
    for (;;) {
      if (scans >= spec.iterations) return false;
      ++scans;
      relax(state, pairs.columns, row, reach);
      NearestColumn nearest = nearest_column(state, pairs.columns, row_of);
      if (nearest.distance == kOutOfReach && !ends_scarce) {
        ends_scarce = true;
        for (int32_t column = 0; column < width; ++column) {
          if (state.is_scarce[column] != 0) state.search_price[column] = state.column_price[column];
        }
        relax(state, pairs.columns, source, 0.0);
        for (int32_t i = 0; i < closed; ++i) {
          relax(state, pairs.columns, row_of[state.closed[i]], state.closed_at[i]);
        }
        scans += closed + 1;
        nearest = nearest_column(state, pairs.columns, row_of);
      }
      if (ends_scarce && !(nearest.distance < sacrifice.length)) {
        reach = sacrifice.length;
        break;
      }
      const int32_t column = nearest.column(pairs.columns);
      reach = nearest.distance;
      row = row_of[column];
      if (row < 0) {
        sink = column;
        break;
      }
      state.search_price[column] = -kOutOfReach;
      state.distance[column] = kOutOfReach;
      state.closed[closed] = column;
      state.closed_at[closed] = reach;
      sacrifice.offer(reach - state.row_price[row], closed);
      ++closed;
    }
    for (int32_t i = 0; i < closed; ++i) settle_prices(state, row_of, i, reach, ends_scarce);
    state.row_price[source] += reach;
    if (sink >= 0) {
      augment(state, sink, source, column_of, row_of);
    } else {
      augment_without(state, sacrifice, source, column_of, row_of);
    }
  }
  return true;
}

}  // namespace ppf

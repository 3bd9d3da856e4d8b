// Rows and columns matched: one block per problem, which takes the steps that csrc/core/assignment.h takes with one
// thread.
//
// Optimal: each thread owns every Threads-th column. It relaxes these, and together they find the nearest; all threads
// follow the search in registers, and the first writes down what only one can. Greedy: each row knows its best free
// column, the block takes the best row, and warps look again for the rows whose column that was.
#include "core/assignment.h"

#include "kernels/block.cuh"
#include "kernels/launch.cuh"
#include "kernels/launch.h"

namespace ppf::kernels {
namespace {

// A warp for what a warp can do with two columns a lane: its barriers cost nothing.
constexpr int kFewThreads = 32, kManyThreads = 128;
constexpr int32_t kFewCandidates = 64;
// Up to this size the state of a problem is in shared memory, without asking for more than every block has.
constexpr int64_t kSharedWords = 32 * 1024 / sizeof(double);

// In doubles. Greedy: for each row the key of its best pair, and the column.
int64_t state_words(const AssignSpec& spec, int64_t rows, int64_t columns) {
  return spec.method == AssignMethod::kGreedy ? rows : optimal_words(rows, columns, false);
}

__device__ inline int32_t thread_index() { return static_cast<int32_t>(threadIdx.x); }

// What does not exist has no partner. All of it has, until pairs are matched.
template <int Threads>
__device__ void clear(const AssignProblems& problems, int32_t* column_of, int32_t* row_of) {
  for (int64_t row = thread_index(); row < problems.scores.size[1]; row += Threads) column_of[row] = -1;
  for (int64_t column = thread_index(); column < problems.scores.size[2]; column += Threads) row_of[column] = -1;
}

// ---- the best pair first ----------------------------------------------------------------------------------------

// The best free column of a row, by a warp; in every lane.
__device__ inline Champion best_in_row(const AssignSpec& spec, const Pairs& pairs, int32_t row, const int32_t* row_of) {
  Champion mine{kNever, INT32_MAX};
  for (int32_t column = thread_index() % kWarp; column < pairs.columns; column += kWarp) {
    const int32_t key = key_of(spec, pairs.at(row, column));
    const Champion other{key, column};
    if (key >= spec.gate_key && row_of[column] < 0 && other.beats(mine)) mine = other;
  }
  mine = warp_best(mine);
  return {__shfl_sync(kWholeWarp, mine.key, 0), __shfl_sync(kWholeWarp, mine.index, 0)};
}

template <int Threads>
__device__ void match_greedily_by_block(const AssignSpec& spec, const Pairs& pairs, int32_t* best_key /* [rows] */,
                                        int32_t* best_column /* [rows] */, int32_t* column_of, int32_t* row_of) {
  const int32_t warp = thread_index() / kWarp, lane = thread_index() % kWarp;
  int32_t taken = -1;  // nobody has this column yet: at first every row looks
  for (int32_t row = thread_index(); row < pairs.rows; row += Threads) best_column[row] = taken;
  __syncthreads();
  for (;;) {
    for (int32_t row = warp; row < pairs.rows; row += Threads / kWarp) {
      if (best_column[row] != taken || column_of[row] >= 0) continue;
      const Champion best = best_in_row(spec, pairs, row, row_of);
      __syncwarp();
      if (lane == 0) {
        best_key[row] = best.key;
        best_column[row] = best.index;
      }
    }
    __syncthreads();
    Champion mine{kNever, INT32_MAX};
    for (int32_t row = thread_index(); row < pairs.rows; row += Threads) {
      const Champion other{best_key[row], row};
      if (column_of[row] < 0 && other.beats(mine)) mine = other;
    }
    const Champion best = block_best<Threads>(mine);
    if (best.key == kNever) return;
    taken = best_column[best.index];
    if (thread_index() == 0) {
      column_of[best.index] = taken;
      row_of[taken] = best.index;
    }
    __syncthreads();
  }
}

// ---- the best total ---------------------------------------------------------------------------------------------

// The best over the block, known to every thread. Starts and ends as block_best() does.
template <int Threads>
__device__ NearestColumn block_nearest(NearestColumn mine) {
  PPF_SHARED(double, distances, [Threads / kWarp]);
  PPF_SHARED(int32_t, ranks, [Threads / kWarp]);
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const NearestColumn other{__shfl_down_sync(kWholeWarp, mine.distance, step),
                              __shfl_down_sync(kWholeWarp, mine.rank, step)};
    if (other.beats(mine)) mine = other;
  }
  __syncthreads();
  if (thread_index() % kWarp == 0) {
    distances[thread_index() / kWarp] = mine.distance;
    ranks[thread_index() / kWarp] = mine.rank;
  }
  __syncthreads();
  NearestColumn best{distances[0], ranks[0]};
  for (int warp = 1; warp < Threads / kWarp; ++warp) {
    const NearestColumn other{distances[warp], ranks[warp]};
    if (other.beats(best)) best = other;
  }
  return best;
}

// As relax() of the core: the columns of this thread.
template <int Threads>
__device__ void relax_own(const AssignSpec& spec, const Pairs& pairs, const AssignState& state, int32_t row,
                          double reach) {
  const double reach_less_price = reach - state.row_price[row];
  for (int32_t column = thread_index(); column < pairs.columns; column += Threads) {
    const float cost = cost_of(spec, pairs.at(row, column));
    const double length = path_length(cost, reach_less_price, state.search_price[column]);
    if (length < state.distance[column]) {
      state.distance[column] = length;
      state.via[column] = row;
    }
  }
}

template <int Threads>
__device__ NearestColumn nearest_of_block(const Pairs& pairs, const AssignState& state, const int32_t* row_of) {
  NearestColumn mine{static_cast<double>(kInfinity), INT32_MAX};
  for (int32_t column = thread_index(); column < pairs.columns; column += Threads) {
    const NearestColumn other{state.distance[column], rank_of(column, pairs.columns, row_of[column])};
    if (other.beats(mine)) mine = other;
  }
  return block_nearest<Threads>(mine);
}

// As match_optimally() of the core, for pairs that have no more rows than columns.
template <int Threads>
__device__ bool match_optimally_by_block(const AssignSpec& spec, const Pairs& pairs, const AssignState& state,
                                         int32_t* column_of, int32_t* row_of) {
  for (int32_t row = thread_index(); row < pairs.rows; row += Threads) state.row_price[row] = 0.0;
  for (int32_t column = thread_index(); column < pairs.columns; column += Threads) {
    state.column_price[column] = 0.0;
    state.is_scarce[column] = 0;
  }
  __syncthreads();
  int64_t scans = 0;
  for (int32_t source = 0; source < pairs.rows; ++source) {
    for (int32_t column = thread_index(); column < pairs.columns; column += Threads) {
      state.search_price[column] = state.is_scarce[column] != 0 ? -kInfinity : state.column_price[column];
      state.distance[column] = kInfinity;
    }
    Sacrifice sacrifice{0.0, -1};
    bool ends_scarce = false;
    int32_t row = source, closed = 0, sink = -1;
    double reach = 0.0;
    for (;;) {
      if (scans >= spec.iterations) return false;
      ++scans;
      relax_own<Threads>(spec, pairs, state, row, reach);
      NearestColumn nearest = nearest_of_block<Threads>(pairs, state, row_of);
      if (nearest.distance == kInfinity && !ends_scarce) {
        ends_scarce = true;
        for (int32_t column = thread_index(); column < pairs.columns; column += Threads) {
          if (state.is_scarce[column] != 0) state.search_price[column] = state.column_price[column];
        }
        relax_own<Threads>(spec, pairs, state, source, 0.0);
        for (int32_t i = 0; i < closed; ++i) {
          relax_own<Threads>(spec, pairs, state, row_of[state.closed[i]], state.closed_at[i]);
        }
        scans += closed + 1;
        nearest = nearest_of_block<Threads>(pairs, state, row_of);
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
      if (column % Threads == thread_index()) {
        state.search_price[column] = -kInfinity;
        state.distance[column] = kInfinity;
        state.closed[closed] = column;  // read after the barriers of the next search for the nearest
        state.closed_at[closed] = reach;
      }
      sacrifice.offer(reach - state.row_price[row], closed);
      ++closed;
    }
    __syncthreads();
    for (int32_t i = thread_index(); i < closed; i += Threads) settle_prices(state, row_of, i, reach, ends_scarce);
    __syncthreads();
    if (thread_index() == 0) {
      state.row_price[source] += reach;
      if (sink >= 0) {
        augment(state, sink, source, column_of, row_of);
      } else {
        augment_without(state, sacrifice, source, column_of, row_of);
      }
    }
    __syncthreads();
  }
  return true;
}

template <int Threads>
__global__ void __launch_bounds__(Threads)
    assign_kernel(AssignSpec spec, AssignProblems problems, Assignments out, double* scratch, int64_t words) {
  PPF_DYNAMIC_SHARED(double, shared);
  const int64_t index = blockIdx.x;
  double* const own = words > kSharedWords ? scratch + index * words : shared;
  const Pairs pairs = pairs_at(problems, index);
  int32_t* const column_of = out.column + index * problems.scores.size[1];
  int32_t* const row_of = out.row + index * problems.scores.size[2];
  clear<Threads>(problems, column_of, row_of);
  __syncthreads();
  bool finished = true;
  if (spec.method == AssignMethod::kGreedy) {
    int32_t* const best = reinterpret_cast<int32_t*>(own);
    match_greedily_by_block<Threads>(spec, pairs, best, best + pairs.rows, column_of, row_of);
  } else if (pairs.rows <= pairs.columns) {
    const AssignState state = assign_state(own, pairs.rows, pairs.columns);
    finished = match_optimally_by_block<Threads>(spec, pairs, state, column_of, row_of);
  } else {
    const AssignState state = assign_state(own, pairs.columns, pairs.rows);
    finished = match_optimally_by_block<Threads>(spec, pairs.transposed(), state, row_of, column_of);
  }
  __syncthreads();
  if (thread_index() != 0) return;
  out.total[index] = total_of(pairs, column_of);
  out.finished[index] = finished ? 1 : 0;
}

}  // namespace

int64_t Launcher::assign_scratch(const AssignSpec& spec, int64_t rows, int64_t columns) {
  const int64_t words = state_words(spec, rows, columns);
  return words > kSharedWords ? words : 0;
}

void Launcher::assign(const AssignSpec& spec, const AssignProblems& problems, const Assignments& out,
                      double* scratch) const {
  const DeviceScope scope(device.index);
  const int64_t rows = problems.scores.size[1], columns = problems.scores.size[2];
  const dim3 grid(static_cast<unsigned>(problems.scores.size[0]));
  const int64_t words = state_words(spec, rows, columns);
  const std::size_t shared = words > kSharedWords ? 0 : sizeof(double) * static_cast<std::size_t>(words);
  if (rows <= kFewCandidates && columns <= kFewCandidates) {
    launch("assign", assign_kernel<kFewThreads>, grid, dim3(kFewThreads), shared, stream_of(device), spec, problems,
           out, scratch, words);
  } else {
    launch("assign", assign_kernel<kManyThreads>, grid, dim3(kManyThreads), shared, stream_of(device), spec, problems,
           out, scratch, words);
  }
}

}  // namespace ppf::kernels

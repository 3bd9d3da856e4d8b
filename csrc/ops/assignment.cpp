#include "core/assignment.h"

#include <algorithm>

#include "loops/loops.h"
#include "ops/error.h"
#include "ops/ops.h"
#include "ops/parallel.h"
#include "ops/run_on.h"

namespace ppf::ops {
namespace {

void check_sizes(int64_t n, int64_t rows, int64_t columns, const Device& device) {
  if (rows > kMaxMatched || columns > kMaxMatched) {
    throw InputError("scores", "at most " + std::to_string(kMaxMatched) + " rows and columns",
                     std::to_string(rows) + " x " + std::to_string(columns));
  }
  if (device.kind == Device::kCuda && n > INT32_MAX) {
    throw InputError("scores", "fewer than 2^31 problems", std::to_string(n), "split the batch");
  }
}

void check_counts(const char* argument, const View<const int32_t, 1>& counts, int64_t capacity) {
  if (counts.data == nullptr) return;
  for (int64_t n = 0; n < counts.size[0]; ++n) {
    if (counts(n) < 0 || counts(n) > capacity) {
      throw InputError(std::string(argument) + "[" + std::to_string(n) + "]",
                       "a count from 0 to " + std::to_string(capacity), std::to_string(counts(n)));
    }
  }
}

// Per CPU thread.
int64_t words_per_thread(const AssignSpec& spec, int64_t rows, int64_t columns) {
  return spec.method == AssignMethod::kGreedy ? greedy_words(rows, columns) : optimal_words(rows, columns, true);
}

}  // namespace

AssignSpec assign_spec(AssignMethod method, bool maximise, std::optional<float> gate, int64_t iterations) {
  AssignSpec spec;
  spec.method = method;
  spec.maximise = maximise;
  if (gate) {
    if (!is_finite(*gate)) throw InputError("gate", "a finite number", std::to_string(*gate));
    spec.gate_key = key_of(spec, *gate);
  }
  if (iterations < 1) throw InputError("iterations", "a number above 0", std::to_string(iterations));
  spec.iterations = static_cast<int32_t>(std::min<int64_t>(iterations, INT32_MAX));
  return spec;
}

int64_t assign_scratch(const AssignSpec& spec, int64_t n, int64_t rows, int64_t columns, int threads,
                       const Device& device) {
  check_sizes(n, rows, columns, device);
  int64_t words = words_per_thread(spec, rows, columns) * thread_count(threads, n);
  run_on(device, [] {}, [&](const auto& gpu) { words = gpu.assign_scratch(spec, rows, columns) * n; });
  return words;
}

void assign(const AssignSpec& spec, const AssignProblems& problems, const Assignments& out,
            const View<double, 1>& scratch, int threads, const Device& device) {
  const int64_t n = problems.scores.size[0], rows = problems.scores.size[1], columns = problems.scores.size[2];
  const int64_t wanted = assign_scratch(spec, n, rows, columns, threads, device);
  if (scratch.size[0] < wanted) {
    throw InputError("scratch", std::to_string(wanted) + " elements", std::to_string(scratch.size[0]));
  }
  if (n == 0) return;
  run_on(
      device,
      [&] {
        check_counts("rows", problems.rows, rows);
        check_counts("columns", problems.columns, columns);
        const int64_t share = words_per_thread(spec, rows, columns);
        parallel_for(n, threads, [&](int64_t first, int64_t last, int thread) {
          loops::table().assign(spec, problems, out, scratch.data + thread * share, first, last);
        });
      },
      [&](const auto& gpu) { gpu.assign(spec, problems, out, scratch.data); });
}

}  // namespace ppf::ops

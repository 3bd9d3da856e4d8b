#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>

#include "bindings/arguments.h"
#include "bindings/array.h"
#include "bindings/choices.h"
#include "bindings/maps.h"
#include "bindings/module.h"
#include "ops/ops.h"

namespace py = pybind11;
using namespace py::literals;

namespace ppf::bindings {
namespace {

AssignMethod method_named(const std::string& name) {
  return choose<AssignMethod>("method", name, {{"greedy", AssignMethod::kGreedy}, {"optimal", AssignMethod::kOptimal}});
}

std::optional<Array> count_array(const py::object& counts, const char* argument, int64_t n, std::uintptr_t stream) {
  if (counts.is_none()) return std::nullopt;
  std::optional<Array> array = Array::from(counts, argument, stream);
  array->require(DType::kInt32, 1, "[N]");
  require_shape(*array, {n});
  return array;
}

void assign(const py::object& scores, const py::object& rows, const py::object& columns, const py::object& column,
            const py::object& row, const py::object& total, const py::object& finished, const py::object& scratch,
            const std::string& method, bool maximise, const std::optional<float>& gate, int64_t iterations, int threads,
            std::uintptr_t stream) {
  const AssignSpec spec = ops::assign_spec(method_named(method), maximise, gate, iterations);
  const Array input = Array::from(scores, "scores", stream), matched_columns = Array::from(column, "column", stream),
              matched_rows = Array::from(row, "row", stream), totals = Array::from(total, "total", stream),
              flags = Array::from(finished, "finished", stream), work = Array::from(scratch, "scratch", stream);
  AssignProblems problems;
  problems.scores = input.in<float, 3>("[N, R, C]");
  const int64_t n = input.shape(0), r = input.shape(1), c = input.shape(2);
  const std::optional<Array> row_counts = count_array(rows, "rows", n, stream),
                             column_counts = count_array(columns, "columns", n, stream);
  const Device device =
      common_device({&input, row_counts ? &*row_counts : nullptr, column_counts ? &*column_counts : nullptr,
                     &matched_columns, &matched_rows, &totals, &flags, &work});
  if (row_counts) problems.rows = row_counts->in<int32_t, 1>("[N]");
  if (column_counts) problems.columns = column_counts->in<int32_t, 1>("[N]");
  const Assignments out{result<int32_t, 2>(matched_columns, {n, r}), result<int32_t, 2>(matched_rows, {n, c}),
                        result<float, 1>(totals, {n}), result<int32_t, 1>(flags, {n})};
  const View<double, 1> words = work.out<double, 1>("scratch");
  const py::gil_scoped_release nogil;
  ops::assign(spec, problems, out, words, threads, device);
}

// Sizes alone decide how much scratch a call wants.
int64_t assign_scratch(const std::string& method, int64_t n, int64_t rows, int64_t columns, int threads, bool is_cuda) {
  AssignSpec spec;
  spec.method = method_named(method);
  Device device;
  device.kind = is_cuda ? Device::kCuda : Device::kCpu;
  return ops::assign_scratch(spec, n, rows, columns, threads, device);
}

}  // namespace

void register_assignment(py::module_& m) {
  m.def("assign", &assign, "scores"_a, "rows"_a, "columns"_a, "column"_a, "row"_a, "total"_a, "finished"_a, "scratch"_a,
        py::kw_only(), "method"_a, "maximise"_a, "gate"_a, "iterations"_a, "threads"_a, "stream"_a);
  m.def("assign_scratch", &assign_scratch, "method"_a, "n"_a, "rows"_a, "columns"_a, py::kw_only(), "threads"_a,
        "is_cuda"_a);
}

}  // namespace ppf::bindings

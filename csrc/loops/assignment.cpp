// Rows and columns matched, a problem at a time. The scans of match_optimally() are what compilers turn into SIMD.
#include "core/assignment.h"

#include "loops/loops.h"

namespace ppf::loops::PPF_ISA {

void assign(const AssignSpec& spec, const AssignProblems& problems, const Assignments& out, double* scratch,
            int64_t first, int64_t last) {
  const int64_t rows = problems.scores.size[1], columns = problems.scores.size[2];
  for (int64_t index = first; index < last; ++index) {
    const Pairs pairs = pairs_at(problems, index);
    int32_t* const column_of = out.column + index * rows;
    int32_t* const row_of = out.row + index * columns;
    bool finished = true;
    if (spec.method == AssignMethod::kGreedy) {
      match_greedily(spec, pairs, scratch, column_of, row_of);
    } else {
      finished = match_optimally(spec, pairs, scratch, column_of, row_of);
    }
    for (int64_t row = pairs.rows; row < rows; ++row) column_of[row] = -1;
    for (int64_t column = pairs.columns; column < columns; ++column) row_of[column] = -1;
    out.total[index] = total_of(pairs, column_of);
    out.finished[index] = finished ? 1 : 0;
  }
}

}  // namespace ppf::loops::PPF_ISA

// The loops of every instruction set that this CPU runs give the same bits.
#include "loops/loops.h"

#include <cstring>
#include <optional>
#include <random>
#include <vector>

#include "check.h"
#include "ops/ops.h"
#include "ops/scratch.h"

using namespace ppf;

namespace {

std::vector<uint8_t> noise(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

// Quantised, so that ties and plateaus are common; now and then something that is not finite.
std::vector<float> maps_of(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> samples(count);
  for (float& sample : samples) {
    sample = static_cast<float>(random() % 12) / 8.0f - 0.25f;
    if (random() % 500 == 0) sample = random() % 2 ? kNan : kInfinity;
  }
  return samples;
}

template <class Run>
void compare(const Run& run) {
  const std::vector<loops::Table> tables = loops::tables();
  const auto expected = run(tables.front());
  for (const loops::Table& table : tables) {
    const auto result = run(table);
    const bool same = std::memcmp(result.data(), expected.data(), sizeof(result[0]) * result.size()) == 0;
    if (!same) std::printf("    %s differs from %s\n", table.name, tables.front().name);
    CHECK(same);
  }
}

}  // namespace

TEST(assignments_are_the_same_bits) {
  const int64_t n = 5, rows = 21, columns = 30;
  const std::vector<float> scores = maps_of(n * rows * columns, 11);
  AssignProblems problems;
  problems.scores = {scores.data(), {n, rows, columns}, {rows * columns, columns, 1}};
  for (const AssignMethod method : {AssignMethod::kGreedy, AssignMethod::kOptimal}) {
    for (const std::optional<float> gate : {std::optional<float>(), std::optional<float>(0.5f)}) {
      const AssignSpec spec = ops::assign_spec(method, true, gate, INT32_MAX);
      compare([&](const loops::Table& table) {
        std::vector<int32_t> out(n * (rows + columns + 2));
        int32_t* const after = out.data() + n * (rows + columns);
        std::vector<double> scratch(ops::assign_scratch(spec, n, rows, columns, 1, Device()));
        const Assignments to{out.data(), out.data() + n * rows, reinterpret_cast<float*>(after), after + n};
        table.assign(spec, problems, to, scratch.data(), 0, n);
        return out;
      });
    }
  }
}

TEST(crops_are_the_same_bits) {
  const int height = 61, width = 83;
  const std::vector<uint8_t> bytes = noise(3 * height * width, 7);
  const Image image{bytes.data(), nullptr, 3 * width, 0, height, width};
  const double inverses[4][6] = {{1.7, 0, -9.3, 0, 0.4, 11},        // upright, over the left edge
                                 {-0.3, 0, 70, 0, 2.2, -40},        // mirrored, over top and bottom
                                 {0.5, -0.2, 20, 0.2, 0.5, 12.25},  // turned, inside
                                 {1.5, 0.9, -30, -0.9, 1.5, 60}};   // turned, mostly outside
  for (const Border border : {Border::kConstant, Border::kReplicate}) {
    for (const bool is_nhwc : {false, true}) {
      compare([&](const loops::Table& table) {
        std::vector<float> out(4 * 3 * 40 * 70);
        CropSpec spec;
        spec.border = border;
        spec.fill = {{10, 20, 30}};
        spec.gain = {{0.017f, 0.019f, 0.023f}};
        spec.bias = {{-2.1f, -1.9f, -1.8f}};
        CropTarget target;
        target.data = out.data();
        target.count = 4;
        target.height = 40;
        target.width = 70;
        target.crop_stride = 3 * 40 * 70;
        target.channel_stride = is_nhwc ? 1 : 40 * 70;
        target.row_stride = is_nhwc ? 3 * 70 : 70;
        target.column_stride = is_nhwc ? 3 : 1;
        const View<const double, 3> positions{inverses[0], {4, 2, 3}, {6, 3, 1}};
        table.crop(spec, &image, 1, positions, {}, target, 0, 4);
        return out;
      });
    }
  }
}

TEST(best_peaks_are_the_same_bits) {
  const int n = 3, k = 5, height = 19, width = 23;
  for (unsigned seed = 0; seed < 20; ++seed) {
    const std::vector<float> samples = maps_of(n * k * height * width, seed);
    const MapView maps{samples.data(), false, n, k, height, width, k * height * width, height * width, width, 1};
    for (int rule = 0; rule <= static_cast<int>(Refine::kLogParabola); ++rule) {
      if (static_cast<Refine>(rule) == Refine::kOffset) continue;
      const PeakSpec spec = ops::peak_spec(static_cast<Refine>(rule), 0.0f, false, 11, 1.0f);
      compare([&](const loops::Table& table) {
        std::vector<float> out(3 * n * k), scratch(22 * (width + 40));
        std::vector<int32_t> counts(2 * n * k);
        table.best_peaks(spec, maps, {}, {out.data(), out.data() + 2 * n * k, counts.data(), counts.data() + n * k},
                         scratch.data(), 0, n * k);
        return out;
      });
    }
  }
}

TEST(found_peaks_are_the_same_bits) {
  const int n = 2, k = 3, height = 33, width = 71, capacity = 16;
  for (unsigned seed = 0; seed < 20; ++seed) {
    const std::vector<float> samples = maps_of(n * k * height * width, seed);
    const MapView maps{samples.data(), false, n, k, height, width, k * height * width, height * width, width, 1};
    const PeakSpec spec = ops::peak_spec(Refine::kLogParabola, 0.3f, false, 11, 1.0f);
    compare([&](const loops::Table& table) {
      std::vector<float> out(3 * n * k * capacity);
      std::vector<int32_t> counts(3 * n * k);
      std::vector<uint32_t> scratch(static_cast<std::size_t>(FindScratch(maps, capacity).words()));
      table.find_peaks(spec, maps, {},
                       {out.data(), out.data() + 2 * n * k * capacity, counts.data(), counts.data() + n * k,
                        counts.data() + 2 * n * k, capacity},
                       scratch.data(), 0, n * k);
      return out;
    });
  }
}

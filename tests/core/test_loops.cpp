// The loops of every instruction set that this CPU runs give the same bits.
#include "loops/loops.h"

#include <algorithm>
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

enum class Terrain { kNoise, kSteps, kBlobs, kDamagedBlobs, kNearlyEmpty, kFlat };

// Maps as rough as can be, with plateaus, with blobs so near to each other that most have shoulders, with samples that
// are not finite, with one sample among all that stands out, and all alike.
std::vector<float> terrain(Terrain kind, int maps, int height, int width, unsigned seed) {
  std::mt19937 random(seed);
  const auto uniform = [&] { return static_cast<float>(random() % 100003) / 100003.0f; };
  std::vector<float> samples(static_cast<std::size_t>(maps) * height * width, kind == Terrain::kFlat ? 0.5f : 0.0f);
  if (kind == Terrain::kNoise) {
    for (float& sample : samples) sample = uniform() - 0.3f;
  } else if (kind == Terrain::kSteps) {
    for (float& sample : samples) sample = static_cast<float>(random() % 4) / 4.0f;
  } else if (kind == Terrain::kNearlyEmpty) {
    const float odd[] = {0.5f, kNan, -kNan, kInfinity, -kInfinity};
    for (float& sample : samples) sample = 0.04f * uniform() - 0.02f;
    samples[random() % samples.size()] = odd[random() % 5];
  } else if (kind != Terrain::kFlat) {
    for (int blob = 0; blob < maps * (1 + height * width / 40); ++blob) {
      const int map = static_cast<int>(random() % maps);
      const float top = 0.2f + uniform(), at_y = uniform() * height - 0.5f, at_x = uniform() * width - 0.5f;
      const float sigma = 0.9f + uniform();
      for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
          const float squared = (y - at_y) * (y - at_y) + (x - at_x) * (x - at_x);
          float& sample = samples[(map * height + y) * width + x];
          sample = std::max(sample, top * exp_of(-squared / (2.0f * sigma * sigma)));
        }
      }
    }
    const float odd[] = {kNan, kInfinity, -kInfinity, -0.0f, 1e-40f};
    if (kind == Terrain::kDamagedBlobs) {
      for (float& sample : samples) sample = random() % 150 == 0 ? odd[random() % 5] : sample;
    }
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

// Maps whose columns lie apart are read sample by sample, which all shortcuts have to agree with.
template <class T>
std::vector<float> found_peaks(const loops::Table& table, const PeakSpec& spec, const std::vector<float>& samples,
                               int maps, int height, int width, int capacity, int stride_x) {
  std::vector<T> copy((samples.size() - 1) * stride_x + 1);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if constexpr (std::is_same_v<T, Half>) {
      copy[i * stride_x] = to_half(samples[i]);
    } else {
      copy[i * stride_x] = samples[i];
    }
  }
  const int64_t row = width * stride_x, map = height * row;
  const MapView view{copy.data(), std::is_same_v<T, Half>, 1, maps, height, width, maps * map, map, row, stride_x};
  std::vector<float> out(3 * maps * capacity);
  std::vector<int32_t> counts(3 * maps);
  std::vector<uint32_t> scratch(static_cast<std::size_t>(FindScratch(view, capacity).words()));
  table.find_peaks(spec, view, {},
                   {out.data(), out.data() + 2 * maps * capacity, counts.data(), counts.data() + maps,
                    counts.data() + 2 * maps, capacity},
                   scratch.data(), 0, maps);
  out.insert(out.end(), counts.begin(), counts.end());
  return out;
}

TEST(peaks_do_not_depend_on_how_maps_are_read) {
  const int sizes[][2] = {{1, 1},   {1, 20},   {20, 1},  {2, 2},    {3, 4},    {5, 5},   {9, 7},  {8, 8},    {6, 15},
                          {16, 16}, {7, 17},   {11, 18}, {12, 31},  {33, 32},  {46, 46}, {9, 49}, {70, 63},  {64, 64},
                          {65, 65}, {140, 20}, {20, 96}, {40, 128}, {5, 1100}, {1, 16},  {2, 48}, {129, 33}, {257, 17}};
  unsigned seed = 0;
  for (const auto& [height, width] : sizes) {
    for (int kind = 0; kind <= static_cast<int>(Terrain::kFlat); ++kind) {
      const int maps = height * width < 100 ? 150 : 5, capacity = seed % 3 == 0 ? 1 + seed % 7 : 128;
      PeakSpec spec = ops::peak_spec(seed % 4 == 0 ? Refine::kQuarter : Refine::kLogParabola,
                                     seed % 5 == 0 ? 0.0f : (seed % 7 == 0 ? -0.2f : 0.05f), seed % 11 == 0, 11, 1.0f);
      spec.shoulders = seed % 6 != 0;
      const std::vector<float> samples = terrain(static_cast<Terrain>(kind), maps, height, width, ++seed);
      for (const loops::Table& table : loops::tables()) {
        const auto read = [&](auto sample, int stride_x) {
          return found_peaks<decltype(sample)>(table, spec, samples, maps, height, width, capacity, stride_x);
        };
        const auto is_same = [](const std::vector<float>& a, const std::vector<float>& b) {
          return std::memcmp(a.data(), b.data(), sizeof(float) * a.size()) == 0;
        };
        if (!is_same(read(0.0f, 1), read(0.0f, 2))) std::printf("    %s %d x %d %d\n", table.name, height, width, kind);
        CHECK(is_same(read(0.0f, 1), read(0.0f, 2)));
        CHECK(is_same(read(Half{}, 1), read(Half{}, 3)));
      }
    }
    seed += 7;  // 13 for each size: every kind meets every choice
  }
}

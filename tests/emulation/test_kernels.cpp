// Every kernel against the CPU loops of the same op, bit for bit, in every thread order: the native twin of
// tests/ops/test_agreement.py, for the sanitizers.
#include <optional>
#include <random>
#include <vector>

#include "ops/ops.h"
#include "tests/emulation/compare.h"

using namespace ppf;
using check::compare;

namespace {

// Quantised maps have ties and plateaus; some have no peak, some are nothing but one plateau, some hold NaN and
// infinity.
std::vector<float> maps_of(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> samples(count);
  const unsigned levels = seed % 5 == 0 ? 1 : 2 + random() % 9;
  for (float& sample : samples) {
    sample = static_cast<float>(random() % levels) / 8.0f - (seed % 7 == 0 ? 2.0f : 0.0f);
    if (seed % 3 == 0 && random() % 40 == 0) sample = random() % 2 ? kNan : kInfinity;
  }
  return samples;
}

struct Case {
  int n, k, height, width;
  std::vector<float> samples;
  MapView view;
};

Case case_of(unsigned seed) {
  std::mt19937 random(seed * 77 + 1);
  const auto up_to = [&](unsigned most) { return 1 + static_cast<int>(random() % most); };
  Case c{up_to(2), up_to(3), up_to(20), up_to(45), {}, {}};
  c.samples = maps_of(static_cast<std::size_t>(c.n) * c.k * c.height * c.width, seed);
  c.view = {c.samples.data(),
            false,
            c.n,
            c.k,
            c.height,
            c.width,
            int64_t{c.k} * c.height * c.width,
            int64_t{c.height} * c.width,
            c.width,
            1};
  return c;
}

}  // namespace

TEST(best_peaks_agree) {
  for (unsigned seed = 0; seed < 12; ++seed) {
    const Case c = case_of(seed);
    const int maps = c.n * c.k;
    for (int rule = 0; rule <= static_cast<int>(Refine::kLogParabola); ++rule) {
      if (static_cast<Refine>(rule) == Refine::kOffset) continue;
      const PeakSpec spec = ops::peak_spec(static_cast<Refine>(rule), 0.1f, seed % 2 == 1, 5, 1.0f);
      compare("best_peaks", [&](const Device& device) {
        std::vector<float> out(5 * maps), scratch(ops::best_peaks_scratch(spec, c.view, 1, device));
        auto* counts = reinterpret_cast<int32_t*>(out.data() + 3 * maps);
        const View<float, 1> work{scratch.data(), {static_cast<int64_t>(scratch.size())}, {1}};
        ops::best_peaks(spec, c.view, {}, {out.data(), out.data() + 2 * maps, counts, counts + maps}, work, 1, device);
        return out;
      });
    }
  }
}

TEST(found_peaks_agree) {
  for (unsigned seed = 0; seed < 25; ++seed) {
    const Case c = case_of(seed);
    const int maps = c.n * c.k, capacity = 1 + static_cast<int>(seed % 9);
    const PeakSpec spec = ops::peak_spec(seed % 2 ? Refine::kDark : Refine::kLogParabola, 0.1f, seed % 4 == 3, 5, 1.0f);
    compare("find_peaks", [&](const Device& device) {
      std::vector<float> out(3 * maps * capacity + 3 * maps);
      std::vector<int32_t> scratch(ops::find_peaks_scratch(c.view, capacity, 1, device));
      auto* counts = reinterpret_cast<int32_t*>(out.data() + 3 * maps * capacity);
      const View<int32_t, 1> work{scratch.data(), {static_cast<int64_t>(scratch.size())}, {1}};
      ops::find_peaks(
          spec, c.view, {},
          {out.data(), out.data() + 2 * maps * capacity, counts, counts + maps, counts + 2 * maps, capacity}, work, 1,
          device);
      return out;
    });
  }
}

TEST(simcc_agrees) {
  for (unsigned seed = 0; seed < 6; ++seed) {
    const int joints = 3, bins_x = 40 + static_cast<int>(seed), bins_y = 57;
    const std::vector<float> x = maps_of(joints * bins_x, seed), y = maps_of(joints * bins_y, seed + 100);
    const VectorView along_x{x.data(), false, 1, joints, bins_x, 0, bins_x, 1};
    const VectorView along_y{y.data(), false, 1, joints, bins_y, 0, bins_y, 1};
    const SimccSpec spec = ops::simcc_spec(Refine::kDark, SimccScore::kMean, 2.0f, 0.0f, 7);
    compare("decode_simcc", [&](const Device& device) {
      std::vector<float> out(5 * joints);
      auto* counts = reinterpret_cast<int32_t*>(out.data() + 3 * joints);
      ops::decode_simcc(spec, along_x, along_y, {out.data(), out.data() + 2 * joints, counts, counts + joints}, 1,
                        device);
      return out;
    });
  }
}

TEST(flip_averages_agree) {
  for (const bool shift : {false, true}) {
    const Case c = case_of(4);
    FlipPairs pairs;
    for (int k = 0; k < c.k; ++k) pairs.partner[k] = static_cast<int16_t>(c.k - 1 - k);
    compare("average_flip", [&](const Device& device) {
      std::vector<float> out(c.samples.size());
      const MapTarget target{out.data(), false, c.view.stride_n, c.view.stride_k, c.view.stride_y, 1};
      ops::average_flip(c.view, c.view, pairs, shift, target, 1, device);
      return out;
    });
  }
}

TEST(assignments_agree) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    std::mt19937 random(seed * 91 + 7);
    const int64_t n = 1 + random() % 3;
    // Both widths of a block, and a state that does not fit into shared memory.
    const int64_t rows = seed == 29 ? 4 : 1 + random() % (seed % 6 == 0 ? 80 : 9);
    const int64_t columns = seed == 29 ? 1100 : 1 + random() % (seed % 6 == 0 ? 80 : 9);
    const std::vector<float> scores = maps_of(static_cast<std::size_t>(n * rows * columns), seed);
    std::vector<int32_t> counts(static_cast<std::size_t>(n));
    for (int32_t& count : counts) count = static_cast<int32_t>(random() % static_cast<unsigned>(rows + 1));
    AssignProblems problems;
    problems.scores = {scores.data(), {n, rows, columns}, {rows * columns, columns, 1}};
    if (seed % 4 == 1) problems.rows = {counts.data(), {n}, {1}};
    const auto method = seed % 3 == 0 ? AssignMethod::kGreedy : AssignMethod::kOptimal;
    const std::optional<float> gate = seed % 5 < 2 ? std::optional<float>(0.25f) : std::nullopt;
    const AssignSpec spec = ops::assign_spec(method, seed % 2 == 0, gate, seed % 7 == 6 ? 9 : INT32_MAX);
    compare("assign", [&](const Device& device) {
      std::vector<int32_t> out(static_cast<std::size_t>(n * (rows + columns + 2)));
      int32_t* const after = out.data() + n * (rows + columns);
      std::vector<double> scratch(static_cast<std::size_t>(ops::assign_scratch(spec, n, rows, columns, 1, device)));
      const View<double, 1> work{scratch.data(), {static_cast<int64_t>(scratch.size())}, {1}};
      ops::assign(spec, problems, {out.data(), out.data() + n * rows, reinterpret_cast<float*>(after), after + n}, work,
                  1, device);
      return out;
    });
  }
}

TEST(crops_and_affines_agree) {
  std::mt19937 random(5);
  const int height = 37, width = 53, count = 5;
  std::vector<uint8_t> bytes(3 * height * width);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  const Image image{bytes.data(), nullptr, 3 * width, 0, height, width};
  const double boxes[count][4] = {
      {3, 4, 40, 30}, {-10, -5, 20, 20}, {30, 20, 70, 60}, {100, 100, 120, 130}, {0, 0, 53, 37}};
  const double angles[count] = {0, 0.4, 0, -2, 3};
  for (const Border border : {Border::kConstant, Border::kReplicate}) {
    compare("crop", [&](const Device& device) {
      std::vector<double> affines(6 * count), inverses(6 * count);
      const View<double, 3> affine{affines.data(), {count, 2, 3}, {6, 3, 1}};
      const View<double, 3> inverse{inverses.data(), {count, 2, 3}, {6, 3, 1}};
      AffineSpec where;
      where.height = 19;
      where.width = 41;
      where.angle_rad = {angles, {count}, {1}};
      RegionSource source;
      source.first = {boxes[0], {count, 4}, {4, 1}};
      ops::region_affines(where, source, affine, inverse, "boxes", device);
      std::vector<float> out(count * 3 * 19 * 41);
      CropSpec spec;
      spec.border = border;
      spec.fill = {{9, 99, 199}};
      CropTarget target;
      target.data = out.data();
      target.count = count;
      target.height = 19;
      target.width = 41;
      target.crop_stride = 3 * 19 * 41;
      target.channel_stride = 19 * 41;
      target.row_stride = 41;
      target.column_stride = 1;
      ops::crop(spec, {&image, 1}, as_input(affine), {}, target, inverse, 1, device);
      return out;
    });
  }
}

// Runs the kernels of planted.cu in several thread orders and compares them with plain loops. Prints a line per order;
// the exit status is 0 when all is well, 1 for a wrong result, 2 for an error that the emulator reports.
#include <chrono>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "tests/emulation/control.h"
#include "tests/emulation/planted.h"

namespace {

using namespace ppf::planted;

constexpr int kMaps = 17;
constexpr int kMapSize = 64 * 48;
constexpr int kSamples = 1000;  // not a multiple of the block
constexpr float kThreshold = 0.7f;
constexpr int kHeight = 37;
constexpr int kWidth = 50;

struct Inputs {
  std::vector<float> maps = std::vector<float>(kMaps * kMapSize);
  std::vector<float> samples = std::vector<float>(kSamples);
  std::vector<int> image = std::vector<int>(kHeight * kWidth);

  Inputs() {
    std::mt19937 random(1);
    // Few enough values that the largest one comes several times.
    for (float& sample : maps) sample = static_cast<float>(random() % 1000) / 1000.0f;
    for (float& sample : samples) sample = static_cast<float>(random() % 1000) / 1000.0f;
    for (int& pixel : image) pixel = static_cast<int>(random() % 256);
  }
};

bool argmax_is_right(const Inputs& inputs) {
  std::vector<float> value(kMaps);
  std::vector<int> index(kMaps);
  argmax(inputs.maps.data(), kMaps, kMapSize, value.data(), index.data());
  for (int map = 0; map < kMaps; ++map) {
    const float* const samples = inputs.maps.data() + map * kMapSize;
    int best = 0;
    for (int i = 1; i < kMapSize; ++i) {
      if (samples[i] > samples[best]) best = i;
    }
    if (index[map] != best || value[map] != samples[best]) return false;
  }
  return true;
}

bool compact_is_right(const Inputs& inputs) {
  constexpr int kBlocks = (kSamples + kCompactThreads - 1) / kCompactThreads;
  constexpr int kUntouched = std::numeric_limits<int>::min();
  std::vector<int> kept(kBlocks * kCompactThreads, kUntouched), kept_count(kBlocks, 0);
  std::vector<int> expected_kept = kept, expected_count = kept_count;
  int total = 0, expected_total = 0;
  compact(inputs.samples.data(), kSamples, kThreshold, kept.data(), kept_count.data(), &total);
  for (int i = 0; i < kSamples; ++i) {
    if (!(inputs.samples[i] > kThreshold)) continue;
    const int block = i / kCompactThreads;
    expected_kept[block * kCompactThreads + expected_count[block]++] = i;
    ++expected_total;
  }
  return kept == expected_kept && kept_count == expected_count && total == expected_total;
}

bool box_sums_are_right(const Inputs& inputs) {
  std::vector<int> sums(kHeight * kWidth);
  box_sums(inputs.image.data(), kHeight, kWidth, sums.data());
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      int expected = 0;
      for (int v = y - 1; v <= y + 1; ++v) {
        for (int u = x - 1; u <= x + 1; ++u) {
          if (v >= 0 && v < kHeight && u >= 0 && u < kWidth) expected += inputs.image[v * kWidth + u];
        }
      }
      if (sums[y * kWidth + x] != expected) return false;
    }
  }
  return true;
}

}  // namespace

int main() {
  const Inputs inputs;
  int status = 0;
  for (const char* const order : {"ascending", "descending", "1", "2", "3"}) {
    ppf::emulation::set_thread_order(order);
    try {
      const char* wrong = nullptr;
      if (!argmax_is_right(inputs)) wrong = "argmax";
      if (!compact_is_right(inputs)) wrong = "compact";
      if (!box_sums_are_right(inputs)) wrong = "box_sums";
      std::printf("%s: %s%s\n", order, wrong != nullptr ? "wrong " : "right", wrong != nullptr ? wrong : "");
      if (wrong != nullptr && status == 0) status = 1;
    } catch (const ppf::emulation::Error& error) {
      std::printf("%s: error: %s\n", order, error.what());
      status = 2;
    }
    std::fflush(stdout);  // a sanitizer may end the next round
  }
  constexpr int kRounds = 20;
  double fastest_ms = std::numeric_limits<double>::infinity();
  ppf::emulation::set_thread_order("ascending");
  for (int round = 0; status == 0 && round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    argmax_is_right(inputs);
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
    if (taken.count() < fastest_ms) fastest_ms = taken.count();
  }
  if (status == 0) std::printf("argmax of %d maps of 64x48: %.1f ms\n", kMaps, fastest_ms);
  return status;
}

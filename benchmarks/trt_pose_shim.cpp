// A flat C face of trt_pose's C++ parser for peers.py; README.md says how to build it. What trt_pose's Torch extension
// allocates for each frame is allocated once here. That extension also clears the table of scores for each frame,
// although nothing reads what the parser has not written: here the caller decides.

#include <algorithm>
#include <cstddef>
#include <vector>

#include "parse/connect_parts.hpp"
#include "parse/find_peaks.hpp"
#include "parse/munkres.hpp"
#include "parse/paf_score_graph.hpp"
#include "parse/refine_peaks.hpp"

namespace {

constexpr int kTopology = 4;  // numbers per limb: y channel, x channel, first part, second part

struct Parser {
  int parts, limbs, height, width, max_peaks, max_people;
  std::vector<int> topology, counts, peaks, connections, objects;
  std::vector<float> refined, scores;
  std::vector<char> assignment_workspace, connection_workspace;
};

}  // namespace

extern "C" {

// topology: [limbs, 4]. The result lives as long as the process.
Parser* trt_pose_create(int parts, int limbs, int height, int width, int max_peaks, int max_people,
                        const int* topology) {
  using namespace trt_pose::parse;
  const std::size_t slots = static_cast<std::size_t>(parts) * max_peaks;
  auto* p = new Parser{parts, limbs, height, width, max_peaks, max_people, {}, {}, {}, {}, {}, {}, {}, {}, {}};
  p->topology.assign(topology, topology + static_cast<std::size_t>(limbs) * kTopology);
  p->counts.resize(parts);
  p->peaks.resize(slots * 2);
  p->refined.resize(slots * 2);
  p->scores.resize(static_cast<std::size_t>(limbs) * max_peaks * max_peaks);
  p->connections.resize(static_cast<std::size_t>(limbs) * 2 * max_peaks);
  // The parser clears parts * max_peaks entries, whatever the number of people asked for.
  p->objects.resize(static_cast<std::size_t>(parts) * std::max(max_peaks, max_people));
  p->assignment_workspace.resize(assignment_out_workspace(max_peaks));
  p->connection_workspace.resize(connect_parts_out_workspace(parts, max_peaks));
  return p;
}

// cmap: [parts, H, W], paf: [2 limbs, H, W], people: [max_people, parts, 3], x and y in map pixels and the map's value
// at the peak, 0 where a part is absent. Returns how many people were written.
int trt_pose_parse(Parser* p, const float* cmap, const float* paf, float threshold, float link_threshold, int window,
                   int samples, int clear_scores, float* people) {
  using namespace trt_pose::parse;
  const int C = p->parts, K = p->limbs, H = p->height, W = p->width, M = p->max_peaks;
  int count = 0;
  find_peaks_out_chw(p->counts.data(), p->peaks.data(), cmap, C, H, W, M, threshold, window);
  refine_peaks_out_chw(p->refined.data(), p->counts.data(), p->peaks.data(), cmap, C, H, W, M, window);
  if (clear_scores) std::fill(p->scores.begin(), p->scores.end(), 0.0f);
  paf_score_graph_out_khw(p->scores.data(), p->topology.data(), paf, p->counts.data(), p->refined.data(), K, C, H, W, M,
                          samples);
  std::fill(p->connections.begin(), p->connections.end(), -1);
  assignment_out_k(p->connections.data(), p->scores.data(), p->topology.data(), p->counts.data(), K, M, link_threshold,
                   p->assignment_workspace.data());
  connect_parts_out(&count, p->objects.data(), p->connections.data(), p->topology.data(), p->counts.data(), K, C, M,
                    p->max_people, p->connection_workspace.data());
  for (int person = 0; person < count; ++person) {
    for (int part = 0; part < C; ++part) {
      float* joint = people + (static_cast<std::size_t>(person) * C + part) * 3;
      const int index = p->objects[static_cast<std::size_t>(person) * C + part];
      joint[0] = joint[1] = joint[2] = 0;
      if (index < 0) continue;
      const std::size_t slot = static_cast<std::size_t>(part) * M + index;
      joint[0] = p->refined[slot * 2 + 1] * W - 0.5f;
      joint[1] = p->refined[slot * 2] * H - 0.5f;
      joint[2] = cmap[(static_cast<std::size_t>(part) * H + p->peaks[slot * 2]) * W + p->peaks[slot * 2 + 1]];
    }
  }
  return count;
}

}  // extern "C"

// From links to people: the procedures of core/published_people.h and core/people.h with a block of threads per image.
#include "core/published_people.h"

#include "kernels/block.cuh"
#include "kernels/launch.cuh"
#include "kernels/launch.h"

namespace ppf::kernels {
namespace {

// What is shared out are some hundred links, and searches for joins of a few dozen fragments. More threads would wait
// for the leader, and in the emulator each of them costs a switch of the stack at every barrier.
constexpr int kThreads = 128;

struct BlockTeam {
  __device__ static int rank() { return static_cast<int>(threadIdx.x); }
  __device__ static int size() { return kThreads; }
  __device__ static bool leads() { return threadIdx.x == 0; }
  __device__ static void sync() { __syncthreads(); }
  __device__ static void sort(uint64_t* order, uint64_t*, int32_t count) { block_sort<kThreads>(order, count); }
  __device__ static void find_joins(const GroupSpec& spec, const Candidates& from, const Workroom& room,
                                    int32_t large) {
    for (int32_t p = rank(); p < room.tally[1]; p += size()) ppf::find_joins(spec, from, room, p, large);
  }
};

__global__ void __launch_bounds__(kThreads)
    group_people_kernel(GroupSpec spec, PeakLists peaks, LinkLists links, PeopleLists out, uint32_t* scratch) {
  const int64_t n = blockIdx.x;
  const int64_t share = group_words(spec, peaks.capacity, links.partners);
  group_image(BlockTeam{}, spec, peaks, links, out, scratch + n * share, n);
}

constexpr std::size_t kParameterLimit = 4096;  // bytes, on GPUs before Hopper and with CUDA before 12.1
static_assert(sizeof(GroupSpec) + sizeof(PeakLists) + sizeof(LinkLists) + sizeof(PeopleLists) + sizeof(uint32_t*) <
                  kParameterLimit,
              "the skeleton travels as a kernel parameter");

}  // namespace

void Launcher::group_people(const GroupSpec& spec, const PeakLists& peaks, const LinkLists& links,
                            const PeopleLists& out, int64_t n, uint32_t* scratch) const {
  const DeviceScope scope(device.index);
  launch("group_people", group_people_kernel, dim3(static_cast<unsigned>(n)), dim3(kThreads), 0, stream_of(device),
         spec, peaks, links, out, scratch);
}

}  // namespace ppf::kernels

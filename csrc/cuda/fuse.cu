// Fusion on the GPU: logits or evidence to the fused opinion, and its gradient, each in one pass.
#include "fuse.cuh"

namespace ter {
namespace cuda {
namespace {

constexpr int kBackwardArrays = 4;

struct Fusion {
  static constexpr int kResident = 6;

  template <class Team>
  TER_MEMBER static bool row(Team& team, const FuseForward& call, int views,
                             const FuseBuffers<Team>& buffers) {
    return forward_row(team, call, views, buffers);
  }
  TER_MEMBER static void* classes_out(const FuseForward& call) { return call.fused; }
};

// Sets: the views, the upstream gradient, the gradients, and two for what is in between.
template <int MaxViews>
__global__ void __launch_bounds__(kBlock, MaxViews == kPair ? 4 : 3)
    backward_by_thread(const __grid_constant__ FuseBackward call) {
  typedef FuseThread<double, 0, MaxViews> Team;
  const FuseArguments& a = call.in;
  const int views = views_of<MaxViews>(a);
  const Tile<double> tile(a.classes);
  Team team;
  double* const own = start(team, a, tile);
  double* const upstream = own + views * tile.set;
  double* const gradients = upstream + tile.set;
  double* const product = gradients + views * tile.set;
  double* const fused = product + tile.set;
  for (Turn turn; turn.first < a.rows; turn.first += turn.step) {
    const int count = turn.count(a.rows);
    copy_views_in(a, views, turn, count, tile);
    if (call.grad_fused != nullptr) {
      copy_in(call.grad_fused, turn.first, count, a.dtype, tile, tile.memory + views * tile.set);
    }
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < count) {
      team.row = turn.first + threadIdx.x;
      team.next_in = upstream;
      team.next_out = gradients;
      PerView<double, MaxViews> per_view;
      // Fused evidence has served before the first gradient is begun.
      backward_row(team, call, views,
                   per_view.template buffers<Team>(product, fused, upstream, fused));
    }
    __syncthreads();
    for (int v = 0; v < views; ++v) {
      copy_out(tile.memory + (views + 1 + v) * tile.set, tile, a.dtype, v * a.rows + turn.first,
               count, call.grad_evidence);
    }
    // The next rows come to other sets than those that are still being written out.
  }
}

template <class Team, int MaxViews>
TER_DEVICE void backward_rows(Team& team, const FuseBackward& call, double* arrays) {
  const int views = views_of<MaxViews>(call.in);
  for (team.row = first_row(); team.row < call.in.rows; team.row += row_step()) {
    PerView<double, MaxViews> per_view;
    backward_row(team, call, views,
                 per_view.template buffers<Team>(team.array(arrays, 0), team.array(arrays, 1),
                                                 team.array(arrays, 2), team.array(arrays, 3)));
  }
}

template <int MaxViews>
__global__ void __launch_bounds__(kBlock, 5)
    backward_by_warp(const __grid_constant__ ByWarp<FuseBackward> given) {
  FuseWarp<double, MaxViews> team;
  place_warp(team, given.call.in);
  double* const arrays = memory_of_warp<double>(given.bytes);
  team.arrays = arrays + kBackwardArrays * team.array_of(team.chunks_);
  backward_rows<decltype(team), MaxViews>(team, given.call, arrays);
}

__global__ void __launch_bounds__(kBlock, 5)
    backward_by_warp_from_buffer(const __grid_constant__ ByWarp<FuseBackward> given) {
  FuseFromBuffer<Warp<double>, kMaxViews> team;
  place_warp(team, given.call.in);
  team.arguments = &given.call.in;
  double* const arrays = memory_of_warp<double>(given.bytes);
  backward_rows<decltype(team), kMaxViews>(team, given.call, arrays);
}

}  // namespace

void fuse_forward(const FuseForward& call, int device, void* stream) {
  run<Fusion>(Target{device, stream}, call);
}

void fuse_backward(const FuseBackward& call, int device, void* stream) {
  const FuseArguments& a = call.in;
  const Target target{device, stream};
  const bool pair = a.views == kPair;
  if (a.classes <= kClassesPerThread) {
    const auto kernel = pair ? backward_by_thread<kPair> : backward_by_thread<kMaxViews>;
    if (target.by_thread(kernel, call, 2 * a.views + 3, sizeof(double))) return;
  }
  const auto kernel = pair ? backward_by_warp<kPair> : backward_by_warp<kMaxViews>;
  const std::int64_t arrays = a.views + kBackwardArrays;
  if (target.by_warp(kernel, call, warp_bytes(arrays, sizeof(double), a.classes))) return;
  target.by_warp(backward_by_warp_from_buffer, call,
                 warp_bytes(kBackwardArrays, sizeof(double), a.classes));
}

bool supports(int device) {
  const DeviceGuard guard(device);
  cudaFuncAttributes attributes;
  const cudaError_t status = cudaFuncGetAttributes(&attributes, backward_by_warp_from_buffer);
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorInvalidDeviceFunction) {
    static_cast<void>(cudaGetLastError());
    return false;
  }
  TER_CUDA_CHECK(status);
  return true;
}

}  // namespace cuda
}  // namespace ter

// What fusing and predicting share on the GPU: how evidence is read, and the kernels around a Step,
// whose row(team, call, views, buffers) does a row and returns false where float32 cannot hold it.
// Step::kResident is how many blocks of it are to share a multiprocessor: as many as leave enough
// registers to each.
#pragma once

#include "../fuse_row.h"
#include "launch.cuh"

namespace ter {
namespace cuda {
// Unnamed, because several sources have these kernels, each with a Step of its own.
namespace {

constexpr int kMaxViews = 16;
constexpr int kPair = 2;
// Arrays of classes that a row needs beside its evidence, where registers do not hold them.
constexpr int kForwardArrays = 2;

// Kernels for kPair views have no loops over views, and what differs from view to view stays in
// registers.
template <int MaxViews>
TER_DEVICE int views_of(const FuseArguments& a) {
  return MaxViews == kPair ? kPair : static_cast<int>(a.views);
}

// What fusion asks of a team besides its loads. Reliabilities are applied as evidence is read.
template <class Base, int MaxViews>
struct Views : Base {
  typedef typename Base::S S;
  S gain[MaxViews];

  TER_MEMBER void discount(int v, S factor) { gain[v] = factor; }
};

// Reads evidence out of the sets of a tile, from this thread's row of the first set on.
template <class R, int MaxK, int MaxViews>
struct FuseThread : Views<Thread<R, MaxK>, MaxViews> {
  R* own = nullptr;

  TER_MEMBER R raw(int v, int c) const { return own[v * this->set + c]; }
  TER_MEMBER R evidence(int v, int c) const { return raw(v, c) * this->gain[v]; }
  TER_MEMBER R stage(const FuseArguments& a, int v) {
    this->gain[v] = R(1);
    const bool present = a.mask == nullptr || a.mask[v * a.rows + this->row];
    if (a.mask != nullptr || a.activation != Activation::none) {
      R* row = own + v * this->set;
      // Not unrolled: a copy of exp and log for every class would need more registers than there
      // are.
#pragma unroll 1
      for (int c = 0; c < this->classes_; ++c) {
        row[c] = present ? activate(a.activation, row[c], a.cap) : R{};
      }
    }
    return present ? R(1) : R{};
  }
};

// Reads evidence out of arrays in shared memory.
template <class R, int MaxViews>
struct FuseWarp : Views<Warp<R>, MaxViews> {
  R* arrays = nullptr;

  TER_MEMBER R raw(int v, int c) const { return this->array(arrays, v)[c]; }
  TER_MEMBER R evidence(int v, int c) const { return raw(v, c) * this->gain[v]; }
  TER_MEMBER R stage(const FuseArguments& a, int v) {
    this->gain[v] = R(1);
    R* row = this->array(arrays, v);
    const bool present = a.mask == nullptr || a.mask[v * a.rows + this->row];
    if (!present) {
      TER_EACH_CHUNK(*this, c) { row[c] = R{}; }
      return R{};
    }
    this->load_classes(a.evidence, v * a.rows, row);
    if (a.activation != Activation::none) {
      TER_EACH_CHUNK(*this, c) { row[c] = this->keep(activate(a.activation, row[c], a.cap), c); }
    }
    return R(1);
  }
};

// Reads evidence from the buffer whenever it is asked for: for rows that shared memory has no room
// for, and for the few that are done again.
template <class Base, int MaxViews>
struct FuseFromBuffer : Views<Base, MaxViews> {
  const FuseArguments* arguments = nullptr;
  unsigned present = 0;  // a bit a view

  TER_MEMBER double raw(int v, int c) const {
    const int k = this->class_of(c);
    if (k >= this->classes_ || (present >> v & 1u) == 0) return 0;
    const FuseArguments& a = *arguments;
    const std::int64_t at = (v * a.rows + this->row) * this->classes_ + k;
    return activate(a.activation, load_number<double>(a.evidence, at, this->dtype), a.cap);
  }
  TER_MEMBER double evidence(int v, int c) const { return raw(v, c) * this->gain[v]; }
  TER_MEMBER double stage(const FuseArguments& a, int v) {
    this->gain[v] = 1;
    const bool there = a.mask == nullptr || a.mask[v * a.rows + this->row];
    present = (present & ~(1u << v)) | static_cast<unsigned>(there) << v;
    return there ? 1 : 0;
  }
};

// What a row has once for each view.
template <class S, int MaxViews>
struct PerView {
  S raw_total[MaxViews];
  S total[MaxViews];
  S inverse[MaxViews];
  S weight[MaxViews];
  S present[MaxViews];
  S discount[MaxViews];

  template <class Team>
  TER_MEMBER FuseBuffers<Team> buffers(S* product, S* fused, S* upstream, S* h) {
    return {product, fused, upstream, h, raw_total, total, inverse, weight, present, discount};
  }
};

template <class Team>
TER_DEVICE typename Team::S* start(Team& team, const FuseArguments& a,
                                   const Tile<typename Team::S>& tile) {
  place(team, a);
  team.set = tile.set;
  team.own = tile.memory + static_cast<int>(threadIdx.x) * tile.stride;
  return team.own;
}

// The block reads its rows of every view.
template <class R>
TER_DEVICE void copy_views_in(const FuseArguments& a, int views, const Turn& turn, int count,
                              const Tile<R>& tile) {
  for (int v = 0; v < views; ++v) {
    copy_in(a.evidence, v * a.rows + turn.first, count, a.dtype, tile, tile.memory + v * tile.set);
  }
}

// Does rows again that float32 could not hold, once a thread is through with the others: hardly
// any, and what they need must not cost the others registers. Their uncertainty was left NaN.
template <class Step, class Call>
TER_DEVICE void again_by_thread(const Call& call) {
  FuseFromBuffer<ThreadFromBuffer<double>, kNarrowViews> team;
  place(team, call.in);
  team.arguments = &call.in;
  double product[kClassesPerThread];
  double fused[kClassesPerThread];
  PerView<double, kNarrowViews> per_view;
  const auto buffers = per_view.template buffers<decltype(team)>(product, fused, nullptr, nullptr);
  const Turn turn;
  for (team.row = turn.first + threadIdx.x; team.row < call.in.rows; team.row += turn.step) {
    const double uncertainty = team.load_scalar(call.uncertainty, 0);
    if (uncertainty != uncertainty) {
      Step::row(team, call, static_cast<int>(call.in.views), buffers);
    }
  }
}

// Rows of a warp straight from the buffer: all of them, or those whose uncertainty was left NaN.
template <class Step, class Call>
TER_DEVICE void rows_from_buffer(const Call& call, double* arrays, bool all) {
  FuseFromBuffer<Warp<double>, kMaxViews> team;
  place_warp(team, call.in);
  team.arguments = &call.in;
  PerView<double, kMaxViews> per_view;
  const auto buffers = per_view.template buffers<decltype(team)>(
      team.array(arrays, 0), team.array(arrays, 1), nullptr, nullptr);
  for (team.row = first_row(); team.row < call.in.rows; team.row += row_step()) {
    const double uncertainty = all ? 0 : team.load_scalar(call.uncertainty, 0);
    if (all || uncertainty != uncertainty) {
      Step::row(team, call, static_cast<int>(call.in.views), buffers);
    }
  }
}

template <class Step, class Call, class R, int MaxK, int MaxViews>
__global__ void __launch_bounds__(kBlock, MaxK == 8 ? Step::kResident : 4)
    by_thread(const __grid_constant__ Call call) {
  typedef FuseThread<R, MaxK, MaxViews> Team;
  const FuseArguments& a = call.in;
  const int views = views_of<MaxViews>(a);
  const Tile<R> tile(a.classes);
  Team team;
  R* const own = start(team, a, tile);
  bool again = false;
  for (Turn turn; turn.first < a.rows; turn.first += turn.step) {
    const int count = turn.count(a.rows);
    copy_views_in(a, views, turn, count, tile);
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < count) {
      team.row = turn.first + threadIdx.x;
      // The evidence of the first view has served by the time the result takes its place.
      team.next_out = own;
      R registers[2][MaxK == 0 ? 1 : MaxK];
      R* const product = MaxK == 0 ? own + views * tile.set : registers[0];
      R* const fused = MaxK == 0 ? product + tile.set : registers[1];
      PerView<R, MaxViews> per_view;
      const auto buffers = per_view.template buffers<Team>(product, fused, nullptr, nullptr);
      if (!Step::row(team, call, views, buffers)) {
        team.store_scalar(call.uncertainty, 0, not_a_number<R>());
        again = true;
      }
    }
    __syncthreads();
    copy_out(tile.memory, tile, a.dtype, turn.first, count, Step::classes_out(call));
    __syncthreads();
  }
  if constexpr (!Team::kWide) {
    if (again) again_by_thread<Step>(call);
  }
}

template <class Step, class Call, class R, int MaxViews>
__global__ void __launch_bounds__(kBlock, Step::kResident)
    by_warp(const __grid_constant__ ByWarp<Call> given) {
  typedef FuseWarp<R, MaxViews> Team;
  const Call& call = given.call;
  const FuseArguments& a = call.in;
  const int views = views_of<MaxViews>(a);
  Team team;
  place_warp(team, a);
  team.arrays = memory_of_warp<R>(given.bytes);
  R* const product = team.array(team.arrays, views);
  R* const fused = team.array(team.arrays, views + 1);
  bool again = false;
  for (team.row = first_row(); team.row < a.rows; team.row += row_step()) {
    PerView<R, MaxViews> per_view;
    const auto buffers = per_view.template buffers<Team>(product, fused, nullptr, nullptr);
    if (!Step::row(team, call, views, buffers)) {
      team.store_scalar(call.uncertainty, 0, not_a_number<R>());
      again = true;
    }
  }
  if constexpr (!Team::kWide) {
    // Lanes read what the first lane wrote, and arrays of doubles lie elsewhere than those of
    // floats.
    __syncwarp();
    if (again) rows_from_buffer<Step>(call, memory_of_warp<double>(given.bytes), false);
  }
}

template <class Step, class Call>
__global__ void __launch_bounds__(kBlock, Step::kResident)
    by_warp_from_buffer(const __grid_constant__ ByWarp<Call> given) {
  rows_from_buffer<Step>(given.call, memory_of_warp<double>(given.bytes), true);
}

template <class Step, class Call>
bool in_threads(const Target& target, const Call& call, bool wide) {
  const FuseArguments& a = call.in;
  const bool pair = a.views == kPair;
  if (wide) {
    return target.by_thread(by_thread<Step, Call, double, 0, kMaxViews>, call,
                            a.views + kForwardArrays, sizeof(double));
  }
  if (a.classes <= 8) {
    const auto kernel = pair ? by_thread<Step, Call, float, 8, kPair>
                             : by_thread<Step, Call, float, 8, kNarrowViews>;
    return target.by_thread(kernel, call, a.views, sizeof(float));
  }
  if (pair) {
    return target.by_thread(by_thread<Step, Call, float, 16, kPair>, call, a.views, sizeof(float));
  }
  return target.by_thread(by_thread<Step, Call, float, 0, kNarrowViews>, call,
                          a.views + kForwardArrays, sizeof(float));
}

template <class Step, class Call>
bool in_warps(const Target& target, const Call& call, bool wide) {
  const FuseArguments& a = call.in;
  const std::int64_t arrays = a.views + kForwardArrays;
  if (wide) {
    return target.by_warp(by_warp<Step, Call, double, kMaxViews>, call,
                          warp_bytes(arrays, sizeof(double), a.classes));
  }
  const auto kernel = a.views == kPair ? by_warp<Step, Call, float, kPair>
                                       : by_warp<Step, Call, float, kNarrowViews>;
  // A row of float that is done again in double does it in the memory that it had.
  const std::size_t bytes = std::max(warp_bytes(arrays, sizeof(float), a.classes),
                                     warp_bytes(kForwardArrays, sizeof(double), a.classes));
  return target.by_warp(kernel, call, bytes);
}

template <class Step, class Call>
void run(const Target& target, const Call& call) {
  const FuseArguments& a = call.in;
  const bool wide =
      a.dtype == DType::float64 || a.views > kNarrowViews || a.classes > kLanes * kNarrowTerms;
  if (a.classes <= kClassesPerThread && in_threads<Step>(target, call, wide)) return;
  if (in_warps<Step>(target, call, wide)) return;
  target.by_warp(by_warp_from_buffer<Step, Call>, call,
                 warp_bytes(kForwardArrays, sizeof(double), a.classes));
}

}  // namespace
}  // namespace cuda
}  // namespace ter

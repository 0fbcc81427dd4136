// What losses and uncertainties share on the GPU: how rows are staged, and the kernels around a
// Step.
//
// A row works on arrays of classes in shared memory: the first Step::kInputs hold its inputs, one
// of the others its result. A Step says
//
//   input(call, i)     the buffer of input i; null where there is none
//   output(call)       the buffer of classes that array kOutput is written to; null for none
//   marker(call)       a buffer that gets NaN where a row is to be done again in double
//   marker_step(call)  how many of its elements a row has
//   row(team, call, arrays)  does a row; returns false where float32 cannot hold it
#pragma once

#include "../dirichlet.h"
#include "launch.cuh"

namespace ter {
namespace cuda {
// Unnamed, because several sources have these kernels, each with Steps of its own.
namespace {

// The block has staged the rows, and writes them.
template <class R>
struct StagedThread : OneThread<R> {
  TER_MEMBER int bound() const { return this->classes_; }
  TER_MEMBER static constexpr bool holds(int) { return true; }
  TER_MEMBER void load_classes(const void*, std::int64_t, R*) const {}
  TER_MEMBER void store_classes(void*, std::int64_t, const R*) const {}
};

// What rows of a Dirichlet ask of a team besides its loads.
template <class Base>
struct DirichletTeam : Base {
  typedef typename Base::T T;
  typedef typename Base::S S;

  TER_MEMBER S stage_target(const LossArguments& a, T* y) {
    if (a.soft != nullptr) {
      this->load_classes(a.soft, 0, y);
      return S{};
    }
    const std::int64_t label = a.label[this->row];
    TER_EACH_CHUNK(*this, c) { y[c] = this->class_of(c) == label ? T(1) : T{}; }
    return label < 0 || label >= this->classes_ ? not_a_number<S>() : S{};
  }
  TER_MEMBER void load_positive(const void* base, T* target) {
    this->load_classes(base, 0, target);
    TER_EACH_CHUNK(*this, c) {
      if (this->class_of(c) >= this->classes_) target[c] = T(1);
    }
  }
};

template <class Step, class Team, class Call>
TER_DEVICE bool is_marked(const Team& team, const Call& call) {
  const double x =
      load_number<double>(Step::marker(call), team.row * Step::marker_step(call), team.dtype);
  return x != x;
}

// Does rows again that float32 could not hold, once a thread is through with the others.
template <class Step, class Call>
TER_DEVICE void again_by_thread(const Call& call) {
  DirichletTeam<ThreadFromBuffer<double>> team;
  place(team, call.in);
  double memory[Step::kArrays][kClassesPerThread];
  double* arrays[Step::kArrays];
  for (int i = 0; i < Step::kArrays; ++i) arrays[i] = memory[i];
  const Turn turn;
  for (team.row = turn.first + threadIdx.x; team.row < call.in.rows; team.row += turn.step) {
    if (is_marked<Step>(team, call)) Step::row(team, call, arrays);
  }
}

template <class Step, class Call, class R>
__global__ void __launch_bounds__(kBlock, sizeof(R) == 4 ? Step::kResident : 3)
    by_thread(const __grid_constant__ Call call) {
  DirichletTeam<StagedThread<R>> team;
  place(team, call.in);
  const Tile<R> tile(call.in.classes);
  R* arrays[Step::kArrays];
#pragma unroll
  for (int i = 0; i < Step::kArrays; ++i) {
    arrays[i] = tile.memory + i * tile.set + static_cast<int>(threadIdx.x) * tile.stride;
  }
  R* const output_set = tile.memory + Step::kOutput * tile.set;
  bool again = false;
  for (Turn turn; turn.first < call.in.rows; turn.first += turn.step) {
    const int count = turn.count(call.in.rows);
#pragma unroll
    for (int i = 0; i < Step::kInputs; ++i) {
      const void* input = Step::input(call, i);
      if (input != nullptr) {
        copy_in(input, turn.first, count, call.in.dtype, tile, tile.memory + i * tile.set);
      }
    }
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < count) {
      team.row = turn.first + threadIdx.x;
      if (!Step::row(team, call, arrays)) {
        // Whether the marker lies among the classes or beside them.
        arrays[Step::kOutput][0] = not_a_number<R>();
        if (Step::marker_step(call) == 1) {
          team.store_scalar(Step::marker(call), 0, not_a_number<R>());
        }
        again = true;
      }
    }
    __syncthreads();
    // The next rows come to other sets than the one that is still being written out.
    if (Step::output(call) != nullptr) {
      copy_out(output_set, tile, call.in.dtype, turn.first, count, Step::output(call));
    }
  }
  if constexpr (sizeof(R) == sizeof(float)) {
    // What other threads write out of this one's rows must not come after what it writes itself.
    __syncthreads();
    if (again) again_by_thread<Step>(call);
  }
}

template <class R, class Step, class Call>
TER_DEVICE bool rows_by_warp(const ByWarp<Call>& given, bool all) {
  const Call& call = given.call;
  DirichletTeam<Warp<R>> team;
  place_warp(team, call.in);
  R* arrays[Step::kArrays];
#pragma unroll
  for (int i = 0; i < Step::kArrays; ++i) {
    arrays[i] = team.array(memory_of_warp<R>(given.bytes), i);
  }
  bool again = false;
  for (team.row = first_row(); team.row < call.in.rows; team.row += row_step()) {
    if (!all && !is_marked<Step>(team, call)) continue;
    if (!Step::row(team, call, arrays)) {
      if (team.lane == 0) {
        store_number(Step::marker(call), team.row * Step::marker_step(call), team.dtype,
                     not_a_number<R>());
      }
      again = true;
    }
  }
  return again;
}

template <class Step, class Call, class R>
__global__ void __launch_bounds__(kBlock, sizeof(R) == 4 ? Step::kResident : 4)
    by_warp(const __grid_constant__ ByWarp<Call> given) {
  const bool again = rows_by_warp<R, Step>(given, true);
  if constexpr (sizeof(R) == sizeof(float)) {
    // Lanes read what the first lane wrote, and arrays of doubles lie elsewhere than those of
    // floats.
    __syncwarp();
    if (again) rows_by_warp<double, Step>(given, false);
  }
}

template <class Step, class Call>
void run(const Call& call, int device, void* stream) {
  const Target target{device, stream};
  const bool wide = call.in.dtype == DType::float64 || call.in.classes > kLanes * kNarrowTerms;
  if (call.in.classes <= kClassesPerThread) {
    if (wide) {
      target.by_thread(by_thread<Step, Call, double>, call, Step::kArrays, sizeof(double));
    } else {
      target.by_thread(by_thread<Step, Call, float>, call, Step::kArrays, sizeof(float));
    }
    return;
  }
  // A row of float that is done again in double does it in the same memory.
  const std::size_t bytes = warp_bytes(Step::kArrays, sizeof(double), call.in.classes);
  target.by_warp(wide ? by_warp<Step, Call, double> : by_warp<Step, Call, float>, call, bytes);
}

}  // namespace
}  // namespace cuda
}  // namespace ter

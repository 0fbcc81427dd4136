// Evidential losses on the GPU, and their gradient in the same pass.
#include "../loss_row.h"
#include "dirichlet.cuh"

namespace ter {
namespace cuda {
namespace {

struct LossStep {
  static constexpr int kResident = 6;
  static constexpr int kArrays = 3;
  static constexpr int kInputs = 2;
  static constexpr int kOutput = 2;

  TER_MEMBER static const void* input(const LossForward& call, int i) {
    return i == 0 ? call.in.evidence : call.in.soft;
  }
  TER_MEMBER static void* output(const LossForward& call) { return call.gradient; }
  TER_MEMBER static void* marker(const LossForward& call) { return call.loss; }
  TER_MEMBER static std::int64_t marker_step(const LossForward&) { return 1; }

  template <class Team>
  TER_MEMBER static bool row(Team& team, const LossForward& call, typename Team::T* const* arrays) {
    typedef typename Team::S S;
    const LossBuffers<Team> buffers{arrays[0], arrays[1], arrays[2]};
    return loss_row(team, call, buffers, loss_constants<S>(call.in));
  }
};

}  // namespace

void loss_forward(const LossForward& call, int device, void* stream) {
  run<LossStep>(call, device, stream);
}

}  // namespace cuda
}  // namespace ter

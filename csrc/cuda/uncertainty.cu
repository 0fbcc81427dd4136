// Uncertainties of a Dirichlet on the GPU, all that are wanted in one pass, and their gradient.
#include "../uncertainty_row.h"
#include "dirichlet.cuh"

namespace ter {
namespace cuda {
namespace {

template <class Call>
struct UncertaintyStep {
  static constexpr int kInputs = 1;

  TER_MEMBER static const void* input(const Call& call, int) { return call.in.alpha; }

  template <class Team>
  TER_MEMBER static UncertaintyBuffers<Team> buffers(typename Team::T* const* arrays,
                                                     typename Team::T* slope,
                                                     typename Team::T* share,
                                                     typename Team::T* pull) {
    return {arrays[0], slope, arrays[1], share, pull};
  }
};

struct Measure : UncertaintyStep<UncertaintyForward> {
  static constexpr int kResident = 6;
  static constexpr int kArrays = 2;
  static constexpr int kOutput = 0;

  TER_MEMBER static void* output(const UncertaintyForward&) { return nullptr; }
  TER_MEMBER static __host__ void* marker(const UncertaintyForward& call) {
    void* const fields[] = {call.vacuity,
                            call.entropy,
                            call.aleatoric,
                            call.mutual_information,
                            call.differential_entropy,
                            call.dissonance};
    void* wanted = nullptr;
    for (void* field : fields) wanted = wanted == nullptr ? field : wanted;
    return wanted;
  }
  TER_MEMBER static std::int64_t marker_step(const UncertaintyForward&) { return 1; }

  template <class Team>
  TER_MEMBER static bool row(Team& team, const UncertaintyForward& call,
                             typename Team::T* const* arrays) {
    return uncertainty_row(team, call, buffers<Team>(arrays, nullptr, nullptr, nullptr));
  }
};

struct Differentiate : UncertaintyStep<UncertaintyBackward> {
  static constexpr int kResident = 6;
  static constexpr int kArrays = 5;
  static constexpr int kOutput = 2;

  TER_MEMBER static void* output(const UncertaintyBackward& call) { return call.grad_alpha; }
  TER_MEMBER static void* marker(const UncertaintyBackward& call) { return call.grad_alpha; }
  TER_MEMBER static std::int64_t marker_step(const UncertaintyBackward& call) {
    return call.in.classes;
  }

  template <class Team>
  TER_MEMBER static bool row(Team& team, const UncertaintyBackward& call,
                             typename Team::T* const* arrays) {
    return uncertainty_backward_row(team, call,
                                    buffers<Team>(arrays, arrays[2], arrays[3], arrays[4]));
  }
};

}  // namespace

void uncertainty_forward(const UncertaintyForward& call, int device, void* stream) {
  // Nothing is wanted, and there would be nowhere to mark a row.
  if (Measure::marker(call) == nullptr) return;
  run<Measure>(call, device, stream);
}

void uncertainty_backward(const UncertaintyBackward& call, int device, void* stream) {
  run<Differentiate>(call, device, stream);
}

}  // namespace cuda
}  // namespace ter

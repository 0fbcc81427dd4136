// Inference on the GPU: logits or evidence to the decision, in one pass.
#include "../predict_row.h"
#include "fuse.cuh"

namespace ter {
namespace cuda {
namespace {

struct Inference {
  static constexpr int kResident = 5;

  template <class Team>
  TER_MEMBER static bool row(Team& team, const Predict& call, int views,
                             const FuseBuffers<Team>& buffers) {
    return predict_row(team, call, views, buffers);
  }
  TER_MEMBER static void* classes_out(const Predict& call) { return call.probability; }
};

}  // namespace

void predict(const Predict& call, int device, void* stream) {
  run<Inference>(Target{device, stream}, call);
}

}  // namespace cuda
}  // namespace ter

#include "dispatch.h"
#include "scratch.h"

namespace ter {
namespace {

// What each class takes, in units of reading and combining a number: logarithms and the gamma
// family, and for the dissonance a division for each other class.
std::int64_t work(const UncertaintyArguments& a, bool pairs) {
  return a.classes * (16 + (pairs ? 2 * a.classes : 0));
}

}  // namespace

void uncertainty_forward(const UncertaintyForward& call, int threads) {
  const UncertaintyArguments& a = call.in;
  run_rows(call, TER_BEST(uncertainty_forward), a.rows, work(a, call.dissonance != nullptr),
           row_scratch_bytes(5, a.classes), threads);
}

void uncertainty_backward(const UncertaintyBackward& call, int threads) {
  const UncertaintyArguments& a = call.in;
  run_rows(call, TER_BEST(uncertainty_backward), a.rows,
           2 * work(a, call.grad_dissonance != nullptr), row_scratch_bytes(5, a.classes), threads);
}

}  // namespace ter

#include "dispatch.h"
#include "scratch.h"

namespace ter {
namespace {

// The gamma family takes so many times what reading and combining a number takes.
constexpr std::int64_t kGammaWork = 8;

}  // namespace

void loss_forward(const LossForward& call, int threads) {
  const LossArguments& a = call.in;
  run_rows(call, TER_BEST(loss_forward), a.rows, kGammaWork * a.classes,
           row_scratch_bytes(3, a.classes), threads);
}

void special(const Special& call, int threads) {
  run_rows(call, TER_BEST(special), call.rows, kGammaWork, 0, threads);
}

}  // namespace ter

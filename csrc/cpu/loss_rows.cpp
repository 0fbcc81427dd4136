// Row loops of the evidential losses; compiled once per instruction set, as fuse_rows.cpp is.
#include "../loss_row.h"
#include "dirichlet_team.h"
#include "rows.h"

namespace ter {
namespace TER_ISA {
namespace {

template <class Team>
struct LossStep {
  LossBuffers<Team> buffers;
  LossConstants<Real<typename Team::S>> constants;

  LossStep(const Team& team, const LossForward& call, void* scratch)
      : constants(loss_constants<Real<typename Team::S>>(call.in)) {
    typename Team::T* next = static_cast<typename Team::T*>(scratch);
    const int chunks = team.chunks();
    buffers = {next, next + chunks, next + 2 * chunks};
  }
  TER_MEMBER bool row(Team& team, const LossForward& call) const {
    return loss_row(team, call, buffers, constants);
  }
};

}  // namespace

void loss_forward(const LossForward& call, std::int64_t begin, std::int64_t end, void* scratch) {
  each_row<LossStep>(call, begin, end, scratch);
}

}  // namespace TER_ISA
}  // namespace ter

// Row loops of the uncertainties; compiled once per instruction set, as fuse_rows.cpp is.
#include "../uncertainty_row.h"
#include "dirichlet_team.h"
#include "rows.h"

namespace ter {
namespace TER_ISA {
namespace {

template <class Team>
struct Step {
  UncertaintyBuffers<Team> buffers;

  template <class Call>
  Step(const Team& team, const Call&, void* scratch) {
    typename Team::T* next = static_cast<typename Team::T*>(scratch);
    const int chunks = team.chunks();
    buffers = {next, next + chunks, next + 2 * chunks, next + 3 * chunks, next + 4 * chunks};
  }
  TER_MEMBER bool row(Team& team, const UncertaintyForward& call) const {
    return uncertainty_row(team, call, buffers);
  }
  TER_MEMBER bool row(Team& team, const UncertaintyBackward& call) const {
    return uncertainty_backward_row(team, call, buffers);
  }
};

}  // namespace

void uncertainty_forward(const UncertaintyForward& call, std::int64_t begin, std::int64_t end,
                         void* scratch) {
  each_row<Step>(call, begin, end, scratch);
}

void uncertainty_backward(const UncertaintyBackward& call, std::int64_t begin, std::int64_t end,
                          void* scratch) {
  each_row<Step>(call, begin, end, scratch);
}

}  // namespace TER_ISA
}  // namespace ter

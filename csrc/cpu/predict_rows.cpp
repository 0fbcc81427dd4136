// Row loops of inference; compiled once per instruction set, as fuse_rows.cpp is.
#include "../predict_row.h"
#include "fuse_team.h"
#include "rows.h"

namespace ter {
namespace TER_ISA {
namespace {

struct Inference {
  template <class Team>
  TER_MEMBER static bool row(Team& team, const Predict& call, int views,
                             const FuseBuffers<Team>& buffers) {
    return predict_row(team, call, views, buffers);
  }
};

}  // namespace

void predict(const Predict& call, std::int64_t begin, std::int64_t end, void* scratch) {
  forward_rows<Inference>(call, begin, end, scratch);
}

}  // namespace TER_ISA
}  // namespace ter

// Row loops of fusion. CMake compiles this file once per instruction set with TER_ISA set, so
// nothing here may have external linkage but the loops, and nothing may call a function of the
// standard library that the linker could merge.
#include "../fuse_row.h"
#include "fuse_team.h"
#include "rows.h"

namespace ter {
namespace TER_ISA {
namespace {

// One row of a forward call, by any team.
struct Forward {
  template <class Team>
  TER_MEMBER static bool row(Team& team, const FuseForward& call, int views,
                             const FuseBuffers<Team>& buffers) {
    return forward_row(team, call, views, buffers);
  }
};

template <class Base>
void backward(const FuseBackward& call, std::int64_t begin, std::int64_t end, void* scratch) {
  FuseTeam<Base> team;
  const auto buffers = carve(team, call.in, scratch);
  for (std::int64_t row = begin; row < end; row += team.kRows) {
    place(team, row, end);
    backward_row(team, call, static_cast<int>(call.in.views), buffers);
  }
}

template <class Storage>
void backward_any(const FuseBackward& call, std::int64_t begin, std::int64_t end, void* scratch) {
  if (call.in.classes > kClassesPerLane) {
    return backward<LanesPerRow<Doubles, Storage>>(call, begin, end, scratch);
  }
  return backward<RowPerLane<Doubles, Storage>>(call, begin, end, scratch);
}

}  // namespace

void fuse_forward(const FuseForward& call, std::int64_t begin, std::int64_t end, void* scratch) {
  forward_rows<Forward>(call, begin, end, scratch);
}

void fuse_backward(const FuseBackward& call, std::int64_t begin, std::int64_t end, void* scratch) {
  if (call.in.dtype == DType::float32) return backward_any<float>(call, begin, end, scratch);
  return backward_any<double>(call, begin, end, scratch);
}

}  // namespace TER_ISA
}  // namespace ter

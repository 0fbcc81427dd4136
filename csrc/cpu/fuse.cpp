#include "dispatch.h"
#include "scratch.h"

namespace ter {

void fuse_forward(const FuseForward& call, int threads) {
  const FuseArguments& a = call.in;
  run_rows(call, TER_BEST(fuse_forward), a.rows, (a.views + 1) * a.classes,
           fuse_scratch_bytes(a.views, a.classes), threads);
}

void fuse_backward(const FuseBackward& call, int threads) {
  const FuseArguments& a = call.in;
  run_rows(call, TER_BEST(fuse_backward), a.rows, 3 * (a.views + 1) * a.classes,
           fuse_scratch_bytes(a.views, a.classes), threads);
}

void predict(const Predict& call, int threads) {
  const FuseArguments& a = call.in;
  run_rows(call, TER_BEST(predict), a.rows, 2 * (a.views + 1) * a.classes,
           fuse_scratch_bytes(a.views, a.classes), threads);
}

}  // namespace ter

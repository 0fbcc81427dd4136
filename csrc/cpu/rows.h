// Row loops that are compiled once per instruction set and chosen at run time.
//
// A loop works on rows [begin, end) of a call, with scratch memory of its own, 64-byte aligned.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../kernels.h"

namespace ter {

template <class Call>
using Loop = void (*)(const Call&, std::int64_t begin, std::int64_t end, void* scratch);

#define TER_DECLARE_ROWS(isa)                                                               \
  namespace isa {                                                                           \
  void fuse_forward(const FuseForward&, std::int64_t, std::int64_t, void*);                 \
  void fuse_backward(const FuseBackward&, std::int64_t, std::int64_t, void*);               \
  void predict(const Predict&, std::int64_t, std::int64_t, void*);                          \
  void loss_forward(const LossForward&, std::int64_t, std::int64_t, void*);                 \
  void uncertainty_forward(const UncertaintyForward&, std::int64_t, std::int64_t, void*);   \
  void uncertainty_backward(const UncertaintyBackward&, std::int64_t, std::int64_t, void*); \
  void special(const Special&, std::int64_t, std::int64_t, void*);                          \
  }

TER_DECLARE_ROWS(baseline)
#if defined(TER_X86_VARIANTS)
TER_DECLARE_ROWS(avx2)
TER_DECLARE_ROWS(avx512)
// The loop of the best instruction set that the processor has.
#define TER_BEST(loop) (best(baseline::loop, avx2::loop, avx512::loop))
#else
#define TER_BEST(loop) (best(baseline::loop, baseline::loop, baseline::loop))
#endif

}  // namespace ter

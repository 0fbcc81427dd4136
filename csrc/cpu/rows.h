// Row loops that are compiled once per instruction set and chosen at run time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../kernels.h"

namespace ter {

struct RowLoops {
  const char* name;
  // Doubles of 64-byte aligned scratch memory that one caller of the loops needs.
  std::size_t (*scratch_size)(std::int64_t views, std::int64_t classes);
  void (*forward)(const FuseArguments&, const FuseResults&, std::int64_t begin, std::int64_t end,
                  double* scratch);
  void (*backward)(const FuseArguments&, const FuseGradients&, std::int64_t begin, std::int64_t end,
                   double* scratch);
};

extern const RowLoops rows_baseline;
#if defined(TER_X86_VARIANTS)
extern const RowLoops rows_avx2;
extern const RowLoops rows_avx512;
#endif

}  // namespace ter

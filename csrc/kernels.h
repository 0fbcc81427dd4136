// The batched operators, on plain buffers. V views, B rows (samples), K classes.
#pragma once

#include <cstdint>

#include "opinion.h"

namespace ter {

// Evidence, results and gradients are all float32 or all float64, contiguous.
struct FuseArguments {
  const void* evidence;  // (V, B, K), each >= 0
  const bool* mask;      // (V, B), true = present; null = all present
  const void* discount;  // (V, B), reliabilities in [0, 1]; null = all 1
  std::int64_t views;
  std::int64_t rows;
  std::int64_t classes;
  Rule rule;
  bool is_double;
  double limit;  // largest strength (evidence + K) of a stored row
};

struct FuseResults {
  void* fused;         // (B, K)
  void* uncertainty;   // (B,)
  void* conflict;      // (B,)
  void* disagreement;  // (B,)
};

struct FuseGradients {
  const void* fused;         // (B, K); null = zero, here and in the next three
  const void* uncertainty;   // (B,)
  const void* conflict;      // (B,)
  const void* disagreement;  // (B,)
  void* evidence;            // (V, B, K), written
  void* discount;            // (V, B), written; null where FuseArguments::discount is null
};

void fuse_forward(const FuseArguments& arguments, const FuseResults& results, int threads);

void fuse_backward(const FuseArguments& arguments, const FuseGradients& gradients, int threads);

// Name of the instruction set that the calls above run on.
const char* instruction_set();

}  // namespace ter

// The batched operators, on plain buffers. V views, B rows (samples), K classes.
#pragma once

#include <cstdint>

#include "confidences.h"
#include "rules.h"

namespace ter {

// How the input becomes evidence; `none` where it is evidence already.
enum class Activation : int { none = 0, softplus = 1, relu = 2, exp = 3 };

// What the floating-point buffers of a call hold. The CPU takes the first two.
enum class DType : int { float32 = 0, float64 = 1, bfloat16 = 2, float16 = 3 };

// All buffers are contiguous, all floating-point ones of one dtype.
struct FuseArguments {
  const void* evidence;  // (V, B, K), each >= 0; or logits, by `activation`
  const bool* mask;      // (V, B), true = present; null = all present
  const void* discount;  // (V, B), reliabilities in [0, 1]; null = all 1
  std::int64_t views;
  std::int64_t rows;
  std::int64_t classes;
  Rule rule;
  Activation activation;
  DType dtype;
  double limit;  // largest strength (evidence + K) of a stored row
  double cap;    // largest logit that the exp activation takes
};

struct FuseForward {
  FuseArguments in;
  void* fused;         // (B, K), here and below: written
  void* uncertainty;   // (B,)
  void* conflict;      // (B,)
  void* disagreement;  // (B,)
};

struct FuseBackward {
  FuseArguments in;
  const void* grad_fused;         // (B, K); null = zero, here and in the next three
  const void* grad_uncertainty;   // (B,)
  const void* grad_conflict;      // (B,)
  const void* grad_disagreement;  // (B,)
  void* grad_evidence;            // (V, B, K), written; by logits where there is an activation
  void* grad_discount;            // (V, B), written; null where there is no discount
};

struct Predict {
  FuseArguments in;  // its limit is not used: nothing that could saturate is stored
  ConfidenceKind kind;
  const void* thresholds;     // (B,); null = `threshold` for every row
  double threshold;           // NaN to trust nothing
  double disagreement_limit;  // infinity for none
  void* probability;          // (B, K), here and below: written
  std::int64_t* prediction;   // (B,)
  void* confidence;           // (B,)
  void* uncertainty;          // (B,)
  void* conflict;             // (B,)
  void* disagreement;         // (B,)
  bool* trusted;              // (B,)
};

enum class Loss : int { log = 0, digamma = 1, mse = 2 };

struct LossArguments {
  const void* evidence;       // (B, K), each >= 0
  const void* soft;           // (B, K), soft targets; or null
  const std::int64_t* label;  // (B,), classes, where there are no soft targets
  std::int64_t rows;
  std::int64_t classes;
  Loss kind;
  double kl_weight;  // 0 to leave the regularizer out
  DType dtype;
};

struct LossForward {
  LossArguments in;
  void* loss;      // (B,), written
  void* gradient;  // (B, K), d loss_b / d evidence_bk, written; null where it is not wanted
};

struct UncertaintyArguments {
  const void* alpha;  // (B, K), each > 0
  std::int64_t rows;
  std::int64_t classes;
  DType dtype;
};

struct UncertaintyForward {
  UncertaintyArguments in;
  void* vacuity;  // (B,), written; null where it is not wanted, here and below
  void* entropy;
  void* aleatoric;
  void* mutual_information;
  void* differential_entropy;
  void* dissonance;
};

struct UncertaintyBackward {
  UncertaintyArguments in;
  const void* grad_vacuity;  // (B,); null = zero, here and below
  const void* grad_entropy;
  const void* grad_aleatoric;
  const void* grad_mutual_information;
  const void* grad_differential_entropy;
  const void* grad_dissonance;
  void* grad_alpha;  // (B, K), written
};

enum class Function : int {
  exp = 0,
  expm1 = 1,
  log = 2,
  log1p = 3,
  digamma = 4,
  trigamma = 5,
  lgamma = 6,
  gap = 7,
  rest = 8
};

// A special function of each number, for the tests of special.h.
struct Special {
  Function function;
  const void* x;  // (rows,), float32 or float64
  void* y;        // (rows,), written
  std::int64_t rows;
  DType dtype;
};

// On the CPU, on at most `threads` threads.
void fuse_forward(const FuseForward& call, int threads);
void fuse_backward(const FuseBackward& call, int threads);
void predict(const Predict& call, int threads);
void loss_forward(const LossForward& call, int threads);
void uncertainty_forward(const UncertaintyForward& call, int threads);
void uncertainty_backward(const UncertaintyBackward& call, int threads);
void special(const Special& call, int threads);

// Name of the instruction set that the calls above run on.
const char* instruction_set();

#if defined(TER_FAST_CUDA) || defined(__CUDACC__)
// On a CUDA device, in order with the other work of a stream: for at most 16 views and 1024
// classes. They return before the work is done.
namespace cuda {
void fuse_forward(const FuseForward& call, int device, void* stream);
void fuse_backward(const FuseBackward& call, int device, void* stream);
void predict(const Predict& call, int device, void* stream);
void loss_forward(const LossForward& call, int device, void* stream);
void uncertainty_forward(const UncertaintyForward& call, int device, void* stream);
void uncertainty_backward(const UncertaintyBackward& call, int device, void* stream);

// Whether there is code for a device among the kernels.
bool supports(int device);
}  // namespace cuda
#endif

}  // namespace ter

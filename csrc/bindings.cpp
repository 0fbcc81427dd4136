// Python bindings: addresses and sizes in, nothing out. Callers check every argument.
//
// Every call ends in (device, stream): a CUDA device and stream, or -1 and a number of CPU threads.
#include <pybind11/pybind11.h>

#include <stdexcept>

#include "kernels.h"

namespace py = pybind11;

namespace {

using Address = std::uintptr_t;

const void* in(Address address) { return reinterpret_cast<const void*>(address); }
void* out(Address address) { return reinterpret_cast<void*>(address); }
const bool* flags(Address address) { return reinterpret_cast<const bool*>(address); }

template <class Call>
void launch(const Call& call, std::int64_t device, std::uintptr_t stream,
            void (*cpu)(const Call&, int), void (*cuda)(const Call&, int, void*)) {
  if (device < 0) return cpu(call, static_cast<int>(stream));
  if (cuda == nullptr) throw std::runtime_error("ter_fast was built without CUDA kernels");
  cuda(call, static_cast<int>(device), reinterpret_cast<void*>(stream));
}

#if defined(TER_FAST_CUDA)
#define TER_BOTH(op) ter::op, ter::cuda::op
#else
#define TER_BOTH(op) ter::op, nullptr
#endif

ter::FuseArguments arguments(Address evidence, Address mask, Address discount, std::int64_t views,
                             std::int64_t rows, std::int64_t classes, int rule, int activation,
                             int dtype, double limit, double cap) {
  return {in(evidence),
          flags(mask),
          in(discount),
          views,
          rows,
          classes,
          static_cast<ter::Rule>(rule),
          static_cast<ter::Activation>(activation),
          static_cast<ter::DType>(dtype),
          limit,
          cap};
}

void fuse_forward(Address evidence, Address mask, Address discount, std::int64_t views,
                  std::int64_t rows, std::int64_t classes, int rule, int activation, int dtype,
                  double limit, double cap, Address fused, Address uncertainty, Address conflict,
                  Address disagreement, std::int64_t device, std::uintptr_t stream) {
  const ter::FuseForward call{arguments(evidence, mask, discount, views, rows, classes, rule,
                                        activation, dtype, limit, cap),
                              out(fused), out(uncertainty), out(conflict), out(disagreement)};
  launch<ter::FuseForward>(call, device, stream, TER_BOTH(fuse_forward));
}

void fuse_backward(Address evidence, Address mask, Address discount, std::int64_t views,
                   std::int64_t rows, std::int64_t classes, int rule, int activation, int dtype,
                   double limit, double cap, Address grad_fused, Address grad_uncertainty,
                   Address grad_conflict, Address grad_disagreement, Address grad_evidence,
                   Address grad_discount, std::int64_t device, std::uintptr_t stream) {
  const ter::FuseBackward call{arguments(evidence, mask, discount, views, rows, classes, rule,
                                         activation, dtype, limit, cap),
                               in(grad_fused),
                               in(grad_uncertainty),
                               in(grad_conflict),
                               in(grad_disagreement),
                               out(grad_evidence),
                               out(grad_discount)};
  launch<ter::FuseBackward>(call, device, stream, TER_BOTH(fuse_backward));
}

void predict(Address evidence, Address mask, Address discount, std::int64_t views,
             std::int64_t rows, std::int64_t classes, int rule, int activation, int dtype,
             double cap, int kind, Address thresholds, double threshold, double disagreement_limit,
             Address probability, Address prediction, Address confidence, Address uncertainty,
             Address conflict, Address disagreement, Address trusted, std::int64_t device,
             std::uintptr_t stream) {
  const ter::Predict call{
      arguments(evidence, mask, discount, views, rows, classes, rule, activation, dtype, 0, cap),
      static_cast<ter::ConfidenceKind>(kind),
      in(thresholds),
      threshold,
      disagreement_limit,
      out(probability),
      reinterpret_cast<std::int64_t*>(prediction),
      out(confidence),
      out(uncertainty),
      out(conflict),
      out(disagreement),
      reinterpret_cast<bool*>(trusted)};
  launch<ter::Predict>(call, device, stream, TER_BOTH(predict));
}

void loss_forward(Address evidence, Address soft, Address label, std::int64_t rows,
                  std::int64_t classes, int kind, double kl_weight, int dtype, Address loss,
                  Address gradient, std::int64_t device, std::uintptr_t stream) {
  const ter::LossForward call{
      {in(evidence), in(soft), reinterpret_cast<const std::int64_t*>(label), rows, classes,
       static_cast<ter::Loss>(kind), kl_weight, static_cast<ter::DType>(dtype)},
      out(loss),
      out(gradient)};
  launch<ter::LossForward>(call, device, stream, TER_BOTH(loss_forward));
}

void uncertainty_forward(Address alpha, std::int64_t rows, std::int64_t classes, int dtype,
                         Address vacuity, Address entropy, Address aleatoric,
                         Address mutual_information, Address differential_entropy,
                         Address dissonance, std::int64_t device, std::uintptr_t stream) {
  const ter::UncertaintyForward call{{in(alpha), rows, classes, static_cast<ter::DType>(dtype)},
                                     out(vacuity),
                                     out(entropy),
                                     out(aleatoric),
                                     out(mutual_information),
                                     out(differential_entropy),
                                     out(dissonance)};
  launch<ter::UncertaintyForward>(call, device, stream, TER_BOTH(uncertainty_forward));
}

void uncertainty_backward(Address alpha, std::int64_t rows, std::int64_t classes, int dtype,
                          Address grad_vacuity, Address grad_entropy, Address grad_aleatoric,
                          Address grad_mutual_information, Address grad_differential_entropy,
                          Address grad_dissonance, Address grad_alpha, std::int64_t device,
                          std::uintptr_t stream) {
  const ter::UncertaintyBackward call{{in(alpha), rows, classes, static_cast<ter::DType>(dtype)},
                                      in(grad_vacuity),
                                      in(grad_entropy),
                                      in(grad_aleatoric),
                                      in(grad_mutual_information),
                                      in(grad_differential_entropy),
                                      in(grad_dissonance),
                                      out(grad_alpha)};
  launch<ter::UncertaintyBackward>(call, device, stream, TER_BOTH(uncertainty_backward));
}

void special(int function, Address x, Address y, std::int64_t count, int dtype, int threads) {
  ter::special(
      {static_cast<ter::Function>(function), in(x), out(y), count, static_cast<ter::DType>(dtype)},
      threads);
}

// Names in the order of their codes; the package checks its own tables against them.
#define TER_STRING(name) #name,
constexpr const char* kRules[] = {TER_FUSION_RULES(TER_STRING)};
constexpr const char* kConfidenceKinds[] = {TER_CONFIDENCE_KINDS(TER_STRING)};
#undef TER_STRING

template <std::size_t count>
py::tuple names(const char* const (&each)[count]) {
  py::tuple all(count);
  for (std::size_t i = 0; i < count; ++i) all[i] = each[i];
  return all;
}

}  // namespace

PYBIND11_MODULE(_C, module) {
  module.doc() = "Compiled kernels of ter_fast; call them through ter_fast.opinions._ops.";
  module.attr("RULES") = names(kRules);
  module.attr("CONFIDENCE_KINDS") = names(kConfidenceKinds);
  module.attr("sources") = TER_FAST_SOURCES;
  const py::call_guard<py::gil_scoped_release> unlocked;
  module.def("fuse_forward", &fuse_forward, unlocked);
  module.def("fuse_backward", &fuse_backward, unlocked);
  module.def("predict", &predict, unlocked);
  module.def("loss_forward", &loss_forward, unlocked);
  module.def("uncertainty_forward", &uncertainty_forward, unlocked);
  module.def("uncertainty_backward", &uncertainty_backward, unlocked);
  module.def("special", &special, unlocked);
  module.def("instruction_set", &ter::instruction_set);
#if defined(TER_FAST_CUDA)
  module.attr("cuda_architectures") = TER_FAST_CUDA_ARCHITECTURES;
  // Whether a kernel of this build has code for the device.
  module.def("cuda_supports", &ter::cuda::supports);
#else
  module.attr("cuda_architectures") = "";
  module.attr("without_cuda") = TER_FAST_WITHOUT_CUDA;
#endif
}

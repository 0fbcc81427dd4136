// Python bindings: addresses and sizes in, nothing out. Callers check every argument.
#include <pybind11/pybind11.h>

#include "kernels.h"

namespace py = pybind11;

namespace {

using Address = std::uintptr_t;

ter::FuseArguments arguments(Address evidence, Address mask, Address discount, std::int64_t views,
                             std::int64_t rows, std::int64_t classes, int rule, bool is_double,
                             double limit) {
  return {reinterpret_cast<const void*>(evidence),
          reinterpret_cast<const bool*>(mask),
          reinterpret_cast<const void*>(discount),
          views,
          rows,
          classes,
          static_cast<ter::Rule>(rule),
          is_double,
          limit};
}

void fuse_forward(Address evidence, Address mask, Address discount, std::int64_t views,
                  std::int64_t rows, std::int64_t classes, int rule, bool is_double, double limit,
                  Address fused, Address uncertainty, Address conflict, Address disagreement,
                  int threads) {
  ter::fuse_forward(
      arguments(evidence, mask, discount, views, rows, classes, rule, is_double, limit),
      {reinterpret_cast<void*>(fused), reinterpret_cast<void*>(uncertainty),
       reinterpret_cast<void*>(conflict), reinterpret_cast<void*>(disagreement)},
      threads);
}

void fuse_backward(Address evidence, Address mask, Address discount, std::int64_t views,
                   std::int64_t rows, std::int64_t classes, int rule, bool is_double, double limit,
                   Address grad_fused, Address grad_uncertainty, Address grad_conflict,
                   Address grad_disagreement, Address grad_evidence, Address grad_discount,
                   int threads) {
  ter::fuse_backward(
      arguments(evidence, mask, discount, views, rows, classes, rule, is_double, limit),
      {reinterpret_cast<const void*>(grad_fused), reinterpret_cast<const void*>(grad_uncertainty),
       reinterpret_cast<const void*>(grad_conflict),
       reinterpret_cast<const void*>(grad_disagreement), reinterpret_cast<void*>(grad_evidence),
       reinterpret_cast<void*>(grad_discount)},
      threads);
}

}  // namespace

PYBIND11_MODULE(_C, module) {
  module.doc() = "Compiled kernels of ter_fast; call them through ter_fast._ops.";
  module.def("fuse_forward", &fuse_forward, py::call_guard<py::gil_scoped_release>());
  module.def("fuse_backward", &fuse_backward, py::call_guard<py::gil_scoped_release>());
  module.def("instruction_set", &ter::instruction_set);
}

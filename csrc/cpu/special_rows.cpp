// special.h on an array; compiled once per instruction set, as fuse_rows.cpp is.
#include "../special.h"
#include "loads.h"
#include "rows.h"

namespace ter {
namespace TER_ISA {
namespace {

template <class T>
TER_HD T evaluate(Function function, T x) {
  switch (function) {
    case Function::exp:
      return exp_of(x);
    case Function::expm1:
      return expm1_of(x);
    case Function::log:
      return log_of(x);
    case Function::log1p:
      return log1p_of(x);
    case Function::digamma:
      return digamma_of(x);
    case Function::trigamma:
      return trigamma_of(x);
    case Function::lgamma:
      return lgamma_of(x);
    case Function::gap:
      return gamma_parts<kGap>(x).gap;
    case Function::rest:
      return gamma_parts<kRest>(x).rest;
  }
  return x;
}

template <class Vector, class Storage>
void each(const Special& call, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t kStep = kLanes<Vector>;
  const Storage* x = static_cast<const Storage*>(call.x);
  Storage* y = static_cast<Storage*>(call.y);
  for (std::int64_t i = begin; i < end; i += kStep) {
    const int count = static_cast<int>(end - i < kStep ? end - i : kStep);
    store_lanes(evaluate(call.function, load_lanes<Vector>(x + i, 1, count)), 1, count, y + i);
  }
}

}  // namespace

void special(const Special& call, std::int64_t begin, std::int64_t end, void*) {
  if (call.dtype == DType::float32) return each<Floats, float>(call, begin, end);
  return each<Doubles, double>(call, begin, end);
}

}  // namespace TER_ISA
}  // namespace ter

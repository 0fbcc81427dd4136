// What losses and uncertainties of a Dirichlet share, on any team (see opinion.h).
//
// lnG(x) and psi(x) are never formed: Stirling's large terms drop out of the sums by hand, and only
// the corrections to them are computed, which neither cancel nor underflow where x is large.
#pragma once

#include "kernels.h"
#include "lanes.h"
#include "special.h"

namespace ter {

constexpr double kHalfLogTwoPi = 0.9189385332046727;

// Corrections at x >= 1.
template <class T>
struct Corrections {
  T inverse;   // 1 / x
  T gap;       // x (log x - psi(x)): 0.577 at 1, 1/2 at infinity
  T trigamma;  // x psi'(x) - 1: 0.645 at 1, 0 at infinity
  T rest;      // lnG(x) - ((x - 1/2) log x - x + log(2 pi) / 2): 0.081 at 1, 0 at infinity
};

template <unsigned Wanted, class T>
TER_HD Corrections<T> corrections(T x) {
  const Real<T> half = Real<T>(0.5);
  const Real<T> one = 1;
  Corrections<T> at{one / x, T{}, T{}, T{}};
  const T r = at.inverse;
  const T w = one / (x + one);
  if constexpr (Wanted & kGap) at.gap = half + r * gap_curve(w);
  if constexpr (Wanted & kTrigamma) at.trigamma = r * (half + r * trigamma_curve(w));
  if constexpr (Wanted & kRest) at.rest = r * rest_curve(w);
  return at;
}

// log(1 + x) - x for x in [0, 1/2], whose digits log(1 + x) does not have.
template <class T>
TER_HD T log1p_bend(T x) {
  // With s = x / (2 + x), log(1 + x) = 2 atanh(s) and x = 2s + sx.
  const T s = x / (x + Real<T>(2));
  const T z = s * s;
  T cubic;  // (2 atanh(s) / s - 2) / s^2, by Chebyshev interpolation
  if constexpr (kSingle<T>) {
    // to 4.1e-9
    cubic = polynomial<T>(z, 0.666666663f, 0.400003113f, 0.285327448f, 0.237473445f);
  } else {
    // to 2.6e-17
    cubic = polynomial<T>(z, 0.6666666666666666, 0.40000000000007801, 0.28571428567339189,
                          0.22222223037807242, 0.18181738454723026, 0.15388834677801915,
                          0.1321036048513262, 0.13604015707124078);
  }
  return s * (z * cubic - x);
}

// 0, or NaN where the condition does not hold.
template <class C, class S>
TER_HD S poison_unless(C sound, S zero) {
  return select(sound, zero, not_a_number<S>());
}

}  // namespace ter

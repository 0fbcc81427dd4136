// exp, log and the gamma family for one T of lanes.h: a float, a double or a vector of them. There
// is no branch and no call to the C library on the host, so one path serves every lane and the bits
// do not depend on the instruction set (as long as the compiler contracts nothing into FMA).
//
// The polynomials are minimax fits by Remez exchange in 45-digit arithmetic; beside each stands the
// range of its argument and the greatest error before its coefficients are rounded.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "lanes.h"

namespace ter {

// Word<T>::Type holds the bits of a T: unsigned, so that shifts fill with zeros and sums wrap.
template <class T>
struct Word;

template <>
struct Word<float> {
  typedef std::uint32_t Type;
};

template <>
struct Word<double> {
  typedef std::uint64_t Type;
};

#if defined(TER_VECTORS)
template <>
struct Word<Floats> {
  typedef std::uint32_t Type __attribute__((vector_size(sizeof(Floats))));
};

template <>
struct Word<Doubles> {
  typedef std::uint64_t Type __attribute__((vector_size(sizeof(Doubles))));
};
#endif

template <class T>
TER_HD typename Word<T>::Type bits_of(T x) {
  typename Word<T>::Type word;
  std::memcpy(&word, &x, sizeof(word));
  return word;
}

template <class T>
TER_HD T from_bits(typename Word<T>::Type word) {
  T x;
  std::memcpy(&x, &word, sizeof(x));
  return x;
}

// What the bit tricks need to know of an IEEE 754 format.
template <class R>
struct Format;

template <>
struct Format<float> {
  static constexpr int kFraction = 23;
  static constexpr std::uint32_t kBias = 127;
  static constexpr std::uint32_t kSqrtHalf = 0x3f3504f3;
  static constexpr float kSmallestNormal = 0x1p-126f;
  static constexpr float kUlps = 0x1p23f;  // every float from here to twice as much is an integer
  // log 2 in two parts: the first has few enough bits that its product with an exponent is exact.
  static constexpr float kLog2High = 0x1.62ep-1f;
  static constexpr float kLog2Low = 3.1946183e-05f;
  static constexpr float kLog2 = 0.693147181f;
  static constexpr float kExpLeast = -104.0f;
  static constexpr float kExpMost = 89.0f;
  static constexpr float kExpm1Least = -20.0f;
};

template <>
struct Format<double> {
  static constexpr int kFraction = 52;
  static constexpr std::uint64_t kBias = 1023;
  static constexpr std::uint64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
  static constexpr double kSmallestNormal = 0x1p-1022;
  static constexpr double kUlps = 0x1p52;
  static constexpr double kLog2High = 0.693147180559663;
  static constexpr double kLog2Low = 2.8235290563031577e-13;
  static constexpr double kLog2 = 0.6931471805599453;
  static constexpr double kExpLeast = -746.0;
  static constexpr double kExpMost = 710.0;
  static constexpr double kExpm1Least = -40.0;
};

template <class T>
constexpr bool kSingle = sizeof(Real<T>) == sizeof(float);

// c0 + c2 z + c4 z^2 + ...
template <class T>
TER_HD T even_terms(T, Real<T> c0) {
  return splat<T>(c0);
}

template <class T>
TER_HD T even_terms(T, Real<T> c0, Real<T>) {
  return splat<T>(c0);
}

template <class T, class... Rest>
TER_HD T even_terms(T z, Real<T> c0, Real<T>, Rest... rest) {
  return even_terms<T>(z, rest...) * z + c0;
}

// c0 + c1 x + c2 x^2 + ..., the even and the odd terms side by side: half the latency of Horner's
// scheme for one more product.
template <class T, class... Rest>
TER_HD T polynomial(T x, Real<T> c0, Rest... rest) {
  const T z = x * x;
  return even_terms<T>(z, rest...) * x + even_terms<T>(z, c0, rest...);
}

// e + bias + 1, where e = floor(steps / 2^fraction bits): an exponent kept unsigned, because there
// is no arithmetic shift of 64-bit lanes before AVX-512.
template <class T>
TER_HD typename Word<T>::Type biased_exponent(typename Word<T>::Type steps) {
  typedef Format<Real<T>> F;
  return (steps + ((F::kBias + 1) << F::kFraction)) >> F::kFraction;
}

// e as a number, without an integer conversion, which 64-bit lanes lack too.
template <class T>
TER_HD T exponent_value(typename Word<T>::Type biased) {
  typedef Format<Real<T>> F;
  return from_bits<T>(biased | bits_of(F::kUlps)) - (F::kUlps + (F::kBias + 1));
}

// x 2^-e, exact as long as x is 0 and e is, or both x and the result are normal.
template <class T>
TER_HD T scaled_down(T x, typename Word<T>::Type biased) {
  typedef Format<Real<T>> F;
  return from_bits<T>(bits_of(x) - (biased << F::kFraction) + ((F::kBias + 1) << F::kFraction));
}

// e log 2 + log(1 + f) for f in [-1/3, 1/2].
template <class T>
TER_HD T log_of_parts(T f, T e) {
  typedef Format<Real<T>> F;
  const T half_square = Real<T>(0.5) * f * f;
  T bend;  // f - log(1 + f)
  if constexpr (kSingle<T>) {
    // (log(1 + f) - f + f^2 / 2) / f^3 to 4.4e-9 / f^2
    const T cubic =
        polynomial<T>(f, 0.333332568f, -0.250001103f, 0.200059071f, -0.166661695f, 0.141455203f,
                      -0.123789422f, 0.123634532f, -0.12072549f, 0.0628870428f);
    bend = half_square - f * f * f * cubic;
  } else {
    // With s = f / (2 + f), log(1 + f) = 2 atanh(s) and f = 2s + sf = 2s + f^2 / 2 - s f^2 / 2.
    // (2 atanh(s) / s - 2) / s^2 for s^2 in [0, 0.0401] to 3.7e-17 / s^2
    const T s = f / (f + 2.0);
    const T z = s * s;
    const T rest = z * polynomial<T>(z, 0.666666666666703, 0.39999999997118735, 0.28571429260935577,
                                     0.22222147468656694, 0.18186047099096742, 0.15255499266166264,
                                     0.15332146541382824);
    bend = half_square - s * (half_square + rest);
  }
  return e * F::kLog2High + (f - (bend - e * F::kLog2Low));
}

// log x for x that is normal and positive, or infinite, or not a number.
template <class T>
TER_HD T log_of_normal(T x) {
#if defined(__CUDA_ARCH__)
  return log(x);
#else
  typedef Format<Real<T>> F;
  const auto biased = biased_exponent<T>(bits_of(x) - F::kSqrtHalf);
  const T f = scaled_down(x, biased) - Real<T>(1);
  return select(x < Number<Real<T>>::kInfinity, log_of_parts<T>(f, exponent_value<T>(biased)), x);
#endif
}

template <class T>
TER_HD T log_of(T x) {
#if defined(__CUDA_ARCH__)
  return log(x);
#else
  typedef Format<Real<T>> F;
  const auto subnormal = x < F::kSmallestNormal;
  const T y = log_of_normal<T>(select(subnormal, x * F::kUlps, x)) -
              select(subnormal, splat<T>(F::kFraction * F::kLog2), T{});
  return select(x < T{}, not_a_number<T>(),
                select(x == T{}, splat<T>(-Number<Real<T>>::kInfinity), y));
#endif
}

template <class T>
TER_HD T log1p_of(T x) {
#if defined(__CUDA_ARCH__)
  return log1p(x);
#else
  typedef Format<Real<T>> F;
  const Real<T> one = 1;
  // With e from the rounded 1 + x, f = x 2^-e + (2^-e - 1) loses nothing of a small x.
  const auto biased = biased_exponent<T>(bits_of(x + one) - F::kSqrtHalf);
  const T e = exponent_value<T>(biased);
  const T unit = select(e > Real<T>(F::kFraction + 8), T{}, scaled_down(splat<T>(one), biased));
  T y = log_of_parts<T>(scaled_down(x, biased) + (unit - one), e);
  y = select(x < Number<Real<T>>::kInfinity, y, x);
  y = select(x == -one, splat<T>(-Number<Real<T>>::kInfinity), y);
  return select(x < -one, not_a_number<T>(), y);
#endif
}

// log(large / small) for large = small + difference >= small > 0, given the difference without the
// rounding of large. Neither a quotient that rounds to 1 nor one that overflows costs accuracy.
template <class T>
TER_HD T log_ratio(T large, T small, T difference) {
  typedef Format<Real<T>> F;
  const Real<T> one = 1;
  // Bits count logarithmically to within 9 % of an octave, so 2^-e large / small is in [2/3, 3/2].
  const auto half_octave = decltype(F::kBias + 1)(1) << (F::kFraction - 1);
  const auto biased = biased_exponent<T>(bits_of(large) - bits_of(small) + half_octave);
  const T e = exponent_value<T>(biased);
  const T unit = select(e > Real<T>(F::kFraction + 8), T{}, scaled_down(splat<T>(one), biased));
  const T y = log_of_parts<T>(scaled_down(difference, biased) / small + (unit - one), e);
  return select(large < Number<Real<T>>::kInfinity, y, large);
}

// x = n log 2 + r with |r| <= log(2) / 2: exp(r) - 1, and n + 2 bias.
template <class T>
struct ReducedExp {
  T expm1;
  typename Word<T>::Type biased;
};

template <class T>
TER_HD ReducedExp<T> reduced_exp(T x) {
  typedef Format<Real<T>> F;
  // Added to a small number, this leaves its nearest integer in the lowest bits.
  const Real<T> rounder = Real<T>(1.5) * F::kUlps;
  const T shifted = x * Real<T>(1.4426950408889634) + rounder;
  const T n = shifted - rounder;
  const T high = x - n * F::kLog2High;
  const T low = n * F::kLog2Low;
  const T r = high - low;
  const T rounding = (high - r) - low;
  T cubic;  // (exp(r) - 1 - r - r^2 / 2) / r^3
  if constexpr (kSingle<T>) {
    // to 1.4e-8 / r^2
    cubic = polynomial<T>(r, 0.166665465f, 0.0416664071f, 0.00836631469f, 0.00139403134f);
  } else {
    // to 2.6e-17 / r^2
    cubic = polynomial<T>(r, 0.1666666666666668, 0.04166666666662075, 0.008333333333319147,
                          0.0013888888920218848, 0.00019841269893982534, 2.4801516690916257e-05,
                          2.755723540106562e-06, 2.7622097715841953e-07, 2.5112289145304197e-08);
  }
  const T square = r * r;
  return {r + (Real<T>(0.5) * square + (square * r * cubic + rounding)),
          bits_of(shifted) - bits_of(rounder) + 2 * F::kBias};
}

template <class T>
TER_HD T exp_of(T x) {
#if defined(__CUDA_ARCH__)
  return exp(x);
#else
  typedef Format<Real<T>> F;
  x = select(x < F::kExpLeast, splat<T>(F::kExpLeast), x);
  x = select(x > F::kExpMost, splat<T>(F::kExpMost), x);
  const ReducedExp<T> reduced = reduced_exp(x);
  // 2^n in two factors, each of them normal where 2^n is not.
  const auto half = reduced.biased >> 1;
  return (reduced.expm1 + Real<T>(1)) * from_bits<T>(half << F::kFraction) *
         from_bits<T>((reduced.biased - half) << F::kFraction);
#endif
}

template <class T>
TER_HD T expm1_of(T x) {
#if defined(__CUDA_ARCH__)
  return expm1(x);
#else
  typedef Format<Real<T>> F;
  x = select(x < F::kExpm1Least, splat<T>(F::kExpm1Least), x);
  x = select(x > F::kExpMost, splat<T>(F::kExpMost), x);
  const ReducedExp<T> reduced = reduced_exp(x);
  // Halved, 2^n does not overflow before the result does.
  const T half_power = from_bits<T>((reduced.biased - (F::kBias + 1)) << F::kFraction);
  return Real<T>(2) * (half_power * reduced.expm1 + (half_power - Real<T>(0.5)));
#endif
}

// The gamma family at x as corrections to its leading terms: each correction falls with x, so the
// differences that losses take of large arguments do not cancel.
template <class T>
struct GammaParts {
  T log;       // log x
  T gap;       // log x - psi(x)
  T trigamma;  // psi'(x)
  T rest;      // log Gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2)
};

// Which parts are wanted beside log.
enum : unsigned { kGap = 1, kTrigamma = 2, kRest = 4 };

// Below, y >= 1 and w = 1 / (1 + y) is in [0, 1/2]. As functions of 1 / y^2, the variable of their
// asymptotic series, the three curves have a cut that ends at 0 and double precision would take 25
// terms; as functions of w they are smoother. Infinite y is w = 0, the limit of the series.

// y^2 (log y - psi(y) - 1 / (2y))
template <class T>
TER_HD T gap_curve(T w) {
  if constexpr (kSingle<T>) {
    // to 1.1e-8 / (1/y + 0.1)
    return polynomial<T>(w, 0.0833332315f, 1.20683744e-05f, -0.00860664714f, -0.0141959349f,
                         -0.0317582749f, 0.00504511269f, -0.0236929618f);
  } else {
    // to 2.5e-16 / (1/y + 0.1)
    return polynomial<T>(w, 0.08333333333333091, -1.402505928554767e-13, -0.008333333236704316,
                         -0.016666674162265832, -0.021031487554216417, -0.01746535802162022,
                         -0.006089320250103066, 0.0038762192020828467, 0.003147210019538703,
                         -0.02470145221998057, -0.009552988612604207, 0.09406850967231616,
                         -0.1613808391236988, 0.1279821643024517, -0.045097676716507516);
  }
}

// y^3 (psi'(y) - 1 / y - 1 / (2 y^2))
template <class T>
TER_HD T trigamma_curve(T w) {
  if constexpr (kSingle<T>) {
    // to 1.8e-8 / (1/y + 0.1)
    return polynomial<T>(w, 0.166666493f, 2.13423464e-05f, -0.033846803f, -0.061755158f,
                         -0.0984808505f, 0.0077483994f, 0.022459425f);
  } else {
    // to 2.7e-16 / (1/y + 0.1)
    return polynomial<T>(w, 0.1666666666666693, -2.1531595133850645e-12, -0.03333333303319519,
                         -0.06666668311103453, -0.07619002587305616, -0.03810169378571874,
                         0.038129807453282163, 0.0765909571837173, -0.034234945832554715,
                         -0.09073890387642454, -0.6923929782296058, 3.5777421431050267,
                         -7.889190411781027, 10.412740852168058, -8.61252633056459,
                         4.166529352150223, -0.9074489847421024);
  }
}

// y (log Gamma(y) - ((y - 1/2) log y - y + log(2 pi) / 2))
template <class T>
TER_HD T rest_curve(T w) {
  if constexpr (kSingle<T>) {
    // to 5.6e-9
    return polynomial<T>(w, 0.0833333358f, -1.33327592e-06f, -0.00272528525f, -0.00633664848f,
                         -0.00192129146f, -0.0292341262f, 0.0354607664f, -0.0407327823f);
  } else {
    // to 2.1e-16
    return polynomial<T>(w, 0.08333333333333313, 2.29150250046552e-13, -0.0027777778205103658,
                         -0.005555552403723092, -0.00753980474058612, -0.007933638856605875,
                         -0.006591919330863267, -0.003891326098203733, -0.006951688934389054,
                         0.01589694976202123, -0.08846307083796416, 0.2524074727643157,
                         -0.5520421124114705, 0.8479163343354095, -0.8996320482827234,
                         0.58282566877177, -0.1815912045288218);
  }
}

// log y for y in [1, 2], that is 2 atanh(t) with t = (y - 1) / (y + 1).
template <class T>
TER_HD T log_of_shifted(T w) {
  const T t = Real<T>(1) - Real<T>(2) * w;
  const T z = t * t;
  T cubic;  // (2 atanh(t) / t - 2) / t^2
  if constexpr (kSingle<T>) {
    // to 6.8e-11 / t^3
    cubic = polynomial<T>(z, 0.666666746f, 0.399989814f, 0.28615272f, 0.2143718f, 0.242843509f);
  } else {
    // to 3.2e-17 / t^3
    cubic = polynomial<T>(z, 0.666666666666698, 0.3999999999763062, 0.2857142894272251,
                          0.2222219713978599, 0.1818272554203182, 0.15365395313196073,
                          0.13578280122395267, 0.0993466518000557, 0.1768698803895237);
  }
  return Real<T>(2) * t + t * z * cubic;
}

// x > 0 and normal. Arguments below 1 go up to y = x + 1 by the recurrence of the gamma function,
// which leaves 1 / x and log(y / x) to be added; one reciprocal of x y serves both arguments.
template <unsigned Wanted, class T>
TER_HD GammaParts<T> gamma_parts(T x) {
  const Real<T> half = Real<T>(0.5);
  const Real<T> one = 1;
  GammaParts<T> parts = {log_of_normal(x), T{}, T{}, T{}};
  const auto shifted = x < one;
  const T y = select(shifted, x + one, x);
  const T reciprocal = one / select(shifted, x * y, x);
  const T r = select(shifted, reciprocal * x, reciprocal);
  const T w = one / (y + one);
  const T pole = reciprocal * y;
  const T log_step = log_of_shifted(w) - parts.log;
  if constexpr (Wanted & kGap) {
    parts.gap = r * (half + r * gap_curve(w)) + select(shifted, pole - log_step, T{});
  }
  if constexpr (Wanted & kTrigamma) {
    parts.trigamma = r + r * r * (half + r * trigamma_curve(w)) + select(shifted, pole * pole, T{});
  }
  if constexpr (Wanted & kRest) {
    parts.rest = r * rest_curve(w) + select(shifted, (x + half) * log_step - one, T{});
  }
  return parts;
}

template <class T>
TER_HD T digamma_of(T x) {
  const GammaParts<T> parts = gamma_parts<kGap>(x);
  return parts.log - parts.gap;
}

template <class T>
TER_HD T trigamma_of(T x) {
  return gamma_parts<kTrigamma>(x).trigamma;
}

template <class T>
TER_HD T lgamma_of(T x) {
  const GammaParts<T> parts = gamma_parts<kRest>(x);
  const Real<T> constant = Real<T>(0.41893853320467274);  // (log(2 pi) - 1) / 2
  return (x - Real<T>(0.5)) * (parts.log - Real<T>(1)) + (constant + parts.rest);
}

}  // namespace ter

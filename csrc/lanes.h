// Numbers that row maths is written in: float or double, or, on the host, a vector of them with one
// value per lane. Everything here has internal linkage: the CPU compiles it once per instruction
// set, and the linker must not merge the copies.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#if defined(__CUDACC__)
#define TER_HD static __host__ __device__ __forceinline__
#elif defined(__GNUC__) || defined(__clang__)
#define TER_HD static inline __attribute__((always_inline))
#else
#define TER_HD static inline
#endif

// The chunks of classes of a row. Where a team unrolls beyond the row's own, `holds` cuts the rest.
#if defined(__CUDACC__)
#define TER_EACH_CHUNK(team, c) \
  _Pragma("unroll") for (int c = 0; c < (team).bound(); ++c) if ((team).holds(c))
#else
#define TER_EACH_CHUNK(team, c) for (int c = 0; c < (team).chunks(); ++c)
#endif

namespace ter {

// Number<T>::Real is the type of one lane, Number<T>::Int an integer of the same width and shape.
template <class T>
struct Number;

template <>
struct Number<float> {
  typedef float Real;
  typedef std::int32_t Int;
  static constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();
};

template <>
struct Number<double> {
  typedef double Real;
  typedef std::int64_t Int;
  static constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
};

#if !defined(__CUDACC__) && (defined(__GNUC__) || defined(__clang__))
#define TER_VECTORS 1
// The width of the registers: compilers split wider vectors well in sums and badly in comparisons.
#if defined(__AVX512F__)
#define TER_VECTOR_BYTES 64
#elif defined(__AVX__)
#define TER_VECTOR_BYTES 32
#else
#define TER_VECTOR_BYTES 16
#endif
typedef float Floats __attribute__((vector_size(TER_VECTOR_BYTES)));
typedef double Doubles __attribute__((vector_size(TER_VECTOR_BYTES)));
typedef std::int32_t Int32s __attribute__((vector_size(TER_VECTOR_BYTES)));
typedef std::int64_t Int64s __attribute__((vector_size(TER_VECTOR_BYTES)));

template <>
struct Number<Floats> {
  typedef float Real;
  typedef Int32s Int;
};

template <>
struct Number<Doubles> {
  typedef double Real;
  typedef Int64s Int;
};
#endif

template <class T>
using Real = typename Number<T>::Real;

// As many numbers one lane may add up in float32. Rounding can go the same way every time, and
// beyond this it could cost digits that contracts promise; longer rows are computed in float64.
constexpr std::int64_t kNarrowTerms = 16;

// The value x in every lane.
template <class T>
TER_HD T splat(Real<T> x) {
  return T{} + x;
}

// yes where the comparison holds, else no. `yes` and `no` are evaluated both.
template <class C, class T>
TER_HD T select(C condition, T yes, T no) {
  return condition ? yes : no;
}

template <class T>
TER_HD T larger(T x, T y) {
  return select(x > y, x, y);
}

template <class T>
TER_HD T smaller(T x, T y) {
  return select(x < y, x, y);
}

TER_HD float magnitude(float x) { return std::fabs(x); }
TER_HD double magnitude(double x) { return std::fabs(x); }
#if defined(TER_VECTORS)
TER_HD Floats magnitude(Floats x) { return (Floats)((Int32s)x & 0x7fffffff); }
TER_HD Doubles magnitude(Doubles x) { return (Doubles)((Int64s)x & 0x7fffffffffffffff); }
#endif

template <class T>
TER_HD T not_a_number() {
  // A member, because device code may read a constant but not call numeric_limits.
  return splat<T>(Number<Real<T>>::kNaN);
}

}  // namespace ter

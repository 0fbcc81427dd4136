// Moves numbers between buffers and vectors, contiguous or strided.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "../lanes.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define TER_MEMBER inline __attribute__((always_inline))
#define TER_APART __attribute__((noinline))
#else
#define TER_MEMBER inline
#define TER_APART
#endif

namespace ter {
// Unnamed, because this is compiled once per instruction set and the linker must not merge the
// copies.
namespace {

#if !defined(TER_VECTORS)
// Without vector extensions a vector is one number.
typedef float Floats;
typedef double Doubles;
#endif

template <class Vector>
constexpr int kLanes = static_cast<int>(sizeof(Vector) / sizeof(Real<Vector>));

#if defined(TER_VECTORS)
template <class Vector>
TER_HD Real<Vector> get(const Vector& x, int lane) {
  return x[lane];
}
template <class Vector>
TER_HD void set(Vector& x, int lane, Real<Vector> value) {
  x[lane] = value;
}

// The lanes of x, then those of y, by number.
template <class Vector, class... Index>
TER_HD Vector pick(const Vector& x, const Vector& y, Index... index) {
#if defined(__clang__)
  return __builtin_shufflevector(x, y, index...);
#else
  typedef typename Number<Vector>::Int Ints;
  return __builtin_shuffle(x, y, Ints{index...});
#endif
}

// Lane i is what lane i + By was; the lanes go round.
template <int By, class Vector, std::size_t... I>
TER_HD Vector turned(const Vector& x, std::index_sequence<I...>) {
  return pick(x, x, ((static_cast<int>(I) + By) % kLanes<Vector>)...);
}

// Combines all lanes by halves, so that the order does not depend on how the compiler does it.
template <int Half, class Vector, class Combine>
TER_HD Real<Vector> fold(Vector x, Combine combine) {
  if constexpr (Half == 0) {
    return x[0];
  } else {
    x = combine(x, turned<Half>(x, std::make_index_sequence<kLanes<Vector>>()));
    return fold<Half / 2>(x, combine);
  }
}
template <class Vector>
TER_HD Real<Vector> sum_of_lanes(const Vector& x) {
  return fold<kLanes<Vector> / 2>(x, [](const Vector& a, const Vector& b) { return a + b; });
}
template <class Vector>
TER_HD Real<Vector> least_of_lanes(const Vector& x) {
  return fold<kLanes<Vector> / 2>(x,
                                  [](const Vector& a, const Vector& b) { return smaller(a, b); });
}
template <class Vector, std::size_t... I>
TER_HD Vector lane_numbers(std::index_sequence<I...>) {
  return Vector{static_cast<Real<Vector>>(I)...};
}

// As many numbers of type Storage as Vector has lanes.
template <class Vector, class Storage>
struct Stored {
  typedef Storage type __attribute__((vector_size(sizeof(Storage) * kLanes<Vector>)));
};

template <class Vector, class Storage, std::size_t... I>
TER_HD Vector gather(const Storage* x, std::int64_t stride, std::index_sequence<I...>) {
  typename Stored<Vector, Storage>::type stored;
  if (stride == 1) {
    __builtin_memcpy(&stored, x, sizeof stored);
  } else {
    stored = typename Stored<Vector, Storage>::type{x[static_cast<std::int64_t>(I) * stride]...};
  }
  return __builtin_convertvector(stored, Vector);
}
// The lanes x[0], x[stride], x[2 stride], …, converted.
template <class Vector, class Storage>
TER_HD Vector gather(const Storage* x, std::int64_t stride) {
  return gather<Vector>(x, stride, std::make_index_sequence<kLanes<Vector>>());
}

template <class Vector, class Storage>
TER_HD void scatter(const Vector& x, std::int64_t stride, Storage* target) {
  const auto stored = __builtin_convertvector(x, typename Stored<Vector, Storage>::type);
  if (stride == 1) {
    __builtin_memcpy(target, &stored, sizeof stored);
    return;
  }
  for (int lane = 0; lane < kLanes<Vector>; ++lane) target[lane * stride] = stored[lane];
}
#else
template <class Vector>
TER_HD Vector sum_of_lanes(const Vector& x) {
  return x;
}
template <class Vector>
TER_HD Vector least_of_lanes(const Vector& x) {
  return x;
}
template <class Vector>
TER_HD Vector lane_numbers(std::index_sequence<0>) {
  return 0;
}
template <class Vector>
TER_HD Vector get(const Vector& x, int) {
  return x;
}
template <class Vector>
TER_HD void set(Vector& x, int, Vector value) {
  x = value;
}
template <class Vector, class Storage>
TER_HD Vector gather(const Storage* x, std::int64_t) {
  return static_cast<Vector>(*x);
}
template <class Vector, class Storage>
TER_HD void scatter(const Vector& x, std::int64_t, Storage* target) {
  *target = static_cast<Storage>(x);
}
#endif

// Fewer numbers than a vector has lanes, in a row; the other lanes are 0.
template <class Vector, class Storage>
TER_HD Vector load_first(const Storage* source, int count, Vector x) {
  for (int lane = 0; lane < count; ++lane) {
    set(x, lane, static_cast<Real<Vector>>(source[lane]));
  }
  return x;
}
template <class Vector, class Storage>
TER_HD void store_first(const Vector& x, int count, Storage* target) {
  for (int lane = 0; lane < count; ++lane) target[lane] = static_cast<Storage>(get(x, lane));
}
#if defined(__AVX512F__) && defined(TER_VECTORS)
TER_HD Floats load_first(const float* source, int count, Floats) {
  return (Floats)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), source);
}
TER_HD Doubles load_first(const double* source, int count, Doubles) {
  return (Doubles)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1), source);
}
TER_HD Doubles load_first(const float* source, int count, Doubles) {
  const __m256 narrow = _mm256_maskz_loadu_ps(static_cast<__mmask8>((1u << count) - 1), source);
  return __builtin_convertvector((Stored<Doubles, float>::type)narrow, Doubles);
}
TER_HD void store_first(const Floats& x, int count, float* target) {
  _mm512_mask_storeu_ps(target, static_cast<__mmask16>((1u << count) - 1), (__m512)x);
}
TER_HD void store_first(const Doubles& x, int count, double* target) {
  _mm512_mask_storeu_pd(target, static_cast<__mmask8>((1u << count) - 1), (__m512d)x);
}
TER_HD void store_first(const Doubles& x, int count, float* target) {
  const auto narrow = __builtin_convertvector(x, Stored<Doubles, float>::type);
  _mm256_mask_storeu_ps(target, static_cast<__mmask8>((1u << count) - 1), (__m256)narrow);
}
#endif

// `count` numbers `stride` apart into the first lanes; the others are 0.
template <class Vector, class Storage>
TER_HD Vector load_lanes(const Storage* source, std::int64_t stride, int count) {
  if (count == kLanes<Vector>) return gather<Vector>(source, stride);
  if (stride == 1) return load_first(source, count, Vector{});
  Vector x{};
  for (int lane = 0; lane < count; ++lane) {
    set(x, lane, static_cast<Real<Vector>>(source[lane * stride]));
  }
  return x;
}

template <class Vector, class Storage>
TER_HD void store_lanes(const Vector& x, std::int64_t stride, int count, Storage* target) {
  if (count == kLanes<Vector>) return scatter(x, stride, target);
  if (stride == 1) return store_first(x, count, target);
  for (int lane = 0; lane < count; ++lane) {
    target[lane * stride] = static_cast<Storage>(get(x, lane));
  }
}

}  // namespace
}  // namespace ter

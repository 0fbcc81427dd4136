// Moves numbers between buffers and vectors: contiguous, strided, or whole rows transposed.
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

// Whether K vectors of rows are transposed in registers: where there is an instruction that picks
// lanes out of two vectors. Elsewhere strided loads are as good as what a compiler makes of the
// shuffles.
template <int K>
constexpr bool kTransposes =
#if defined(__AVX512F__) && defined(TER_VECTORS)
    K > 1 && K <= 12;
#else
    false;
#endif

#if defined(__AVX512F__) && defined(TER_VECTORS)
// K vectors in memory order hold kLanes rows of K classes; transposed, vector k holds class k of
// every row. An even K is halved first: one shuffle a vector parts even from odd classes (or zips
// them again). What is left, class Out collects from pairs of vectors, a shuffle each, and blends.
template <int K, int Out, int Pair, class Vector, std::size_t... I>
TER_HD Vector collect(const Vector* in, std::index_sequence<I...>) {
  constexpr int N = kLanes<Vector>;
  constexpr int second = 2 * Pair + 1 < K ? 2 * Pair + 1 : 2 * Pair;
  // Lane i of class Out lies at i K + Out.
  return pick(in[2 * Pair], in[second],
              ((static_cast<int>(I) * K + Out) / N == 2 * Pair
                   ? (static_cast<int>(I) * K + Out) % N
                   : N + (static_cast<int>(I) * K + Out) % N)...);
}

template <int K, int Out, int Pair, class Vector, std::size_t... I>
TER_HD Vector collect_all(const Vector* in, std::index_sequence<I...> lanes) {
  constexpr int N = kLanes<Vector>;
  const Vector last = collect<K, Out, Pair>(in, lanes);
  if constexpr (Pair == 0) {
    return last;
  } else {
    const Vector before = collect_all<K, Out, Pair - 1>(in, lanes);
    return pick(before, last,
                ((static_cast<int>(I) * K + Out) / N / 2 == Pair ? N + static_cast<int>(I)
                                                                 : static_cast<int>(I))...);
  }
}

// The inverse: lane i of vector Out in memory order is class (Out N + i) % K of row (Out N + i) /
// K.
template <int K, int Out, int Pair, class Vector, std::size_t... I>
TER_HD Vector spread(const Vector* in, std::index_sequence<I...>) {
  constexpr int N = kLanes<Vector>;
  constexpr int second = 2 * Pair + 1 < K ? 2 * Pair + 1 : 2 * Pair;
  return pick(in[2 * Pair], in[second],
              ((Out * N + static_cast<int>(I)) % K == 2 * Pair
                   ? (Out * N + static_cast<int>(I)) / K
                   : N + (Out * N + static_cast<int>(I)) / K)...);
}

template <int K, int Out, int Pair, class Vector, std::size_t... I>
TER_HD Vector spread_all(const Vector* in, std::index_sequence<I...> lanes) {
  constexpr int N = kLanes<Vector>;
  const Vector last = spread<K, Out, Pair>(in, lanes);
  if constexpr (Pair == 0) {
    return last;
  } else {
    const Vector before = spread_all<K, Out, Pair - 1>(in, lanes);
    return pick(before, last,
                ((Out * N + static_cast<int>(I)) % K / 2 == Pair ? N + static_cast<int>(I)
                                                                 : static_cast<int>(I))...);
  }
}

template <int K, class Vector, std::size_t... Out>
TER_HD void collect_odd(const Vector* in, Vector* out, int step, std::index_sequence<Out...>) {
  constexpr auto lanes = std::make_index_sequence<kLanes<Vector>>();
  ((out[static_cast<int>(Out) * step] =
        collect_all<K, static_cast<int>(Out), (K - 1) / 2>(in, lanes)),
   ...);
}
template <int K, class Vector, std::size_t... Out>
TER_HD void spread_odd(const Vector* in, Vector* out, std::index_sequence<Out...>) {
  constexpr auto lanes = std::make_index_sequence<kLanes<Vector>>();
  ((out[Out] = spread_all<K, static_cast<int>(Out), (K - 1) / 2>(in, lanes)), ...);
}

template <class Vector, std::size_t... I>
TER_HD Vector every_other(const Vector& x, const Vector& y, std::index_sequence<I...>) {
  return pick(x, y, static_cast<int>(2 * I)...);
}
template <class Vector, std::size_t... I>
TER_HD Vector the_others(const Vector& x, const Vector& y, std::index_sequence<I...>) {
  return pick(x, y, static_cast<int>(2 * I + 1)...);
}
template <int From, class Vector, std::size_t... I>
TER_HD Vector zip(const Vector& x, const Vector& y, std::index_sequence<I...>) {
  constexpr int N = kLanes<Vector>;
  return pick(x, y, (static_cast<int>(I) % 2 * N + (From + static_cast<int>(I)) / 2)...);
}

// Class k goes to out[k step].
template <int K, class Vector>
TER_HD void transpose_in(const Vector* in, Vector* out, int step) {
  constexpr auto lanes = std::make_index_sequence<kLanes<Vector>>();
  if constexpr (K == 1) {
    out[0] = in[0];
  } else if constexpr (K % 2 == 0) {
    Vector even[K / 2];
    Vector odd[K / 2];
    for (int j = 0; j < K / 2; ++j) {
      even[j] = every_other(in[2 * j], in[2 * j + 1], lanes);
      odd[j] = the_others(in[2 * j], in[2 * j + 1], lanes);
    }
    transpose_in<K / 2>(even, out, 2 * step);
    transpose_in<K / 2>(odd, out + step, 2 * step);
  } else {
    collect_odd<K>(in, out, step, std::make_index_sequence<K>());
  }
}

template <int K, class Vector>
TER_HD void transpose_out(const Vector* in, int step, Vector* out) {
  constexpr auto lanes = std::make_index_sequence<kLanes<Vector>>();
  if constexpr (K == 1) {
    out[0] = in[0];
  } else if constexpr (K % 2 == 0) {
    Vector even[K / 2];
    Vector odd[K / 2];
    transpose_out<K / 2>(in, 2 * step, even);
    transpose_out<K / 2>(in + step, 2 * step, odd);
    for (int j = 0; j < K / 2; ++j) {
      out[2 * j] = zip<0>(even[j], odd[j], lanes);
      out[2 * j + 1] = zip<kLanes<Vector>>(even[j], odd[j], lanes);
    }
  } else {
    Vector packed[K];
    for (int k = 0; k < K; ++k) packed[k] = in[k * step];
    spread_odd<K>(packed, out, std::make_index_sequence<K>());
  }
}
#endif

// kLanes rows of K classes into K vectors, a class each.
template <int FixedK, class Vector, class Storage>
TER_HD void load_rows(const Storage* source, int K, Vector* target) {
#if defined(__AVX512F__) && defined(TER_VECTORS)
  if constexpr (kTransposes<FixedK>) {
    Vector in[FixedK];
    for (int j = 0; j < FixedK; ++j) {
      in[j] = gather<Vector>(source + j * kLanes<Vector>, 1);
    }
    return transpose_in<FixedK>(in, target, 1);
  }
#endif
  for (int k = 0; k < K; ++k) target[k] = gather<Vector>(source + k, K);
}

template <int FixedK, class Vector, class Storage>
TER_HD void store_rows(const Vector* source, int K, Storage* target) {
#if defined(__AVX512F__) && defined(TER_VECTORS)
  if constexpr (kTransposes<FixedK>) {
    Vector out[FixedK];
    transpose_out<FixedK>(source, 1, out);
    for (int j = 0; j < FixedK; ++j) {
      scatter(out[j], 1, target + j * kLanes<Vector>);
    }
    return;
  }
#endif
  for (int k = 0; k < K; ++k) scatter(source[k], K, target + k);
}

// Kept out of line and chosen by the number of classes at run time, so that the maths around them
// exists once. Other numbers of classes are read and written with strides.
#define TER_EACH_TRANSPOSED(TER_CASE) \
  TER_CASE(2)                         \
  TER_CASE(3)                         \
  TER_CASE(4)                         \
  TER_CASE(5)                         \
  TER_CASE(6)                         \
  TER_CASE(7)                         \
  TER_CASE(8)                         \
  TER_CASE(9)                         \
  TER_CASE(10)

template <class Vector, class Storage>
TER_APART void load_block(const Storage* source, int K, Vector* target) {
  switch (K) {
#define TER_CASE(k) \
  case k:           \
    return load_rows<k>(source, k, target);
    TER_EACH_TRANSPOSED(TER_CASE)
#undef TER_CASE
    default:
      return load_rows<0>(source, K, target);
  }
}

template <class Vector, class Storage>
TER_APART void store_block(const Vector* source, int K, Storage* target) {
  switch (K) {
#define TER_CASE(k) \
  case k:           \
    return store_rows<k>(source, k, target);
    TER_EACH_TRANSPOSED(TER_CASE)
#undef TER_CASE
    default:
      return store_rows<0>(source, K, target);
  }
}
#undef TER_EACH_TRANSPOSED

}  // namespace
}  // namespace ter

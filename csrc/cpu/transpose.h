// Turns rows into lanes and back: rows lie contiguous in memory, and a vector holds a class of
// each.
#pragma once

#include "loads.h"

namespace ter {
namespace {

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

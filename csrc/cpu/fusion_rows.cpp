// Row loops of fusion: blocks of rows, one row per vector lane. CMake compiles this file once per
// instruction set with TER_ROWS and TER_ROWS_NAME set, so nothing here may have external linkage
// but that one table, and nothing may call a standard-library function the linker could merge.
#include "rows.h"

namespace ter {
namespace {

#if defined(__GNUC__) || defined(__clang__)
constexpr int kLanes = 8;
template <class Real>
struct Vector {
  typedef Real type __attribute__((vector_size(kLanes * sizeof(Real))));
};
typedef Vector<double>::type Lanes;

template <class Real>
TER_HD Lanes gather(const Real* x, std::int64_t stride) {
  const typename Vector<Real>::type lanes = {x[0],          x[stride],     x[2 * stride],
                                             x[3 * stride], x[4 * stride], x[5 * stride],
                                             x[6 * stride], x[7 * stride]};
  return __builtin_convertvector(lanes, Lanes);
}

template <class Real>
TER_HD void scatter(const Lanes& lanes, std::int64_t stride, Real* x) {
  const auto narrow = __builtin_convertvector(lanes, typename Vector<Real>::type);
  for (int lane = 0; lane < kLanes; ++lane) x[lane * stride] = narrow[lane];
}

TER_HD double get(const Lanes& x, int lane) { return x[lane]; }
TER_HD void set(Lanes& x, int lane, double value) { x[lane] = value; }
#else
constexpr int kLanes = 1;
typedef double Lanes;

template <class Real>
TER_HD Lanes gather(const Real* x, std::int64_t) {
  return static_cast<double>(*x);
}

template <class Real>
TER_HD void scatter(const Lanes& lanes, std::int64_t, Real* x) {
  *x = static_cast<Real>(lanes);
}

TER_HD double get(const Lanes& x, int) { return x; }
TER_HD void set(Lanes& x, int, double value) { x = value; }
#endif

// Blocks of fewer than kLanes rows leave the lanes beyond `count` at 0, which is valid evidence.
template <class Real>
TER_HD void load(const Real* source, std::int64_t stride, int count, int size, Lanes* target) {
  if (count == kLanes) {
    for (int k = 0; k < size; ++k) target[k] = gather(source + k, stride);
    return;
  }
  for (int k = 0; k < size; ++k) {
    Lanes x{};
    for (int lane = 0; lane < count; ++lane) {
      set(x, lane, static_cast<double>(source[lane * stride + k]));
    }
    target[k] = x;
  }
}

template <class Real>
TER_HD void store(const Lanes* source, std::int64_t stride, int count, int size, Real* target) {
  if (count == kLanes) {
    for (int k = 0; k < size; ++k) scatter(source[k], stride, target + k);
    return;
  }
  for (int k = 0; k < size; ++k) {
    for (int lane = 0; lane < count; ++lane) {
      target[lane * stride + k] = static_cast<Real>(get(source[k], lane));
    }
  }
}

template <class Real>
TER_HD Lanes load_scalar(const void* source, std::int64_t row, int count) {
  Lanes x{};
  if (source != nullptr) load(static_cast<const Real*>(source) + row, 1, count, 1, &x);
  return x;
}

template <class Real>
TER_HD void store_scalar(const Lanes& x, std::int64_t row, int count, void* target) {
  store(&x, 1, count, 1, static_cast<Real*>(target) + row);
}

// The buffers of one block, all in one scratch allocation.
struct Block {
  Lanes* raw;        // [V * K] evidence before discounting, 0 where masked
  Lanes* e;          // [V * K] after discounting; the same memory as raw without discount
  Lanes* h;          // [V * K] gradient
  Lanes* product;    // [K]
  Lanes* fused;      // [K]
  Lanes* upstream;   // [K]
  Lanes* raw_total;  // [V]
  Lanes* total;      // [V]
  Lanes* inverse;    // [V]
  Lanes* weight;     // [V]
  Lanes* present;    // [V]
  Lanes* discount;   // [V]
  Lanes poison;      // 0 where the row is valid, else NaN
};

std::size_t scratch_size(std::int64_t views, std::int64_t classes) {
  return static_cast<std::size_t>(3 * views * classes + 3 * classes + 6 * views) * kLanes;
}

TER_HD Block carve(const FuseArguments& a, double* scratch) {
  Lanes* next = reinterpret_cast<Lanes*>(scratch);
  const std::int64_t matrix = a.views * a.classes;
  Block b{};
  b.raw = next;
  b.e = a.discount == nullptr ? next : next + matrix;
  b.h = next + 2 * matrix;
  next += 3 * matrix;
  b.product = next;
  b.fused = next + a.classes;
  b.upstream = next + 2 * a.classes;
  next += 3 * a.classes;
  b.raw_total = next;
  b.total = next + a.views;
  b.inverse = next + 2 * a.views;
  b.weight = next + 3 * a.views;
  b.present = next + 4 * a.views;
  b.discount = next + 5 * a.views;
  return b;
}

// Fixed sizes let the compiler unroll; 0 means "known at run time".
template <int V, int K>
struct Sizes {
  int views, classes;
  explicit Sizes(const FuseArguments& a)
      : views(V ? V : static_cast<int>(a.views)), classes(K ? K : static_cast<int>(a.classes)) {}
};

template <class Real>
TER_HD Row<Lanes> prepare(const FuseArguments& a, int V, int K, std::int64_t row, int count,
                          Block& b) {
  const Lanes one = splat<Lanes>(1.0);
  Lanes present_count{};
  b.poison = Lanes{};
  for (int v = 0; v < V; ++v) {
    Lanes* raw = b.raw + v * K;
    const std::int64_t at = v * a.rows + row;
    load(static_cast<const Real*>(a.evidence) + at * K, K, count, K, raw);
    b.present[v] = one;
    if (a.mask != nullptr) {
      Lanes present{};
      for (int lane = 0; lane < count; ++lane) set(present, lane, a.mask[at + lane] ? 1.0 : 0.0);
      b.present[v] = present;
      for (int k = 0; k < K; ++k) raw[k] = present > Lanes{} ? raw[k] : Lanes{};
    }
    present_count += b.present[v];
    b.raw_total[v] = sum_of(raw, K);
    b.total[v] = b.raw_total[v];
    b.poison += poison_of_evidence(raw, K, b.raw_total[v]);
    if (a.discount != nullptr) {
      Lanes w = load_scalar<Real>(a.discount, at, count);
      w = b.present[v] > Lanes{} ? w : one;
      b.discount[v] = w;
      b.poison += poison_of_reliability(w);
      const Lanes gain = discount_gain(w, b.raw_total[v], K);
      for (int k = 0; k < K; ++k) b.e[v * K + k] = raw[k] * gain;
      b.total[v] = b.raw_total[v] * gain;
    }
    b.inverse[v] = 1.0 / (b.total[v] + static_cast<double>(K));
  }
  Row<Lanes> prepared{b.e, b.total, b.inverse, Lanes{}, Lanes{}, V, K};
  if (a.mask != nullptr) {
    prepared.equal = reciprocal_count(present_count);
    prepared.pairs = reciprocal_count(present_count * (present_count - 1.0) * 0.5);
  } else {
    prepared.equal = splat<Lanes>(reciprocal_count<double>(V));
    prepared.pairs = splat<Lanes>(reciprocal_count<double>(V * (V - 1.0) * 0.5));
  }
  return prepared;
}

template <class Real, int FixedV, int FixedK>
void forward_block(const FuseArguments& a, const FuseResults& r, std::int64_t row, int count,
                   Block& b) {
  const Sizes<FixedV, FixedK> size(a);
  const int K = size.classes;
  const Row<Lanes> prepared = prepare<Real>(a, size.views, K, row, count, b);
  const Scalars<Lanes> s = fuse_row(a.rule, prepared, a.limit, b.product, b.fused, b.weight);
  // An accumulator that overflowed (evidence far outside the contract) makes the row NaN, too.
  const Lanes poison = b.poison + s.total * 0.0;
  for (int k = 0; k < K; ++k) b.fused[k] += poison;
  store(b.fused, K, count, K, static_cast<Real*>(r.fused) + row * K);
  store_scalar<Real>(s.uncertainty + poison, row, count, r.uncertainty);
  store_scalar<Real>(s.conflict + poison, row, count, r.conflict);
  store_scalar<Real>(s.disagreement + poison, row, count, r.disagreement);
}

template <class Real, int FixedV, int FixedK>
void backward_block(const FuseArguments& a, const FuseGradients& g, std::int64_t row, int count,
                    Block& b) {
  const Sizes<FixedV, FixedK> size(a);
  const int V = size.views;
  const int K = size.classes;
  const Row<Lanes> prepared = prepare<Real>(a, V, K, row, count, b);
  const Scalars<Lanes> s = fuse_row(a.rule, prepared, a.limit, b.product, b.fused, b.weight);
  Upstream<Lanes> upstream{b.upstream, load_scalar<Real>(g.uncertainty, row, count),
                           load_scalar<Real>(g.conflict, row, count),
                           load_scalar<Real>(g.disagreement, row, count)};
  if (g.fused != nullptr) {
    load(static_cast<const Real*>(g.fused) + row * K, K, count, K, b.upstream);
  } else {
    for (int k = 0; k < K; ++k) b.upstream[k] = Lanes{};
  }
  fuse_row_backward(a.rule, prepared, a.limit, s, b.product, b.fused, b.weight, upstream, b.h);
  const Lanes poison = b.poison + s.total * 0.0;
  for (int v = 0; v < V; ++v) {
    Lanes* h = b.h + v * K;
    const Lanes used = poison == Lanes{} ? b.present[v] : Lanes{};
    const std::int64_t at = v * a.rows + row;
    if (a.discount != nullptr) {
      const Lanes dw = discount_backward(h, b.raw + v * K, b.discount[v], b.raw_total[v], K);
      store_scalar<Real>(used > Lanes{} ? dw : Lanes{}, at, count, g.discount);
    }
    for (int k = 0; k < K; ++k) h[k] = used > Lanes{} ? h[k] : Lanes{};
    store(h, K, count, K, static_cast<Real*>(g.evidence) + at * K);
  }
}

#define TER_LOOP(BLOCK, TARGETS)                                                                \
  template <class Real, int V, int K>                                                           \
  void BLOCK##_loop(const FuseArguments& a, const TARGETS& t, std::int64_t begin,               \
                    std::int64_t end, double* scratch) {                                        \
    Block b = carve(a, scratch);                                                                \
    for (std::int64_t row = begin; row < end; row += kLanes) {                                  \
      const std::int64_t left = end - row;                                                      \
      BLOCK##_block<Real, V, K>(a, t, row, left < kLanes ? static_cast<int>(left) : kLanes, b); \
    }                                                                                           \
  }
TER_LOOP(forward, FuseResults)
TER_LOOP(backward, FuseGradients)

// Fixed sizes let the compiler unroll the loops over views and classes. Two modalities and a
// handful of emotions are what the package is for; other sizes run the same code unspecialized.
#define TER_DISPATCH(LOOP, TARGETS)                                                               \
  template <class Real>                                                                           \
  void LOOP##_any(const FuseArguments& a, const TARGETS& t, std::int64_t begin, std::int64_t end, \
                  double* scratch) {                                                              \
    if (a.views == 2) {                                                                           \
      switch (a.classes) {                                                                        \
        case 6:                                                                                   \
          return LOOP##_loop<Real, 2, 6>(a, t, begin, end, scratch);                              \
        case 7:                                                                                   \
          return LOOP##_loop<Real, 2, 7>(a, t, begin, end, scratch);                              \
        case 8:                                                                                   \
          return LOOP##_loop<Real, 2, 8>(a, t, begin, end, scratch);                              \
        default:                                                                                  \
          return LOOP##_loop<Real, 2, 0>(a, t, begin, end, scratch);                              \
      }                                                                                           \
    }                                                                                             \
    return LOOP##_loop<Real, 0, 0>(a, t, begin, end, scratch);                                    \
  }                                                                                               \
  void LOOP(const FuseArguments& a, const TARGETS& t, std::int64_t begin, std::int64_t end,       \
            double* scratch) {                                                                    \
    if (a.is_double) return LOOP##_any<double>(a, t, begin, end, scratch);                        \
    return LOOP##_any<float>(a, t, begin, end, scratch);                                          \
  }
TER_DISPATCH(forward, FuseResults)
TER_DISPATCH(backward, FuseGradients)

}  // namespace

extern const RowLoops TER_ROWS;
const RowLoops TER_ROWS = {TER_ROWS_NAME, scratch_size, forward, backward};

}  // namespace ter

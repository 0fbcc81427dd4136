// One row's fusion of opinions, value and gradient, for the host and the device.
//
// T is double, or a vector of doubles that holds one row per lane. A row's evidence lies in scratch
// memory as e[v * classes + k]. Every function has internal linkage: the CPU compiles this header
// once per instruction set, and the linker must not merge the copies.
#pragma once

#include <limits>

#if defined(__CUDACC__)
#define TER_HD static __host__ __device__ __forceinline__
#elif defined(__GNUC__) || defined(__clang__)
#define TER_HD static inline __attribute__((always_inline))
#else
#define TER_HD static inline
#endif

namespace ter {

enum class Rule : int { dempster = 0, cumulative = 1, averaging = 2, weighted = 3 };

// What all rules share about a row once masks and reliabilities are applied.
template <class T>
struct Row {
  const T* e;        // [views * classes] evidence after discounting, 0 where masked
  const T* total;    // [views] sum_k e_vk
  const T* inverse;  // [views] 1 / S_v
  T equal;           // 1 / number of views that are there, at least 1
  T pairs;           // 1 / number of pairs of views that are there, at least 1
  int views;
  int classes;
};

template <class T>
struct Scalars {
  T uncertainty;
  T conflict;
  T disagreement;
  T total;  // sum of the fused evidence before saturation
};

template <class T>
TER_HD T splat(double x) {
  return T{} + x;
}

template <class T>
TER_HD T sum_of(const T* x, int count) {
  T sum{};
  for (int i = 0; i < count; ++i) sum += x[i];
  return sum;
}

// 0 where the evidence of a view is finite and not negative, else NaN.
template <class T>
TER_HD T poison_of_evidence(const T* e, int classes, T sum) {
  T lowest{};
  for (int k = 0; k < classes; ++k) lowest = e[k] < lowest ? e[k] : lowest;
  const T nan = splat<T>(std::numeric_limits<double>::quiet_NaN());
  return lowest < T{} ? nan : sum * 0.0;
}

template <class T>
TER_HD T poison_of_reliability(T w) {
  const T nan = splat<T>(std::numeric_limits<double>::quiet_NaN());
  // Written so that a NaN fails the comparison.
  const T upper = w <= splat<T>(1.0) ? T{} : nan;
  return w >= T{} ? upper : nan;
}

// Discounting scales a view's evidence by g = K w / (K + (1 - w) E), E the sum of the evidence.
template <class T>
TER_HD T discount_gain(T w, T sum, int classes) {
  const double K = classes;
  return K * w / (K + (1.0 - w) * sum);
}

// Given dL/de' in h, leaves dL/de in h and returns dL/dw; e is the evidence before discounting.
template <class T>
TER_HD T discount_backward(T* h, const T* e, T w, T sum, int classes) {
  const double K = classes;
  T inner{};
  for (int k = 0; k < classes; ++k) inner += h[k] * e[k];
  const T denominator = 1.0 / (K + (1.0 - w) * sum);
  const T gain = K * w * denominator;
  const T through_sum = inner * (w - 1.0) * gain * denominator;
  for (int k = 0; k < classes; ++k) h[k] = h[k] * gain + through_sum;
  return inner * K * (K + sum) * denominator * denominator;
}

// Weights of the rules that average evidence; `weight` is [views].
template <class T>
TER_HD void rule_weights(Rule rule, const Row<T>& row, T* weight) {
  T normalizer{};
  for (int v = 0; v < row.views; ++v) normalizer += row.total[v] * row.inverse[v];
  for (int v = 0; v < row.views; ++v) {
    if (rule == Rule::cumulative) {
      weight[v] = splat<T>(1.0);
    } else if (rule == Rule::averaging) {
      weight[v] = row.equal;
    } else {
      const T confidence = row.total[v] * row.inverse[v];
      weight[v] = normalizer > T{} ? confidence / normalizer : row.equal;
    }
  }
}

template <class T>
TER_HD T reciprocal_count(T count) {
  const T one = splat<T>(1.0);
  return 1.0 / (count > one ? count : one);
}

// prod_v u_v, the inverse of the mass that Dempster's rule hands out before normalizing.
template <class T>
TER_HD T product_of_uncertainty(const Row<T>& row) {
  const double K = row.classes;
  T product = row.inverse[0] * K;
  for (int v = 1; v < row.views; ++v) product = product * (row.inverse[v] * K);
  return product;
}

template <class T>
TER_HD T disagreement_of(const Row<T>& row) {
  const int K = row.classes;
  T sum{};
  for (int v = 0; v < row.views; ++v) {
    for (int w = v + 1; w < row.views; ++w) {
      const T* a = row.e + v * K;
      const T* b = row.e + w * K;
      const T offset = row.inverse[v] - row.inverse[w];
      T distance{};
      for (int k = 0; k < K; ++k) {
        const T d = a[k] * row.inverse[v] - b[k] * row.inverse[w] + offset;
        distance += d < T{} ? -d : d;
      }
      sum += distance * (row.total[v] * row.inverse[v]) * (row.total[w] * row.inverse[w]);
    }
  }
  return sum * 0.5 * row.pairs;
}

// limit / S where the strength S exceeds the limit, else 1.
template <class T>
TER_HD T saturation_of(const Scalars<T>& s, int classes, double limit) {
  const T scale = s.uncertainty * (limit / classes);
  const T one = splat<T>(1.0);
  return scale < one ? scale : one;
}

// Fuses one row. `product` and `fused` are [classes], `weight` is [views].
//
// product_k = prod_v (1 + e_vk / K) - 1 and the discarded mass are running sums of positive terms:
// nothing cancels, and nothing overflows below 1e308.
template <class T>
TER_HD Scalars<T> fuse_row(Rule rule, const Row<T>& row, double limit, T* product, T* fused,
                           T* weight) {
  const int K = row.classes;
  const double scale = 1.0 / K;
  T discarded{};
  T agreed = row.total[0] * scale;
  for (int k = 0; k < K; ++k) product[k] = row.e[k] * scale;
  for (int v = 1; v < row.views; ++v) {
    const T* e = row.e + v * K;
    const T sigma = row.total[v] * scale;
    T crossed{};
    T next{};
    for (int k = 0; k < K; ++k) {
      const T s = e[k] * scale;
      const T r = product[k];
      crossed += s * (agreed - r);
      product[k] = r + s * (1.0 + r);
      next += product[k];
    }
    discarded = discarded * (1.0 + sigma) + crossed;
    agreed = next;
  }

  Scalars<T> result;
  result.conflict = discarded * product_of_uncertainty(row);
  result.disagreement = disagreement_of(row);
  if (rule == Rule::dempster) {
    for (int k = 0; k < K; ++k) fused[k] = product[k] * static_cast<double>(K);
    result.total = agreed * static_cast<double>(K);
  } else {
    rule_weights(rule, row, weight);
    for (int k = 0; k < K; ++k) {
      T sum{};
      for (int v = 0; v < row.views; ++v) sum += weight[v] * row.e[v * K + k];
      fused[k] = sum;
    }
    result.total = sum_of(fused, K);
  }
  result.uncertainty = static_cast<double>(K) / (result.total + static_cast<double>(K));
  const T saturation = saturation_of(result, K, limit);
  for (int k = 0; k < K; ++k) fused[k] = fused[k] * saturation;
  return result;
}

// Adds the gradient of the disagreement, given dL/d(disagreement), to h [views * classes].
template <class T>
TER_HD void disagreement_backward(const Row<T>& row, T upstream, T* h) {
  const int K = row.classes;
  const T one = splat<T>(1.0);
  const T share = upstream * 0.5 * row.pairs;
  for (int v = 0; v < row.views; ++v) {
    for (int w = v + 1; w < row.views; ++w) {
      const T* a = row.e + v * K;
      const T* b = row.e + w * K;
      const T confidence_v = row.total[v] * row.inverse[v];
      const T confidence_w = row.total[w] * row.inverse[w];
      T along_v{};
      T along_w{};
      for (int k = 0; k < K; ++k) {
        const T p = (a[k] + 1.0) * row.inverse[v];
        const T q = (b[k] + 1.0) * row.inverse[w];
        const T sign = p > q ? one : (p < q ? -one : T{});
        along_v += sign * p;
        along_w += sign * q;
      }
      const T distance = along_v - along_w;
      const T both = share * confidence_v * confidence_w;
      const double classes = K;
      const T base_v = share * distance * confidence_w * classes * row.inverse[v] * row.inverse[v] -
                       both * along_v * row.inverse[v];
      const T base_w = share * distance * confidence_v * classes * row.inverse[w] * row.inverse[w] +
                       both * along_w * row.inverse[w];
      for (int k = 0; k < K; ++k) {
        const T p = (a[k] + 1.0) * row.inverse[v];
        const T q = (b[k] + 1.0) * row.inverse[w];
        const T sign = p > q ? one : (p < q ? -one : T{});
        h[v * K + k] += base_v + both * sign * row.inverse[v];
        h[w * K + k] += base_w - both * sign * row.inverse[w];
      }
    }
  }
}

// Upstream gradients of one row's results.
template <class T>
struct Upstream {
  T* fused;  // [classes]; overwritten with dL/d(fused evidence before saturation)
  T uncertainty;
  T conflict;
  T disagreement;
};

// Writes dL/de' to h [views * classes], from what fuse_row left in its buffers and returned.
template <class T>
TER_HD void fuse_row_backward(Rule rule, const Row<T>& row, double limit, const Scalars<T>& forward,
                              const T* product, const T* fused, const T* weight,
                              const Upstream<T>& upstream, T* h) {
  const int K = row.classes;
  const double classes = K;
  const double scale = 1.0 / classes;
  const T one = splat<T>(1.0);

  // A saturated row keeps the strength `limit`: what would change it is projected out.
  T inner{};
  for (int k = 0; k < K; ++k) inner += upstream.fused[k] * (fused[k] * (1.0 / limit));
  const T saturation = saturation_of(forward, K, limit);
  const T removed = saturation < one ? inner : T{};
  const T through_total = upstream.uncertainty * forward.uncertainty * forward.uncertainty * scale;
  for (int k = 0; k < K; ++k) {
    upstream.fused[k] = saturation * (upstream.fused[k] - removed) - through_total;
  }

  T agreed = sum_of(product, K);
  const T mass = upstream.conflict * scale * product_of_uncertainty(row);

  T normalizer{};
  for (int v = 0; v < row.views; ++v) normalizer += row.total[v] * row.inverse[v];
  for (int v = 0; v < row.views; ++v) {
    const T* e = row.e + v * K;
    const T kept = (1.0 + agreed) * (row.inverse[v] * classes);
    T through_weight{};
    if (rule == Rule::weighted) {
      for (int k = 0; k < K; ++k) {
        T unsaturated{};
        for (int w = 0; w < row.views; ++w) unsaturated += weight[w] * row.e[w * K + k];
        through_weight += upstream.fused[k] * (e[k] - unsaturated);
      }
      through_weight = through_weight * classes * row.inverse[v] * row.inverse[v] / normalizer;
      through_weight = normalizer > T{} ? through_weight : T{};
    }
    for (int k = 0; k < K; ++k) {
      const T others = row.views == 2 ? 1.0 + row.e[(1 - v) * K + k] * scale
                                      : (1.0 + product[k]) / (1.0 + e[k] * scale);
      const T direct = rule == Rule::dempster ? others : weight[v];
      h[v * K + k] = upstream.fused[k] * direct + through_weight + mass * (kept - others);
    }
  }
  disagreement_backward(row, upstream.disagreement, h);
}

}  // namespace ter

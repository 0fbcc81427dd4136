// One row's fusion of opinions, value and gradient, for the host and the device.
//
// A team computes rows. Team::T holds what differs from class to class, Team::S what a row has
// once:
//
//   team            T                          S             chunks of a row    runs on
//   RowPerLane      a class of 16 (8) rows     the same      K                  CPU, few classes
//   LanesPerRow     16 (8) classes of a row    one number    K / 16 (K / 8)     CPU, many classes
//   Thread          a class                    the same      K                  GPU, few classes
//   Warp            a class                    the same      K / 32             GPU, many classes
//
// and offers chunks(), evidence(v, c), sum(x) over a row's classes, and keep(x, c), which is 0 in
// the lanes beyond the last class. Every function has internal linkage: see lanes.h.
#pragma once

#include "kernels.h"
#include "lanes.h"
#include "special.h"

namespace ter {

// Evidence of a logit; NaN and infinity stay what they are. `cap` is the largest logit that `exp`
// takes.
template <class T>
TER_HD T activate(Activation activation, T x, double cap) {
  typedef Real<T> R;
  if (activation == Activation::softplus) {
    return select(x > T{}, x, T{}) + log1p_of(exp_of(T(-magnitude(x))));
  }
  if (activation == Activation::relu) return select(x < T{}, T{}, x);
  if (activation == Activation::exp) {
    const T top = splat<T>(static_cast<R>(cap));
    const T infinite = splat<T>(Number<R>::kInfinity);
    return select(x == infinite, x, exp_of(select(x > top, top, x)));
  }
  return x;
}

// de/dz of the same, from the evidence.
template <class T>
TER_HD T activation_slope(Activation activation, T e, double cap) {
  typedef Real<T> R;
  const T one = splat<T>(1);
  if (activation == Activation::softplus) return -expm1_of(T(-e));
  if (activation == Activation::relu) return select(e > T{}, one, T{});
  if (activation == Activation::exp) {
    return select(e < exp_of(splat<T>(static_cast<R>(cap))), e, T{});
  }
  return one;
}

template <class S>
struct Scalars {
  S uncertainty;
  S conflict;
  S disagreement;
  S total;    // sum of the fused evidence before saturation
  S product;  // prod_v u_v, the inverse of the mass Dempster's rule hands out before normalizing
};

template <class S>
TER_HD S reciprocal_count(S count) {
  const S one = splat<S>(1);
  return one / larger(count, one);
}

// Discounting scales a view's evidence by g = K w / (K + (1 - w) E), E the sum of the evidence.
template <class S>
TER_HD S discount_gain(S w, S total, int classes) {
  const S K = splat<S>(static_cast<Real<S>>(classes));
  return K * w / (K + (splat<S>(1) - w) * total);
}

template <class Team>
TER_HD typename Team::S product_of_uncertainty(const Row<Team>& row) {
  typedef typename Team::S S;
  const Real<S> K = static_cast<Real<S>>(row.classes);
  S product = row.inverse[0] * K;
  for (int v = 1; v < row.views; ++v) product = product * (row.inverse[v] * K);
  return product;
}

template <class Team>
TER_HD typename Team::S disagreement_of(const Row<Team>& row) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  const Team& team = row.team;
  S sum{};
  for (int v = 0; v < row.views; ++v) {
    for (int w = v + 1; w < row.views; ++w) {
      const S iv = row.inverse[v];
      const S iw = row.inverse[w];
      const S offset = iv - iw;
      T distance{};
      TER_EACH_CHUNK(team, c) {
        distance += team.keep(
            magnitude(T(team.evidence(v, c) * iv - team.evidence(w, c) * iw + offset)), c);
      }
      sum += team.sum(distance) * (row.total[v] * iv) * (row.total[w] * iw);
    }
  }
  return sum * Real<S>(0.5) * row.pairs;
}

// limit / S where the strength S exceeds the limit, else 1.
template <class S>
TER_HD S saturation_of(S uncertainty, int classes, double limit) {
  const S scale = uncertainty * static_cast<Real<S>>(limit * (1.0 / classes));
  return smaller(scale, splat<S>(1));
}

// Fuses one row. `product` and `fused` are [chunks], `weight` is [views].
//
// product_k = prod_v (1 + e_vk / K) - 1 and the discarded mass are running sums of positive terms:
// nothing cancels. All of them stay below 1 / product_of_uncertainty.
template <class Team>
TER_HD Scalars<typename Team::S> fuse_row(Rule rule, const Row<Team>& row, double limit,
                                          typename Team::T* product, typename Team::T* fused,
                                          typename Team::S* weight) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const Team& team = row.team;
  const R K = static_cast<R>(row.classes);
  const R scale = R(1) / K;
  S discarded{};
  S agreed = row.total[0] * scale;
  TER_EACH_CHUNK(team, c) { product[c] = team.evidence(0, c) * scale; }
  for (int v = 1; v < row.views; ++v) {
    const S sigma = row.total[v] * scale;
    T crossed{};
    T next{};
    TER_EACH_CHUNK(team, c) {
      const T s = team.evidence(v, c) * scale;
      const T r = product[c];
      crossed += s * (agreed - r);
      const T together = r + s * (R(1) + r);
      product[c] = together;
      next += together;
    }
    discarded = discarded * (R(1) + sigma) + team.sum(crossed);
    agreed = team.sum(next);
  }

  Scalars<S> result;
  result.product = product_of_uncertainty(row);
  // Both are masses; rounding may push them a hair above one.
  const S one = splat<S>(1);
  result.conflict = smaller(S(discarded * result.product), one);
  result.disagreement = smaller(disagreement_of(row), one);
  result.total = combine(rule, row, product, agreed, weight, fused);
  result.uncertainty = K / (result.total + K);
  const S saturation = saturation_of(result.uncertainty, row.classes, limit);
  TER_EACH_CHUNK(team, c) { fused[c] = fused[c] * saturation; }
  return result;
}

// The sign of p_vk - p_wk, 0 beyond the last class.
template <class Team>
TER_HD typename Team::T pair_sign(const Row<Team>& row, int v, int w, int c) {
  typedef typename Team::T T;
  typedef Real<T> R;
  const Team& team = row.team;
  const T one = splat<T>(1);
  const T p = (team.evidence(v, c) + R(1)) * row.inverse[v];
  const T q = (team.evidence(w, c) + R(1)) * row.inverse[w];
  return team.keep(select(p > q, one, select(p < q, T(-one), T{})), c);
}

// What the disagreement of two views adds to the gradient of each: `base_v + slope_v sign` to view
// v, `base_w - slope_w sign` to view w.
template <class S>
struct PairGradient {
  S base_v;
  S base_w;
  S slope_v;
  S slope_w;
};

// `share` is dL/d(disagreement) times the weight of the pair's distance.
template <class Team>
TER_HD PairGradient<typename Team::S> pair_gradient(const Row<Team>& row, typename Team::S share,
                                                    int v, int w) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const Team& team = row.team;
  const R K = static_cast<R>(row.classes);
  const S iv = row.inverse[v];
  const S iw = row.inverse[w];
  const S confidence_v = row.total[v] * iv;
  const S confidence_w = row.total[w] * iw;
  T sum_v{};
  T sum_w{};
  TER_EACH_CHUNK(team, c) {
    const T sign = pair_sign(row, v, w, c);
    sum_v += sign * ((team.evidence(v, c) + R(1)) * iv);
    sum_w += sign * ((team.evidence(w, c) + R(1)) * iw);
  }
  const S along_v = team.sum(sum_v);
  const S along_w = team.sum(sum_w);
  const S distance = along_v - along_w;
  const S both = share * confidence_v * confidence_w;
  return {share * distance * confidence_w * K * iv * iv - both * along_v * iv,
          share * distance * confidence_v * K * iw * iw + both * along_w * iw, both * iv,
          both * iw};
}

// Adds the gradient of the disagreement, given dL/d(disagreement), to h [views * chunks].
template <class Team>
TER_HD void disagreement_backward(const Row<Team>& row, typename Team::S upstream,
                                  typename Team::T* h) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  const Team& team = row.team;
  const int chunks = team.chunks();
  const S share = upstream * Real<S>(0.5) * row.pairs;
  for (int v = 0; v < row.views; ++v) {
    for (int w = v + 1; w < row.views; ++w) {
      const PairGradient<S> pair = pair_gradient(row, share, v, w);
      TER_EACH_CHUNK(team, c) {
        const T sign = pair_sign(row, v, w, c);
        h[v * chunks + c] += pair.base_v + pair.slope_v * sign;
        h[w * chunks + c] += pair.base_w - pair.slope_w * sign;
      }
    }
  }
}

// The same for one view, h [chunks]: each pair is then met from both sides.
template <class Team>
TER_HD void view_disagreement_backward(const Row<Team>& row, typename Team::S upstream, int view,
                                       typename Team::T* h) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  const Team& team = row.team;
  const S share = upstream * Real<S>(0.5) * row.pairs;
  for (int other = 0; other < row.views; ++other) {
    if (other == view) continue;
    const int v = other < view ? other : view;
    const int w = other < view ? view : other;
    const PairGradient<S> pair = pair_gradient(row, share, v, w);
    const S base = view == v ? pair.base_v : pair.base_w;
    const S slope = view == v ? pair.slope_v : -pair.slope_w;
    TER_EACH_CHUNK(team, c) {
      const T sign = pair_sign(row, v, w, c);
      h[c] += base + slope * sign;
    }
  }
}

// Upstream gradients of one row's results.
template <class Team>
struct Upstream {
  typename Team::T* fused;  // [chunks]; overwritten with dL/d(fused evidence before saturation)
  typename Team::S uncertainty;
  typename Team::S conflict;
  typename Team::S disagreement;
};

// What every view's gradient needs of the row.
template <class S>
struct Through {
  S agreed;      // sum of `product`
  S mass;        // dL/d(conflict) per class, before normalizing
  S confidence;  // summed_confidence
};

// Takes the upstream gradients to the fused evidence, from what fuse_row left in its buffers and
// returned.
template <class Team>
TER_HD Through<typename Team::S> upstream_backward(const Row<Team>& row, double limit,
                                                   const Scalars<typename Team::S>& forward,
                                                   const typename Team::T* product,
                                                   const typename Team::T* fused,
                                                   const Upstream<Team>& upstream) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const Team& team = row.team;
  const R scale = R(1) / static_cast<R>(row.classes);

  // A saturated row keeps the strength `limit`: what would change it is projected out.
  T inner{};
  TER_EACH_CHUNK(team, c) { inner += upstream.fused[c] * (fused[c] * static_cast<R>(1 / limit)); }
  const S saturation = saturation_of(forward.uncertainty, row.classes, limit);
  const S removed = select(saturation < splat<S>(1), team.sum(inner), S{});
  const S through_total = upstream.uncertainty * forward.uncertainty * forward.uncertainty * scale;
  T agreed{};
  TER_EACH_CHUNK(team, c) {
    upstream.fused[c] = saturation * (upstream.fused[c] - removed) - through_total;
    agreed += product[c];
  }
  return {team.sum(agreed), upstream.conflict * scale * forward.product, summed_confidence(row)};
}

// Writes dL/de' of a view to h [chunks], all but what comes through the disagreement.
template <class Fusion, class Team>
TER_HD void view_backward_by(const Row<Team>& row, int v, const Through<typename Team::S>& through,
                             const typename Team::T* product, const typename Team::S* weight,
                             const Upstream<Team>& upstream, typename Team::T* h) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const Team& team = row.team;
  const R K = static_cast<R>(row.classes);
  const R scale = R(1) / K;
  const S kept = (R(1) + through.agreed) * (row.inverse[v] * K);
  const S shared = Fusion::shared(row, v, weight, upstream.fused, through.confidence);
  TER_EACH_CHUNK(team, c) {
    const T others = row.views == 2 ? T(R(1) + team.evidence(1 - v, c) * scale)
                                    : T((R(1) + product[c]) / (R(1) + team.evidence(v, c) * scale));
    const T direct = Fusion::slope(row, v, c, others, weight);
    h[c] = upstream.fused[c] * direct + shared + through.mass * (kept - others);
  }
}

template <class Team>
TER_HD void view_backward(Rule rule, const Row<Team>& row, int v,
                          const Through<typename Team::S>& through, const typename Team::T* product,
                          const typename Team::S* weight, const Upstream<Team>& upstream,
                          typename Team::T* h) {
  switch (rule) {
#define TER_CASE(name) \
  case Rule::name:     \
    return view_backward_by<rules::name>(row, v, through, product, weight, upstream, h);
    TER_FUSION_RULES(TER_CASE)
#undef TER_CASE
  }
}

// Given dL/de' in h, leaves dL/de in h and returns dL/dw; `raw` is the evidence before discounting
// and `total` its sum.
template <class Team>
TER_HD typename Team::S discount_backward(const Team& team, int v, typename Team::T* h,
                                          typename Team::S w, typename Team::S total) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const R K = static_cast<R>(team.classes());
  T along{};
  TER_EACH_CHUNK(team, c) { along += h[c] * team.raw(v, c); }
  const S inner = team.sum(along);
  const S denominator = splat<S>(1) / (K + (R(1) - w) * total);
  const S gain = K * w * denominator;
  const S through_sum = inner * (w - R(1)) * gain * denominator;
  TER_EACH_CHUNK(team, c) { h[c] = h[c] * gain + through_sum; }
  return inner * K * (K + total) * denominator * denominator;
}

}  // namespace ter

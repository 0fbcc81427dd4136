// A whole row of fusion for any team: read, fuse or differentiate, write.
//
// Beyond what opinion.h asks of it, a team here reads and writes: stage(v) fetches a view and says
// whether it is there, discount(v, gain) scales it, and load_/store_ move a row's classes or its
// one number to and from a buffer whose row `at` belongs to this row.
#pragma once

#include "opinion.h"

namespace ter {

// Rows in float32 are fused in float32 as long as prod_v u_v, the inverse of every sum that could
// grow, stays above this; beyond, and where evidence is not valid, they are fused again in float64.
constexpr double kNarrowest = 1e-33;
// Beyond so many views, sums in float32 lose digits that the contract promises.
constexpr int kNarrowViews = 4;

// A GPU has no room for the gradients of all views of a row; there, pairs of views are visited from
// both sides instead.
#if defined(__CUDACC__)
constexpr bool kViewAtATime = true;
#else
constexpr bool kViewAtATime = false;
#endif

template <class Team>
struct FuseBuffers {
  typedef typename Team::T T;
  typedef typename Team::S S;
  T* product;    // [chunks]
  T* fused;      // [chunks]
  T* upstream;   // [chunks], backward only, here and in the next
  T* h;          // [views * chunks]; [chunks] where kViewAtATime
  S* raw_total;  // [views]
  S* total;      // [views]
  S* inverse;    // [views]
  S* weight;     // [views]
  S* present;    // [views]
  S* discount;   // [views]
};

// 0 where the evidence of a view is finite and not negative, else NaN.
template <class S>
TER_HD S poison_of_evidence(S lowest, S total) {
  return select(lowest < S{}, not_a_number<S>(), S(total * Real<S>(0)));
}

template <class S>
TER_HD S poison_of_reliability(S w) {
  // Written so that a NaN fails the comparison.
  const S upper = select(w <= splat<S>(1), S{}, not_a_number<S>());
  return select(w >= S{}, upper, not_a_number<S>());
}

// Reads the views of a row into what the rules share. `poison` becomes 0, or NaN where the row is
// not valid.
template <class Team>
TER_HD Row<Team> prepare(Team& team, const FuseArguments& a, int views, const FuseBuffers<Team>& b,
                         typename Team::S& poison) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  const S one = splat<S>(1);
  const S K = splat<S>(static_cast<Real<S>>(team.classes()));
  S count{};
  poison = S{};
  for (int v = 0; v < views; ++v) {
    b.present[v] = team.stage(a, v);
    count += b.present[v];
    T total{};
    T lowest{};
    TER_EACH_CHUNK(team, c) {
      const T x = team.raw(v, c);
      total += x;
      lowest = smaller(x, lowest);
    }
    b.raw_total[v] = team.sum(total);
    b.total[v] = b.raw_total[v];
    poison += poison_of_evidence(team.least(lowest), b.raw_total[v]);
    if (a.discount != nullptr) {
      S w = team.load_scalar(a.discount, v * a.rows);
      w = select(b.present[v] > S{}, w, one);
      b.discount[v] = w;
      poison += poison_of_reliability(w);
      const S gain = discount_gain(w, b.raw_total[v], team.classes());
      team.discount(v, gain);
      b.total[v] = b.raw_total[v] * gain;
    }
    b.inverse[v] = one / (b.total[v] + K);
  }
  if (a.mask == nullptr) count = splat<S>(static_cast<Real<S>>(views));
  return {team,
          b.total,
          b.inverse,
          reciprocal_count(count),
          reciprocal_count(S(count * (count - one) * Real<S>(0.5))),
          views,
          team.classes()};
}

// Fuses and writes a row. A team in float32 returns false, with nothing written, where the row has
// to be fused in float64.
template <class Team>
TER_HD bool forward_row(Team& team, const FuseForward& call, int views,
                        const FuseBuffers<Team>& b) {
  typedef typename Team::S S;
  const FuseArguments& a = call.in;
  S poison;
  const Row<Team> row = prepare(team, a, views, b, poison);
  const Scalars<S> s = fuse_row(a.rule, row, a.limit, b.product, b.fused, b.weight);
  if (!Team::kWide) {
    const S narrowest = splat<S>(static_cast<Real<S>>(kNarrowest));
    if (!team.everywhere(S(s.product + poison), narrowest)) return false;
  } else {
    // An accumulator that overflowed (evidence far outside the contract) makes the row NaN, too.
    poison += s.total * Real<S>(0);
    TER_EACH_CHUNK(team, c) { b.fused[c] += poison; }
  }
  team.store_classes(call.fused, 0, b.fused);
  team.store_scalar(call.uncertainty, 0, s.uncertainty + poison);
  team.store_scalar(call.conflict, 0, s.conflict + poison);
  team.store_scalar(call.disagreement, 0, s.disagreement + poison);
  return true;
}

// Writes the gradient of a row; teams of float64 only, since differences of large numbers meet
// here.
template <class Team>
TER_HD void backward_row(Team& team, const FuseBackward& call, int views,
                         const FuseBuffers<Team>& b) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  const FuseArguments& a = call.in;
  S poison;
  const Row<Team> row = prepare(team, a, views, b, poison);
  const Scalars<S> s = fuse_row(a.rule, row, a.limit, b.product, b.fused, b.weight);
  const Upstream<Team> upstream{b.upstream, team.load_scalar(call.grad_uncertainty, 0),
                                team.load_scalar(call.grad_conflict, 0),
                                team.load_scalar(call.grad_disagreement, 0)};
  team.load_classes(call.grad_fused, 0, b.upstream);
  const Through<S> through = upstream_backward(row, a.limit, s, b.product, b.fused, upstream);
  if (!kViewAtATime) {
    for (int v = 0; v < views; ++v) {
      T* h = b.h + v * team.chunks();
      view_backward(a.rule, row, v, through, b.product, b.weight, upstream, h);
    }
    disagreement_backward(row, upstream.disagreement, b.h);
  }
  poison += s.total * Real<S>(0);
  for (int v = 0; v < views; ++v) {
    T* h = kViewAtATime ? b.h : b.h + v * team.chunks();
    if (kViewAtATime) {
      view_backward(a.rule, row, v, through, b.product, b.weight, upstream, h);
      view_disagreement_backward(row, upstream.disagreement, v, h);
    }
    const S used = select(poison == S{}, b.present[v], S{});
    if (a.discount != nullptr) {
      const S dw = discount_backward(team, v, h, b.discount[v], b.raw_total[v]);
      team.store_scalar(call.grad_discount, v * a.rows, select(used > S{}, dw, S{}));
    }
    TER_EACH_CHUNK(team, c) {
      const T slope = activation_slope(a.activation, team.raw(v, c), a.cap);
      h[c] = select(used > S{}, T(h[c] * slope), T{});
    }
    team.store_classes(call.grad_evidence, v * a.rows, h);
  }
}

}  // namespace ter

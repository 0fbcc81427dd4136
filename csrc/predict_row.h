// A whole row of inference for any team: read, fuse, decide, write. There is no gradient.
//
// Beyond what fuse_row.h asks, a team here has index(c), the numbers of a chunk's classes, least()
// and top_two() over a row's classes, and stored(x), which is x as the buffers will hold it.
#pragma once

#include "fuse_row.h"

namespace ter {

// The two largest of the fused evidence.
template <class Team>
TER_HD void top_two(const Team& team, const typename Team::T* fused, typename Team::S& first,
                    typename Team::S& second) {
  typedef typename Team::T T;
  // Evidence is not negative, so below it is a start that a lane without a class keeps.
  T best = splat<T>(-1);
  T next = splat<T>(-1);
  TER_EACH_CHUNK(team, c) {
    const T x = fused[c];
    next = larger(next, smaller(best, x));
    best = larger(best, x);
  }
  team.top_two(best, next, first, second);
}

// The lowest class that has the most evidence.
template <class Team>
TER_HD typename Team::S winner(const Team& team, const typename Team::T* fused,
                               typename Team::S first) {
  typedef typename Team::T T;
  const T none = splat<T>(static_cast<Real<T>>(team.classes()));
  T lowest = none;
  TER_EACH_CHUNK(team, c) {
    const T here = T{} + first;
    lowest = smaller(select(fused[c] == here, team.index(c), none), lowest);
  }
  return team.least(lowest);
}

template <class Team>
TER_HD typename Team::S confidence_of(ConfidenceKind kind, const Team& team,
                                      const typename Team::T* fused, typename Team::S first,
                                      typename Team::S second, typename Team::S uncertainty) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const R K = static_cast<R>(team.classes());
  const S one = splat<S>(1);
  const S inverse = uncertainty / K;  // 1 / S
  // Rounding may push any of these a hair beyond 0 or 1.
  if (kind == ConfidenceKind::max_probability) {
    return smaller(S((first + R(1)) * inverse), one);
  }
  if (kind == ConfidenceKind::max_belief) return smaller(S(first * inverse), one);
  if (kind == ConfidenceKind::margin) return smaller(S((first - second) * inverse), one);
  if (kind == ConfidenceKind::one_minus_entropy) {
    T sum{};
    TER_EACH_CHUNK(team, c) {
      const T p = (fused[c] + R(1)) * inverse;
      sum += team.keep(T(p * log_of(p)), c);
    }
    const S confidence = R(1) + team.sum(sum) / log_of(K);
    return smaller(larger(confidence, S{}), one);
  }
  // What is returned as uncertainty and as confidence adds up to one.
  return R(1) - team.stored(uncertainty);
}

// Predicts and writes a row. A team in float32 returns false, with nothing written, where the row
// has to be fused in float64.
template <class Team>
TER_HD bool predict_row(Team& team, const Predict& call, int views, const FuseBuffers<Team>& b) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const FuseArguments& a = call.in;
  S poison;
  const Row<Team> row = prepare(team, a, views, b, poison);
  const Scalars<S> s =
      fuse_row(a.rule, row, Number<double>::kInfinity, b.product, b.fused, b.weight);
  if (!Team::kWide) {
    const S narrowest = splat<S>(static_cast<R>(kNarrowest));
    if (!team.everywhere(S(s.product + poison), narrowest)) return false;
  } else {
    poison += s.total * R(0);
  }
  S first, second;
  top_two(team, b.fused, first, second);
  const S lowest = winner(team, b.fused, first);
  const S confidence = team.stored(
      S(confidence_of(call.kind, team, b.fused, first, second, s.uncertainty) + poison));
  const S disagreement = team.stored(S(s.disagreement + poison));

  const S one = splat<S>(1);
  const S threshold = call.thresholds == nullptr
                          ? team.stored(splat<S>(static_cast<R>(call.threshold)))
                          : team.load_scalar(call.thresholds, 0);
  const S limit = team.stored(splat<S>(static_cast<R>(call.disagreement_limit)));
  // Each comparison is false for NaN.
  S trusted = select(confidence >= threshold, one, S{});
  trusted = select(disagreement <= limit, trusted, S{});
  trusted = select(s.total > S{}, trusted, S{});

  const S inverse = s.uncertainty / static_cast<R>(team.classes());
  TER_EACH_CHUNK(team, c) {
    b.fused[c] = smaller(T((b.fused[c] + R(1)) * inverse), splat<T>(1)) + poison;
  }
  team.store_classes(call.probability, 0, b.fused);
  team.store_index(call.prediction, select(poison == S{}, lowest, S{}));
  team.store_scalar(call.confidence, 0, confidence);
  team.store_scalar(call.uncertainty, 0, s.uncertainty + poison);
  team.store_scalar(call.conflict, 0, s.conflict + poison);
  team.store_scalar(call.disagreement, 0, disagreement);
  team.store_flag(call.trusted, trusted);
  return true;
}

}  // namespace ter

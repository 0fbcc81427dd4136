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

// The rule of trust, as ter_fast.opinions.trusted.is_trusted says it: 1 where the confidence
// reaches the threshold and the disagreement keeps to its limit, else 0. Each comparison is false
// for NaN.
template <class S>
TER_HD S is_trusted(S confidence, S threshold, S disagreement, S limit) {
  const S trusted = select(confidence >= threshold, splat<S>(1), S{});
  return select(disagreement <= limit, trusted, S{});
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
  const R K = static_cast<R>(team.classes());
  const S inverse = s.uncertainty / K;
  const FusedRow<Team> fused{team, b.fused, first, second, s.uncertainty, inverse, K};
  const S confidence = team.stored(S(confidence_of(call.kind, fused) + poison));
  const S disagreement = team.stored(S(s.disagreement + poison));

  const S threshold = call.thresholds == nullptr
                          ? team.stored(splat<S>(static_cast<R>(call.threshold)))
                          : team.load_scalar(call.thresholds, 0);
  const S limit = team.stored(splat<S>(static_cast<R>(call.disagreement_limit)));
  S trusted = is_trusted(confidence, threshold, disagreement, limit);
  // Without any evidence nothing is trusted, however low the threshold.
  trusted = select(s.total > S{}, trusted, S{});

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

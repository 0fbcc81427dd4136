// The fusion rules: their names, and what each makes of a row's evidence, value and gradient.
//
// To add one, put its name at the end of TER_FUSION_RULES, in the order of
// ter_fast/opinions/fusion_rules.py, and write its struct below; a struct that is missing does not
// compile.
#pragma once

#include "lanes.h"

#define TER_FUSION_RULES(X) X(dempster) X(cumulative) X(averaging) X(weighted)

namespace ter {

enum class Rule : int {
#define TER_NAME(name) name,
  TER_FUSION_RULES(TER_NAME)
#undef TER_NAME
};

// What all rules share about a row once masks and reliabilities are applied.
template <class Team>
struct Row {
  typedef typename Team::T T;
  typedef typename Team::S S;
  const Team& team;  // evidence after activation and discounting, 0 where masked
  const S* total;    // [views] sum_k e_vk
  const S* inverse;  // [views] 1 / S_v
  S equal;           // 1 / number of views that are there, at least 1
  S pairs;           // 1 / number of pairs of views that are there, at least 1
  int views;
  int classes;
};

// sum_v (1 - u_v)
template <class Team>
TER_HD typename Team::S summed_confidence(const Row<Team>& row) {
  typename Team::S sum{};
  for (int v = 0; v < row.views; ++v) sum += row.total[v] * row.inverse[v];
  return sum;
}

namespace rules {

// A rule's struct has three functions:
//
//   combine  leaves the fused evidence in `fused` [chunks] and returns its sum. There are `product`
//            [chunks], the prod_v (1 + e_vk / K) - 1 of the conflict, and `agreed`, its sum; and
//            `weight` [views], to fill.
//   slope    d fused_k / d e_vk of a chunk of view v. There is `others`, the prod_{w != v} (1 +
//            e_wk / K).
//   shared   what reaches every class of view v alike, as where weights depend on its sum:
//            sum_k upstream_k d fused_k / d(sum of e_v). There is `confidence`, summed_confidence.
struct ClassByClass {
  // None of it, where no class of the fused evidence depends on another's.
  template <class Team>
  TER_HD typename Team::S shared(const Row<Team>&, int, const typename Team::S*,
                                 const typename Team::T*, typename Team::S) {
    return typename Team::S{};
  }
};

// What rules have in common that sum evidence, each view times its weight.
struct WeightedSum : ClassByClass {
  template <class Team>
  TER_HD typename Team::T at(const Row<Team>& row, int c, const typename Team::S* weight) {
    typename Team::T sum = weight[0] * row.team.evidence(0, c);
    for (int v = 1; v < row.views; ++v) sum += weight[v] * row.team.evidence(v, c);
    return sum;
  }

  template <class Team>
  TER_HD typename Team::S sum(const Row<Team>& row, const typename Team::S* weight,
                              typename Team::T* fused) {
    typename Team::T total{};
    TER_EACH_CHUNK(row.team, c) {
      fused[c] = at(row, c, weight);
      total += fused[c];
    }
    return row.team.sum(total);
  }

  template <class Team>
  TER_HD typename Team::T slope(const Row<Team>&, int v, int, const typename Team::T&,
                                const typename Team::S* weight) {
    return typename Team::T{} + weight[v];
  }
};

struct dempster : ClassByClass {
  template <class Team>
  TER_HD typename Team::S combine(const Row<Team>& row, const typename Team::T* product,
                                  typename Team::S agreed, typename Team::S*,
                                  typename Team::T* fused) {
    const Real<typename Team::S> K = static_cast<Real<typename Team::S>>(row.classes);
    TER_EACH_CHUNK(row.team, c) { fused[c] = product[c] * K; }
    return agreed * K;
  }

  template <class Team>
  TER_HD typename Team::T slope(const Row<Team>&, int, int, const typename Team::T& others,
                                const typename Team::S*) {
    return others;
  }
};

struct cumulative : WeightedSum {
  template <class Team>
  TER_HD typename Team::S combine(const Row<Team>& row, const typename Team::T*, typename Team::S,
                                  typename Team::S* weight, typename Team::T* fused) {
    for (int v = 0; v < row.views; ++v) weight[v] = splat<typename Team::S>(1);
    return sum(row, weight, fused);
  }
};

struct averaging : WeightedSum {
  template <class Team>
  TER_HD typename Team::S combine(const Row<Team>& row, const typename Team::T*, typename Team::S,
                                  typename Team::S* weight, typename Team::T* fused) {
    for (int v = 0; v < row.views; ++v) weight[v] = row.equal;
    return sum(row, weight, fused);
  }
};

struct weighted : WeightedSum {
  template <class Team>
  TER_HD typename Team::S combine(const Row<Team>& row, const typename Team::T*, typename Team::S,
                                  typename Team::S* weight, typename Team::T* fused) {
    typedef typename Team::S S;
    const S normalizer = summed_confidence(row);
    for (int v = 0; v < row.views; ++v) {
      const S confidence = row.total[v] * row.inverse[v];
      weight[v] = select(normalizer > S{}, S(confidence / normalizer), row.equal);
    }
    return sum(row, weight, fused);
  }

  template <class Team>
  TER_HD typename Team::S shared(const Row<Team>& row, int v, const typename Team::S* weight,
                                 const typename Team::T* upstream, typename Team::S confidence) {
    typedef typename Team::S S;
    const Real<S> K = static_cast<Real<S>>(row.classes);
    typename Team::T along{};
    TER_EACH_CHUNK(row.team, c) {
      along += upstream[c] * (row.team.evidence(v, c) - at(row, c, weight));
    }
    const S through = row.team.sum(along) * K * row.inverse[v] * row.inverse[v] / confidence;
    return select(confidence > S{}, through, S{});
  }
};

}  // namespace rules

template <class Team>
TER_HD typename Team::S combine(Rule rule, const Row<Team>& row, const typename Team::T* product,
                                typename Team::S agreed, typename Team::S* weight,
                                typename Team::T* fused) {
  switch (rule) {
#define TER_CASE(name) \
  case Rule::name:     \
    return rules::name::combine(row, product, agreed, weight, fused);
    TER_FUSION_RULES(TER_CASE)
#undef TER_CASE
  }
  return not_a_number<typename Team::S>();
}

}  // namespace ter

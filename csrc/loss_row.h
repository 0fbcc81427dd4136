// A whole row of an evidential loss for any team: read, evaluate, differentiate, write.
//
// Beyond what opinion.h asks of it, a team here reads and writes as in fuse_row.h, and offers
// stage_target(a, y), which fills y with the target and returns 0, or NaN where there is no such
// class. Lanes beyond the last class hold no evidence and no vote.
#pragma once

#include "dirichlet.h"

namespace ter {

template <class Team>
struct LossBuffers {
  typedef typename Team::T T;
  T* evidence;  // [chunks], here and below
  T* target;
  T* slope;  // where the gradient is wanted
};

// What does not change from row to row. Computed as rows are, so that no evidence costs exactly 0.
template <class R>
struct LossConstants {
  R classes;
  R weight;           // of the regularizer
  R rest_of_one;      // see Corrections
  R rest_of_classes;  // at K
};

template <class R>
TER_HD LossConstants<R> loss_constants(const LossArguments& a) {
  const R classes = static_cast<R>(a.classes);
  return {classes, static_cast<R>(a.kl_weight), corrections<kRest>(R(1)).rest,
          corrections<kRest>(classes).rest};
}

template <class Team>
struct LossRow {
  typedef typename Team::T T;
  typedef typename Team::S S;
  Team& team;
  const T* evidence;  // [chunks], here and in the next two
  const T* target;
  T* slope;    // dL/de; null where it is not wanted
  S right;     // sum_k y_k e_k
  S wrong;     // sum_k (1 - y_k) e_k
  S votes;     // sum_k y_k
  S strength;  // S = K + sum_k e_k
  S inverse;   // 1 / S
  bool hard;   // one y_k is 1 and the others are 0
};

// sum_k log x_k as the logarithm of one product, which never overflows: `exponent` takes what
// leaves the range of `mantissa`.
template <class T>
struct Product {
  T mantissa;
  T exponent;
};

template <class T>
TER_HD void multiply(Product<T>& product, T x) {
  const T next = product.mantissa * (x * Real<T>(0.25));
  const auto biased = biased_exponent<T>(bits_of(next) - Format<Real<T>>::kSqrtHalf);
  product.mantissa = scaled_down(next, biased);
  product.exponent += exponent_value<T>(biased) + Real<T>(2);
}

template <class T>
TER_HD T log_of_product(const Product<T>& product) {
  return log_of_parts<T>(product.mantissa - Real<T>(1), product.exponent);
}

// sum_k y_k (log S - log alpha_k)
template <class Team>
TER_HD typename Team::S log_loss(const LossRow<Team>& row, Real<typename Team::S> K) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const Team& team = row.team;
  const S shared = row.votes * row.inverse;
  if (row.hard) {
    const S alpha = row.right + R(1);
    if (row.slope != nullptr) {
      const S own = R(1) / alpha;
      TER_EACH_CHUNK(team, c) { row.slope[c] = shared - row.target[c] * own; }
    }
    return log_ratio(row.strength, alpha, S(row.wrong + (K - R(1))));
  }
  T sum{};
  TER_EACH_CHUNK(team, c) {
    const T alpha = row.evidence[c] + R(1);
    const T strength = T{} + row.strength;
    sum += row.target[c] * log_ratio(strength, alpha, T(strength - alpha));
    if (row.slope != nullptr) row.slope[c] = shared - row.target[c] / alpha;
  }
  return team.sum(sum);
}

// sum_k y_k (psi(S) - psi(alpha_k)); the difference of the gaps between psi and log is added to the
// difference of the logarithms.
template <class Team>
TER_HD typename Team::S digamma_loss(const LossRow<Team>& row, Real<typename Team::S> K) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const Team& team = row.team;
  const Corrections<S> whole = corrections<kGap | kTrigamma>(row.strength);
  const S gap = whole.inverse * whole.gap;
  const S shared = row.votes * (whole.inverse + whole.inverse * whole.trigamma);
  if (row.hard) {
    const S alpha = row.right + R(1);
    const Corrections<S> part = corrections<kGap | kTrigamma>(alpha);
    if (row.slope != nullptr) {
      const S own = part.inverse + part.inverse * part.trigamma;
      TER_EACH_CHUNK(team, c) { row.slope[c] = shared - row.target[c] * own; }
    }
    return log_ratio(row.strength, alpha, S(row.wrong + (K - R(1)))) +
           (part.inverse * part.gap - gap);
  }
  T sum{};
  TER_EACH_CHUNK(team, c) {
    const T alpha = row.evidence[c] + R(1);
    const T strength = T{} + row.strength;
    const Corrections<T> part = corrections<kGap | kTrigamma>(alpha);
    const T y = row.target[c];
    sum += y * (log_ratio(strength, alpha, T(strength - alpha)) + (part.inverse * part.gap - gap));
    if (row.slope != nullptr) {
      row.slope[c] = shared - y * (part.inverse + part.inverse * part.trigamma);
    }
  }
  return team.sum(sum);
}

// sum_k (y_k - p_k)^2 + p_k (1 - p_k) / (S + 1)
template <class Team>
TER_HD typename Team::S mse_loss(const LossRow<Team>& row) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const Team& team = row.team;
  T distance{};
  T variance{};
  T overlap{};
  TER_EACH_CHUNK(team, c) {
    const T p = (row.evidence[c] + R(1)) * row.inverse;
    const T error = p - row.target[c];
    distance += team.keep(T(error * error), c);
    variance += team.keep(T(p * (R(1) - p)), c);
    overlap += team.keep(T(p * error), c);
  }
  const S spread = team.sum(variance);
  const S damping = R(1) / (row.strength + R(1));
  if (row.slope != nullptr) {
    // With g_k = 2 (p_k - y_k) + (1 - 2 p_k) / (S + 1), dL/de_k is (g_k - sum_j p_j g_j) / S less
    // what S + 1 contributes; sum_j p_j (1 - 2 p_j) = 2 sum_j p_j (1 - p_j) - 1.
    const S mean = R(2) * team.sum(overlap) + (R(2) * spread - R(1)) * damping;
    const S shared = (damping - mean) * row.inverse - spread * damping * damping;
    const S twice = R(2) * row.inverse;
    TER_EACH_CHUNK(team, c) {
      const T p = (row.evidence[c] + R(1)) * row.inverse;
      row.slope[c] = twice * ((p - row.target[c]) - p * damping) + shared;
    }
  }
  return team.sum(distance) + spread * damping;
}

// KL(Dir(alpha~) || Dir(1)), with alpha~_k = 1 + (1 - y_k) e_k; adds `weight` times its gradient to
// the slope. Every term is 0 where alpha~_k = 1.
//
//   (K - 1/2) log(S~ / K) + rest(S~) - rest(K) + (S~ - K) gap(S~)
//   - sum_k [ 1/2 log alpha~_k + rest(alpha~_k) - rest(1) + (alpha~_k - 1) gap(alpha~_k) ]
//
// To first order, the first line is S~ - K and each bracket alpha~_k - 1. Where there is little
// evidence they are taken off, or their rounding would be most of what is left.
template <class Team>
TER_HD typename Team::S kl_to_uniform(const LossRow<Team>& row,
                                      const LossConstants<Real<typename Team::S>>& constants) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const Team& team = row.team;
  const R K = constants.classes;
  const S strength = row.wrong + K;
  const Corrections<S> whole = corrections<kGap | kTrigamma | kRest>(strength);
  const S share = row.wrong * whole.inverse;
  // 1 - (S~ - K) psi'(S~), and below 1 - (alpha~ - 1) psi'(alpha~): small where evidence is large.
  const S lack = K * whole.inverse - share * whole.trigamma;
  const S relative = row.wrong * (R(1) / K);  // S~ / K - 1
  const auto little = relative < R(0.5);
  const S linear = select(little, splat<S>(1), S{});
  Product<T> product{splat<T>(1), T{}};
  T sum{};
  TER_EACH_CHUNK(team, c) {
    const T kept = R(1) - row.target[c];
    const T stray = kept * row.evidence[c];
    const T alpha = stray + R(1);
    const Corrections<T> part = corrections<kGap | kTrigamma | kRest>(alpha);
    const T fraction = stray * part.inverse;
    multiply(product, alpha);
    sum += (stray * linear - fraction * part.gap) - (part.rest - constants.rest_of_one);
    if (row.slope != nullptr) {
      const T own = part.inverse - fraction * part.trigamma;
      row.slope[c] += constants.weight * kept * (lack - own);
    }
  }
  const S parts = team.sum(T(sum - R(0.5) * log_of_product(product)));
  const S half = splat<S>(R(0.5));
  // Less S~ - K = K relative, (K - 1/2) log(S~ / K) is (K - 1/2) bend - relative / 2.
  const S bend = (K - R(0.5)) * log1p_bend(smaller(relative, half)) - half * relative;
  const S log = (K - R(0.5)) * log_ratio(strength, splat<S>(K), row.wrong);
  return select(little, bend, log) + (whole.rest - constants.rest_of_classes) + share * whole.gap +
         parts;
}

// Evaluates and writes a row. A team in float32 returns false, with nothing written, where the row
// has to be done in float64: where the strength overflows, and where evidence is not valid.
template <class Team>
TER_HD bool loss_row(Team& team, const LossForward& call, const LossBuffers<Team>& b,
                     const LossConstants<Real<typename Team::S>>& constants) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const LossArguments& a = call.in;
  const bool differentiated = call.gradient != nullptr;
  team.load_classes(a.evidence, 0, b.evidence);
  S poison = team.stage_target(a, b.target);
  T right{};
  T wrong{};
  T votes{};
  T lowest{};
  TER_EACH_CHUNK(team, c) {
    const T e = b.evidence[c];
    const T y = b.target[c];
    right += y * e;
    wrong += (R(1) - y) * e;
    votes += y;
    lowest = smaller(e, lowest);
  }
  LossRow<Team> row{team,
                    b.evidence,
                    b.target,
                    differentiated ? b.slope : nullptr,
                    team.sum(right),
                    team.sum(wrong),
                    team.sum(votes),
                    S{},
                    S{},
                    a.soft == nullptr};
  row.strength = row.right + row.wrong + constants.classes;
  row.inverse = R(1) / row.strength;
  poison += poison_unless(team.least(lowest) >= S{}, S{}) + row.strength * R(0);
  if (!Team::kWide && !team.everywhere(S(poison + R(1)), S{})) return false;

  S loss;
  if (a.kind == Loss::log) {
    loss = log_loss(row, constants.classes);
  } else if (a.kind == Loss::digamma) {
    loss = digamma_loss(row, constants.classes);
  } else {
    loss = mse_loss(row);
  }
  if (a.kl_weight != 0) loss += constants.weight * kl_to_uniform(row, constants);
  team.store_scalar(call.loss, 0, S(loss + poison));
  if (differentiated) {
    if (Team::kWide) {
      TER_EACH_CHUNK(team, c) { b.slope[c] += poison; }
    }
    team.store_classes(call.gradient, 0, b.slope);
  }
  return true;
}

}  // namespace ter

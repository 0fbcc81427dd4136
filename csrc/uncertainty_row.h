// A whole row of the uncertainties of a Dirichlet for any team: read, measure or differentiate,
// write.
//
// Beyond what opinion.h asks of it, a team here reads and writes as in fuse_row.h, and offers
// load_positive, which puts 1 wherever there is no class or no row, width(), the number of lanes
// that a row's classes fill, and other(x, c, j, lane): in every lane of chunk c the x of class
// `lane` of chunk j, but 0 in the lane of that very class.
#pragma once

#include "dirichlet.h"

namespace ter {

template <class Team>
struct UncertaintyBuffers {
  typedef typename Team::T T;
  T* alpha;   // [chunks], here and below
  T* slope;   // backward only, as are share and pull
  T* belief;  // b_k, where the dissonance is wanted
  T* share;   // 1 / sum_{j != k} b_j
  T* pull;    // b_k / sum_{j != k} b_j times the mean balance of k with the others
};

// psi(x + 1) - log x and its derivative for x > 0; both fall to 0 as x grows, without cancellation.
// Where even the strength is below 1, mutual information is a difference of large excesses and
// exact to a few ulps of log(1 / S) only, its gradient to those over S.
template <class T>
struct Excess {
  T value;
  T slope;
};

template <class T>
TER_HD Excess<T> excess_of(T x) {
  typedef Real<T> R;
  const auto shifted = x < R(1);
  const T y = select(shifted, T(x + R(1)), x);
  const Corrections<T> at = corrections<kGap | kTrigamma>(y);
  const T r = at.inverse;
  // At x >= 1: 1 / x - gap(x), and psi'(x) - 1 / x - 1 / x^2.
  const T value = r * (R(1) - at.gap);
  const T slope = r * (at.trigamma - r);
  // Below, from y = x + 1: log(y / x) - gap(y), and psi'(y) - 1 / x.
  const T low_value = log_ratio(y, x, splat<T>(1)) - r * at.gap;
  const T low_slope = r * (R(1) + at.trigamma) - R(1) / x;
  return {select(shifted, low_value, value), select(shifted, low_slope, slope)};
}

template <class Team>
struct UncertaintyRow {
  typedef typename Team::T T;
  typedef typename Team::S S;
  Team& team;
  const UncertaintyBuffers<Team>& b;
  S strength;  // S
  S inverse;   // 1 / S
  Real<S> classes;
};

// Reads a row. `poison` becomes 0, or NaN where the row is not valid; in float32 also where 1 /
// alpha would not be a normal number.
template <class Team>
TER_HD UncertaintyRow<Team> prepare(Team& team, const UncertaintyArguments& a,
                                    const UncertaintyBuffers<Team>& b, typename Team::S& poison) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  team.load_positive(a.alpha, b.alpha);
  T total{};
  T lowest = splat<T>(1);
  TER_EACH_CHUNK(team, c) {
    total += team.keep(b.alpha[c], c);
    lowest = smaller(b.alpha[c], lowest);
  }
  const S strength = team.sum(total);
  const S least = team.least(lowest);
  const R floor = Team::kWide ? R(0) : Format<R>::kSmallestNormal;
  poison = poison_unless(least > floor, S{}) + strength * R(0);
  return {team, b, strength, R(1) / strength, static_cast<R>(a.classes)};
}

template <class S>
struct Shannon {
  S entropy;
  S mutual_information;  // where it is asked for
};

template <class Team>
TER_HD Shannon<typename Team::S> shannon_of(const UncertaintyRow<Team>& row, bool informed) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  const Team& team = row.team;
  T entropy{};
  T excess{};
  TER_EACH_CHUNK(team, c) {
    const T alpha = row.b.alpha[c];
    const T p = alpha * row.inverse;
    const T strength = T{} + row.strength;
    entropy += team.keep(T(p * log_ratio(strength, alpha, T(strength - alpha))), c);
    if (informed) excess += team.keep(T(p * excess_of(alpha).value), c);
  }
  const S sum = team.sum(entropy);
  if (!informed) return {sum, S{}};
  return {sum, S(team.sum(excess) - excess_of(row.strength).value)};
}

// sum_k lnG(alpha_k) - lnG(S) + (S - K) psi(S) - sum_k (alpha_k - 1) psi(alpha_k), where all that
// Stirling's formula has in common is gone.
template <class Team>
TER_HD typename Team::S differential_entropy_of(const UncertaintyRow<Team>& row) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const Team& team = row.team;
  const R half = R(0.5);
  T sum{};
  TER_EACH_CHUNK(team, c) {
    const T alpha = row.b.alpha[c];
    const GammaParts<T> part = gamma_parts<kGap | kRest>(alpha);
    sum += team.keep(T(half * part.log + part.rest + (alpha - R(1)) * part.gap), c);
  }
  const R K = row.classes;
  const GammaParts<S> whole = gamma_parts<kGap | kRest>(row.strength);
  const S together = (K - half) * whole.log + whole.rest + (row.strength - K) * whole.gap;
  return team.sum(sum) - together + (K - R(1)) * R(kHalfLogTwoPi);
}

// Of class k against each other class j with belief x: 2 b_j min(b_j, b_k) / (b_j + b_k).
template <class T>
TER_HD T balanced(T belief, T x) {
  const T both = larger(T(belief + x), splat<T>(Format<Real<T>>::kSmallestNormal));
  return Real<T>(2) * x * (smaller(belief, x) / both);
}

// Fills belief, and in the backward pass share and pull. The sum over the others is taken as such:
// the sum over all less one's own would cancel where one class holds nearly all the belief.
template <class Team>
TER_HD typename Team::S dissonance_of(const UncertaintyRow<Team>& row, bool differentiated) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const Team& team = row.team;
  T* belief = row.b.belief;
  const R least = Format<R>::kSmallestNormal;
  TER_EACH_CHUNK(team, c) { belief[c] = larger(T(row.b.alpha[c] - R(1)), T{}) * row.inverse; }
  T sum{};
  TER_EACH_CHUNK(team, c) {
    T others{};
    T mean{};
    TER_EACH_CHUNK(team, j) {
      for (int lane = 0; lane < team.width(); ++lane) {
        const T x = team.other(belief, c, j, lane);
        others += x;
        mean += balanced(belief[c], x);
      }
    }
    const T share = select(others < least, T{}, T(R(1) / others));
    const T pull = belief[c] * share * (mean * share);
    sum += belief[c] * (mean * share);
    if (differentiated) {
      row.b.share[c] = share;
      row.b.pull[c] = pull;
    }
  }
  return team.sum(sum);
}

// Adds `scale` times the gradient of the dissonance, which dissonance_of returned.
//
// With F = S dissonance and P_kj = b_k b_j Bal(b_k, b_j), F = sum_{j < k} P_kj (share_k + share_j),
// so dF/db_k = sum_{j != k} [ dP_kj/db_k (share_k + share_j) - pull_j ]. Between equal beliefs P
// has a kink; there the mean of both sides is taken, which is Bal' = 0.
template <class Team>
TER_HD void dissonance_backward(const UncertaintyRow<Team>& row, typename Team::S scale,
                                typename Team::S dissonance) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const Team& team = row.team;
  const T* belief = row.b.belief;
  const T* share = row.b.share;
  const T tiny = splat<T>(Format<R>::kSmallestNormal);
  T pulls{};
  TER_EACH_CHUNK(team, c) { pulls += row.b.pull[c]; }
  const S pulled = team.sum(pulls);
  TER_EACH_CHUNK(team, c) {
    const T b = belief[c];
    T sum{};
    TER_EACH_CHUNK(team, j) {
      for (int lane = 0; lane < team.width(); ++lane) {
        const T x = team.other(belief, c, j, lane);
        const T other_share = team.other(share, c, j, lane);
        const T inverse = R(1) / larger(T(b + x), tiny);
        const T u = b * inverse;
        const T v = x * inverse;
        const T below = u * (R(1) + v);
        const T above = v * v;
        const T slope = select(b < x, below, select(b > x, above, splat<T>(R(0.5))));
        sum += R(2) * x * slope * (share[c] + other_share);
      }
    }
    const T through = sum - (pulled - row.b.pull[c]);
    const T held = select(row.b.alpha[c] < R(1), T{}, through);
    row.b.slope[c] += scale * row.inverse * (held - dissonance);
  }
}

template <class Team>
TER_HD void store_if(Team& team, void* target, typename Team::S value) {
  if (target != nullptr) team.store_scalar(target, 0, value);
}

// Measures and writes a row. A team in float32 returns false, with nothing written, where the row
// has to be done in float64: where the strength overflows, and where it is not valid.
template <class Team>
TER_HD bool uncertainty_row(Team& team, const UncertaintyForward& call,
                            const UncertaintyBuffers<Team>& b) {
  typedef typename Team::S S;
  typedef Real<S> R;
  S poison;
  const UncertaintyRow<Team> row = prepare(team, call.in, b, poison);
  if (!Team::kWide && !team.everywhere(S(poison + R(1)), S{})) return false;
  store_if(team, call.vacuity, S(row.classes * row.inverse + poison));
  if (call.entropy != nullptr || call.aleatoric != nullptr || call.mutual_information != nullptr) {
    const bool informed = call.aleatoric != nullptr || call.mutual_information != nullptr;
    const Shannon<S> shannon = shannon_of(row, informed);
    store_if(team, call.entropy, S(shannon.entropy + poison));
    // Rounding may push a difference of equals a hair below 0.
    const S aleatoric = larger(S(shannon.entropy - shannon.mutual_information), S{});
    store_if(team, call.aleatoric, S(aleatoric + poison));
    store_if(team, call.mutual_information, S(shannon.mutual_information + poison));
  }
  if (call.differential_entropy != nullptr) {
    store_if(team, call.differential_entropy, S(differential_entropy_of(row) + poison));
  }
  if (call.dissonance != nullptr) {
    store_if(team, call.dissonance, S(dissonance_of(row, false) + poison));
  }
  return true;
}

// Adds the gradients of entropy and mutual information, given dL/d of both. With x_k the excess of
// alpha_k: d entropy / d alpha_k = (log(S / alpha_k) - entropy) / S, and d mutual_information /
// d alpha_k = (x_k - sum_j p_j x_j) / S + p_k x'(alpha_k) - x'(S).
template <class Team>
TER_HD void shannon_backward(const UncertaintyRow<Team>& row, typename Team::S by_entropy,
                             typename Team::S by_information) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  const Team& team = row.team;
  T entropy{};
  T excess{};
  TER_EACH_CHUNK(team, c) {
    const T alpha = row.b.alpha[c];
    const T p = alpha * row.inverse;
    const T strength = T{} + row.strength;
    const T surprise = log_ratio(strength, alpha, T(strength - alpha));
    const Excess<T> own = excess_of(alpha);
    entropy += team.keep(T(p * surprise), c);
    excess += team.keep(T(p * own.value), c);
    row.b.slope[c] += row.inverse * (by_entropy * surprise + by_information * own.value) +
                      by_information * (p * own.slope);
  }
  const S shared =
      row.inverse * (by_entropy * team.sum(entropy) + by_information * team.sum(excess)) +
      by_information * excess_of(row.strength).slope;
  TER_EACH_CHUNK(team, c) { row.b.slope[c] -= shared; }
}

template <class Team>
TER_HD void differential_entropy_backward(const UncertaintyRow<Team>& row,
                                          typename Team::S upstream) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  const Team& team = row.team;
  const S whole = (row.strength - row.classes) * gamma_parts<kTrigamma>(row.strength).trigamma;
  TER_EACH_CHUNK(team, c) {
    const T alpha = row.b.alpha[c];
    row.b.slope[c] += upstream * (whole - (alpha - R(1)) * gamma_parts<kTrigamma>(alpha).trigamma);
  }
}

// Writes the gradient of a row, 0 where it is not valid. Returns as uncertainty_row does.
template <class Team>
TER_HD bool uncertainty_backward_row(Team& team, const UncertaintyBackward& call,
                                     const UncertaintyBuffers<Team>& b) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  S poison;
  const UncertaintyRow<Team> row = prepare(team, call.in, b, poison);
  if (!Team::kWide && !team.everywhere(S(poison + R(1)), S{})) return false;
  const S vacuity = team.load_scalar(call.grad_vacuity, 0);
  const S base = -vacuity * row.classes * row.inverse * row.inverse;
  TER_EACH_CHUNK(team, c) { b.slope[c] = T{} + base; }
  if (call.grad_entropy != nullptr || call.grad_aleatoric != nullptr ||
      call.grad_mutual_information != nullptr) {
    // aleatoric = entropy - mutual_information
    const S aleatoric = team.load_scalar(call.grad_aleatoric, 0);
    shannon_backward(row, S(team.load_scalar(call.grad_entropy, 0) + aleatoric),
                     S(team.load_scalar(call.grad_mutual_information, 0) - aleatoric));
  }
  if (call.grad_differential_entropy != nullptr) {
    differential_entropy_backward(row, team.load_scalar(call.grad_differential_entropy, 0));
  }
  if (call.grad_dissonance != nullptr) {
    const S dissonance = dissonance_of(row, true);
    dissonance_backward(row, team.load_scalar(call.grad_dissonance, 0), dissonance);
  }
  if (Team::kWide) {
    TER_EACH_CHUNK(team, c) { b.slope[c] = select(poison == S{}, b.slope[c], T{}); }
  }
  team.store_classes(call.grad_alpha, 0, b.slope);
  return true;
}

}  // namespace ter

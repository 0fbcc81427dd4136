// The kinds of confidence: their names, and what each makes of a fused row.
//
// To add one, put its name at the end of TER_CONFIDENCE_KINDS, in the order of
// ter_fast/opinions/confidence_kinds.py, and write its function below; one that is missing does not
// compile.
#pragma once

#include "lanes.h"
#include "special.h"

#define TER_CONFIDENCE_KINDS(X) \
  X(one_minus_vacuity) X(max_probability) X(max_belief) X(margin) X(one_minus_entropy)

namespace ter {

enum class ConfidenceKind : int {
#define TER_NAME(name) name,
  TER_CONFIDENCE_KINDS(TER_NAME)
#undef TER_NAME
};

// What confidences are made of; a Team as opinion.h and predict_row.h ask for it.
template <class Team>
struct FusedRow {
  typedef typename Team::T T;
  typedef typename Team::S S;
  const Team& team;
  const T* fused;  // [chunks] evidence, not saturated
  S first;         // the largest of it
  S second;        // and the next
  S uncertainty;
  S inverse;  // 1 / S
  Real<S> classes;
};

// Rounding may push a confidence a hair beyond 0 or 1, so each is cut where it can happen.
namespace confidences {

template <class Team>
TER_HD typename Team::S one_minus_vacuity(const FusedRow<Team>& row) {
  // What is returned as uncertainty and as confidence adds up to one.
  return Real<typename Team::S>(1) - row.team.stored(row.uncertainty);
}

template <class Team>
TER_HD typename Team::S max_probability(const FusedRow<Team>& row) {
  typedef typename Team::S S;
  return smaller(S((row.first + Real<S>(1)) * row.inverse), splat<S>(1));
}

template <class Team>
TER_HD typename Team::S max_belief(const FusedRow<Team>& row) {
  typedef typename Team::S S;
  return smaller(S(row.first * row.inverse), splat<S>(1));
}

template <class Team>
TER_HD typename Team::S margin(const FusedRow<Team>& row) {
  typedef typename Team::S S;
  return smaller(S((row.first - row.second) * row.inverse), splat<S>(1));
}

template <class Team>
TER_HD typename Team::S one_minus_entropy(const FusedRow<Team>& row) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  typedef Real<S> R;
  T sum{};
  TER_EACH_CHUNK(row.team, c) {
    const T p = (row.fused[c] + R(1)) * row.inverse;
    sum += row.team.keep(T(p * log_of(p)), c);
  }
  const S confidence = R(1) + row.team.sum(sum) / log_of(row.classes);
  return smaller(larger(confidence, S{}), splat<S>(1));
}

}  // namespace confidences

template <class Team>
TER_HD typename Team::S confidence_of(ConfidenceKind kind, const FusedRow<Team>& row) {
  switch (kind) {
#define TER_CASE(name)       \
  case ConfidenceKind::name: \
    return confidences::name(row);
    TER_CONFIDENCE_KINDS(TER_CASE)
#undef TER_CASE
  }
  return not_a_number<typename Team::S>();
}

}  // namespace ter

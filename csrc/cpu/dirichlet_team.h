// What the row loops of losses and uncertainties share: how a block of rows is read and written,
// and which team works on it.
#pragma once

#include <type_traits>

#include "../loss_row.h"
#include "../uncertainty_row.h"
#include "teams.h"

namespace ter {
namespace {

template <class Base>
struct DirichletTeam : Base {
  typedef typename Base::T T;
  typedef typename Base::S S;
  typedef typename Base::Storage Storage;
  static constexpr bool kRowPerLane = std::is_same<T, S>::value;

  TER_MEMBER S stage_target(const LossArguments& a, T* y) const {
    if (a.soft != nullptr) {
      this->load_classes(a.soft, 0, y);
      return S{};
    }
    if constexpr (kRowPerLane) {
      // A label out of range stays so when it is rounded.
      const S label = load_lanes<S>(a.label + this->row, 1, this->count);
      for (int k = 0; k < this->classes_; ++k) {
        y[k] = select(label == splat<S>(static_cast<Real<S>>(k)), splat<T>(1), T{});
      }
      const S K = splat<S>(static_cast<Real<S>>(this->classes_));
      return poison_unless(label >= S{}, S{}) + poison_unless(label < K, S{});
    } else {
      const std::int64_t label = a.label[this->row];
      for (int c = 0; c < this->chunks(); ++c) y[c] = T{};
      if (label < 0 || label >= this->classes_) return not_a_number<S>();
      set(y[label / Base::kWidth], static_cast<int>(label % Base::kWidth), S(1));
      return S{};
    }
  }

  TER_MEMBER void load_positive(const void* base, T* target) const {
    this->load_classes(base, 0, target);
    if constexpr (kRowPerLane) {
      for (int lane = this->count; lane < Base::kRows; ++lane) {
        for (int k = 0; k < this->classes_; ++k) set(target[k], lane, Real<T>(1));
      }
    } else {
      const int last = this->chunks() - 1;
      for (int lane = this->live(last); lane < Base::kWidth; ++lane) {
        set(target[last], lane, Real<T>(1));
      }
    }
  }

  TER_MEMBER int width() const {
    if constexpr (kRowPerLane) {
      return 1;
    } else {
      return Base::kWidth;
    }
  }
  TER_MEMBER T other(const T* x, int c, int j, int lane) const {
    if constexpr (kRowPerLane) {
      return c == j ? T{} : x[j];
    } else {
      const T own = splat<T>(static_cast<Real<T>>(j * Base::kWidth + lane));
      return select(this->index(c) == own, T{}, splat<T>(get(x[j], lane)));
    }
  }
};

// Step<Team>::row over rows [begin, end) of a call; in float64 where a team in float32 says that it
// cannot.
template <template <class> class Step, template <class, class> class Layout, class Vector,
          class Storage, class Call>
void rows_by(const Call& call, std::int64_t begin, std::int64_t end, void* scratch) {
  typedef DirichletTeam<Layout<Vector, Storage>> Team;
  Team team;
  team.classes_ = static_cast<int>(call.in.classes);
  const Step<Team> step(team, call, scratch);
  for (std::int64_t row = begin; row < end; row += Team::kRows) {
    team.row = row;
    team.count = static_cast<int>(end - row < Team::kRows ? end - row : Team::kRows);
    if (!step.row(team, call)) {
      if constexpr (!Team::kWide) {
        rows_by<Step, Layout, Doubles, Storage>(call, row, row + team.count, scratch);
      }
    }
  }
}

template <class Vector, class Storage>
using EachRowPerLane = RowPerLane<Vector, Storage, 0>;

template <template <class> class Step, class Vector, class Storage, class Call>
void rows_of(const Call& call, std::int64_t begin, std::int64_t end, void* scratch) {
  if (call.in.classes > kClassesPerLane) {
    if (LanesPerRow<Vector, Storage>::chunks_of(call.in.classes) > kNarrowTerms) {
      return rows_by<Step, LanesPerRow, Doubles, Storage>(call, begin, end, scratch);
    }
    return rows_by<Step, LanesPerRow, Vector, Storage>(call, begin, end, scratch);
  }
  return rows_by<Step, EachRowPerLane, Vector, Storage>(call, begin, end, scratch);
}

template <template <class> class Step, class Call>
void each_row(const Call& call, std::int64_t begin, std::int64_t end, void* scratch) {
  if (call.in.dtype == DType::float32) {
    return rows_of<Step, Floats, float>(call, begin, end, scratch);
  }
  return rows_of<Step, Doubles, double>(call, begin, end, scratch);
}

}  // namespace
}  // namespace ter

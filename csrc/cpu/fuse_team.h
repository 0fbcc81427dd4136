// What the row loops of fusion and inference share: how a block of rows is read, and which team
// works on it.
#pragma once

#include "../fuse_row.h"
#include "teams.h"

namespace ter {
namespace {

// Kept out of line, or every specialization of the loops would hold a copy of exp and log.
template <class Vector>
TER_APART void activate_all(Activation activation, double cap, std::int64_t count, Vector* x) {
  for (std::int64_t i = 0; i < count; ++i) x[i] = activate(activation, x[i], cap);
}

// What fusion asks of a team besides its loads: views are read once, into scratch memory.
template <class Base>
struct FuseTeam : Base {
  typedef typename Base::T T;
  typedef typename Base::S S;

  TER_MEMBER S stage(const FuseArguments& a, int v) {
    T* raw = this->raw_ + v * this->chunks();
    this->load_classes(a.evidence, v * a.rows, raw);
    if (a.activation != Activation::none) {
      activate_all(a.activation, a.cap, this->chunks(), raw);
      const int last = this->chunks() - 1;
      raw[last] = this->keep(raw[last], last);
    }
    if (a.mask == nullptr) return splat<S>(1);
    const S present = this->load_flag(a.mask, v * a.rows);
    for (int c = 0; c < this->chunks(); ++c) raw[c] = select(present > S{}, raw[c], T{});
    return present;
  }
  TER_MEMBER void discount(int v, const S& gain) {
    const int chunks = this->chunks();
    for (int c = 0; c < chunks; ++c) {
      this->evidence_[v * chunks + c] = this->raw_[v * chunks + c] * gain;
    }
  }
};

template <class Team>
TER_HD FuseBuffers<Team> carve(Team& team, const FuseArguments& a, void* scratch) {
  typedef typename Team::T T;
  typedef typename Team::S S;
  const std::int64_t chunks = Team::chunks_of(a.classes);
  const std::int64_t matrix = a.views * chunks;
  T* next = static_cast<T*>(scratch);
  team.classes_ = static_cast<int>(a.classes);
  team.raw_ = next;
  team.evidence_ = a.discount == nullptr ? next : next + matrix;
  FuseBuffers<Team> b;
  b.h = next + 2 * matrix;
  next += 3 * matrix;
  b.product = next;
  b.fused = next + chunks;
  b.upstream = next + 2 * chunks;
  S* scalars = reinterpret_cast<S*>(next + 3 * chunks);
  b.raw_total = scalars;
  // Without discounting a view's total is what it was.
  b.total = scalars + a.views;
  b.inverse = scalars + 2 * a.views;
  b.weight = scalars + 3 * a.views;
  b.present = scalars + 4 * a.views;
  b.discount = scalars + 5 * a.views;
  return b;
}

template <class Team>
TER_HD void place(Team& team, std::int64_t row, std::int64_t end) {
  const std::int64_t left = end - row;
  team.row = row;
  team.count = left < Team::kRows ? static_cast<int>(left) : Team::kRows;
}

// Rows [begin, end) in float64, whatever the buffers hold.
template <class Step, template <class, class> class Layout, class Storage, class Call>
void rows_wide(const Call& call, std::int64_t begin, std::int64_t end, void* scratch) {
  FuseTeam<Layout<Doubles, Storage>> team;
  const auto buffers = carve(team, call.in, scratch);
  for (std::int64_t row = begin; row < end; row += team.kRows) {
    place(team, row, end);
    Step::row(team, call, static_cast<int>(call.in.views), buffers);
  }
}

template <class Vector, class Storage>
using AnyRowPerLane = RowPerLane<Vector, Storage, 0>;

template <class Step, template <class, class> class Layout, class Base, int FixedV, class Call>
void rows_narrow(const Call& call, std::int64_t begin, std::int64_t end, void* scratch) {
  FuseTeam<Base> team;
  const auto buffers = carve(team, call.in, scratch);
  const int views = FixedV ? FixedV : static_cast<int>(call.in.views);
  for (std::int64_t row = begin; row < end; row += team.kRows) {
    place(team, row, end);
    if (!Step::row(team, call, views, buffers)) {
      rows_wide<Step, Layout, float>(call, row, row + team.count, scratch);
    }
  }
}

template <int FixedK>
using Narrow = RowPerLane<Floats, float, FixedK>;

// Step::row over rows [begin, end) of a call on float32 buffers.
template <class Step, class Call>
void rows_of_float(const Call& call, std::int64_t begin, std::int64_t end, void* scratch) {
  const FuseArguments& a = call.in;
  const bool wide =
      a.views > kNarrowViews || (a.classes > kClassesPerLane &&
                                 LanesPerRow<Floats, float>::chunks_of(a.classes) > kNarrowTerms);
  if (a.classes > kClassesPerLane) {
    if (wide) return rows_wide<Step, LanesPerRow, float>(call, begin, end, scratch);
    if (a.views == 2) {
      return rows_narrow<Step, LanesPerRow, LanesPerRow<Floats, float>, 2>(call, begin, end,
                                                                           scratch);
    }
    return rows_narrow<Step, LanesPerRow, LanesPerRow<Floats, float>, 0>(call, begin, end, scratch);
  }
  if (wide) return rows_wide<Step, AnyRowPerLane, float>(call, begin, end, scratch);
  // Fixed sizes let the compiler unroll the loops over views and classes and keep a block in
  // registers. Two modalities and a handful of emotions are what the package is for.
  if (a.views == 2) {
    switch (a.classes) {
#define TER_CASE(K) \
  case K:           \
    return rows_narrow<Step, AnyRowPerLane, Narrow<K>, 2>(call, begin, end, scratch);
      TER_CASE(6)
      TER_CASE(7)
      TER_CASE(8)
#if defined(__AVX512F__)  // where fixed sizes are also what transposing in registers needs
      TER_CASE(2)
      TER_CASE(3)
      TER_CASE(4)
      TER_CASE(5)
      TER_CASE(9)
      TER_CASE(10)
#endif
#undef TER_CASE
      default:
        break;
    }
  }
  return rows_narrow<Step, AnyRowPerLane, Narrow<0>, 0>(call, begin, end, scratch);
}

template <class Step, class Call>
void forward_rows(const Call& call, std::int64_t begin, std::int64_t end, void* scratch) {
  if (call.in.dtype == DType::float32) return rows_of_float<Step>(call, begin, end, scratch);
  if (call.in.classes > kClassesPerLane) {
    return rows_wide<Step, LanesPerRow, double>(call, begin, end, scratch);
  }
  return rows_wide<Step, AnyRowPerLane, double>(call, begin, end, scratch);
}

}  // namespace
}  // namespace ter

// The two ways a vector register is filled on the CPU, with the loads and stores each needs.
//
// Storage is the type of the buffers, Vector the one that arithmetic is done in.
#pragma once

#include "loads.h"
#include "transpose.h"

namespace ter {
namespace {

// Up to so many classes a row goes into a lane; beyond, its classes fill the lanes.
constexpr std::int64_t kClassesPerLane = 16;

// What both teams share: where they are, and their scratch memory.
template <class Vector, int FixedK>
struct TeamBase {
  typedef Vector T;
  static constexpr bool kWide = sizeof(Real<Vector>) == sizeof(double);

  std::int64_t row = 0;  // first row of the block
  int count = 0;         // rows of the block that are there
  int classes_ = 0;
  Vector* raw_ = nullptr;       // [views * chunks] before discounting
  Vector* evidence_ = nullptr;  // [views * chunks]; the same memory where nothing is discounted

  TER_MEMBER int classes() const { return FixedK ? FixedK : classes_; }
};

// A number as a buffer of Storage will hold it.
template <class Storage, class S>
TER_HD S rounded_to(S x) {
  if (sizeof(Storage) == sizeof(Real<S>)) return x;
  S rounded{};
  for (int lane = 0; lane < static_cast<int>(sizeof(S) / sizeof(Real<S>)); ++lane) {
    set(rounded, lane, static_cast<Real<S>>(static_cast<Storage>(get(x, lane))));
  }
  return rounded;
}

// A row per lane, a class per vector.
template <class Vector, class Storage_, int FixedK = 0>
struct RowPerLane : TeamBase<Vector, FixedK> {
  typedef TeamBase<Vector, FixedK> Base;
  typedef Vector T;
  typedef Vector S;
  typedef Storage_ Storage;
  static constexpr int kRows = kLanes<Vector>;
  static constexpr std::int64_t chunks_of(std::int64_t classes) { return classes; }

  TER_MEMBER int chunks() const { return this->classes(); }
  TER_MEMBER T raw(int v, int c) const { return this->raw_[v * chunks() + c]; }
  TER_MEMBER T evidence(int v, int c) const { return this->evidence_[v * chunks() + c]; }
  TER_MEMBER S sum(const T& x) const { return x; }
  TER_MEMBER S least(const T& x) const { return x; }
  TER_MEMBER T keep(const T& x, int) const { return x; }
  TER_MEMBER T index(int c) const { return splat<T>(static_cast<Real<T>>(c)); }
  TER_MEMBER void top_two(const T& best, const T& next, S& first, S& second) const {
    first = best;
    second = next;
  }
  TER_MEMBER S stored(const S& x) const { return rounded_to<Storage>(x); }
  TER_MEMBER bool everywhere(const S& x, const S& bound) const {
    const S failed = select(x > bound, S{}, splat<S>(1));
    return sum_of_lanes(failed) == 0;
  }

  TER_MEMBER void load_classes(const void* base, std::int64_t at, T* target) const {
    const int K = this->classes();
    if (base == nullptr) {
      for (int k = 0; k < K; ++k) target[k] = T{};
      return;
    }
    const Storage* source = static_cast<const Storage*>(base) + (at + this->row) * K;
    if (this->count == kRows) {
      return FixedK ? load_rows<FixedK>(source, K, target) : load_block(source, K, target);
    }
    for (int k = 0; k < K; ++k) target[k] = load_lanes<T>(source + k, K, this->count);
  }
  TER_MEMBER void store_classes(void* base, std::int64_t at, const T* source) const {
    const int K = this->classes();
    Storage* target = static_cast<Storage*>(base) + (at + this->row) * K;
    if (this->count == kRows) {
      return FixedK ? store_rows<FixedK>(source, K, target) : store_block(source, K, target);
    }
    for (int k = 0; k < K; ++k) store_lanes(source[k], K, this->count, target + k);
  }
  TER_MEMBER S load_scalar(const void* base, std::int64_t at) const {
    if (base == nullptr) return S{};
    return load_lanes<S>(static_cast<const Storage*>(base) + at + this->row, 1, this->count);
  }
  TER_MEMBER void store_scalar(void* base, std::int64_t at, const S& x) const {
    store_lanes(x, 1, this->count, static_cast<Storage*>(base) + at + this->row);
  }
  TER_MEMBER S load_flag(const bool* base, std::int64_t at) const {
    S x{};
    for (int lane = 0; lane < this->count; ++lane) {
      set(x, lane, static_cast<Real<S>>(base[at + this->row + lane]));
    }
    return x;
  }
  TER_MEMBER void store_flag(bool* base, const S& x) const {
    for (int lane = 0; lane < this->count; ++lane) base[this->row + lane] = get(x, lane) != 0;
  }
  TER_MEMBER void store_index(std::int64_t* base, const S& x) const {
    for (int lane = 0; lane < this->count; ++lane) {
      base[this->row + lane] = static_cast<std::int64_t>(get(x, lane));
    }
  }
};

// A row at a time, its classes across the lanes.
template <class Vector, class Storage_>
struct LanesPerRow : TeamBase<Vector, 0> {
  typedef Vector T;
  typedef Real<Vector> S;
  typedef Storage_ Storage;
  static constexpr int kRows = 1;
  static constexpr int kWidth = kLanes<Vector>;
  static constexpr std::int64_t chunks_of(std::int64_t classes) {
    return (classes + kWidth - 1) / kWidth;
  }

  TER_MEMBER int chunks() const { return static_cast<int>(chunks_of(this->classes_)); }
  TER_MEMBER T raw(int v, int c) const { return this->raw_[v * chunks() + c]; }
  TER_MEMBER T evidence(int v, int c) const { return this->evidence_[v * chunks() + c]; }
  TER_MEMBER int live(int c) const {
    const int left = this->classes_ - c * kWidth;
    return left < kWidth ? left : kWidth;
  }
  TER_MEMBER S sum(const T& x) const { return sum_of_lanes(x); }
  TER_MEMBER S least(const T& x) const { return least_of_lanes(x); }
  TER_MEMBER T keep(const T& x, int c) const {
    return select(index(c) < splat<T>(static_cast<S>(this->classes_)), x, T{});
  }
  TER_MEMBER T index(int c) const {
    return lane_numbers<T>(std::make_index_sequence<kWidth>()) + static_cast<S>(c * kWidth);
  }
  TER_MEMBER void top_two(const T& best, const T& next, S& first, S& second) const {
    first = get(best, 0);
    second = get(next, 0);
    for (int lane = 1; lane < kWidth; ++lane) {
      second = larger(larger(get(next, lane), second), smaller(get(best, lane), first));
      first = larger(get(best, lane), first);
    }
  }
  TER_MEMBER S stored(S x) const { return static_cast<S>(static_cast<Storage>(x)); }
  TER_MEMBER bool everywhere(S x, S bound) const { return x > bound; }

  TER_MEMBER void load_classes(const void* base, std::int64_t at, T* target) const {
    if (base == nullptr) {
      for (int c = 0; c < chunks(); ++c) target[c] = T{};
      return;
    }
    const Storage* source = static_cast<const Storage*>(base) + (at + this->row) * this->classes_;
    for (int c = 0; c < chunks(); ++c) {
      target[c] = load_lanes<T>(source + c * kWidth, 1, live(c));
    }
  }
  TER_MEMBER void store_classes(void* base, std::int64_t at, const T* source) const {
    Storage* target = static_cast<Storage*>(base) + (at + this->row) * this->classes_;
    for (int c = 0; c < chunks(); ++c) store_lanes(source[c], 1, live(c), target + c * kWidth);
  }
  TER_MEMBER S load_scalar(const void* base, std::int64_t at) const {
    if (base == nullptr) return S{};
    return static_cast<S>(static_cast<const Storage*>(base)[at + this->row]);
  }
  TER_MEMBER void store_scalar(void* base, std::int64_t at, S x) const {
    static_cast<Storage*>(base)[at + this->row] = static_cast<Storage>(x);
  }
  TER_MEMBER S load_flag(const bool* base, std::int64_t at) const {
    return static_cast<S>(base[at + this->row]);
  }
  TER_MEMBER void store_flag(bool* base, S x) const { base[this->row] = x != 0; }
  TER_MEMBER void store_index(std::int64_t* base, S x) const {
    base[this->row] = static_cast<std::int64_t>(x);
  }
};

}  // namespace
}  // namespace ter

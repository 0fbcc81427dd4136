// The two ways rows are spread over a GPU, a thread or a warp a row, with the loads and stores each
// needs. R is the type of the arithmetic.
#pragma once

#include "tile.cuh"

namespace ter {
namespace cuda {

constexpr int kLanes = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

// A row per thread.
template <class R>
struct OneThread {
  typedef R T;
  typedef R S;
  static constexpr bool kWide = sizeof(R) == sizeof(double);

  std::int64_t row = 0;
  int classes_ = 0;
  DType dtype = DType::float32;

  TER_MEMBER int classes() const { return classes_; }
  TER_MEMBER int chunks() const { return classes_; }
  TER_MEMBER int class_of(int c) const { return c; }
  TER_MEMBER T index(int c) const { return static_cast<T>(c); }
  TER_MEMBER static constexpr int width() { return 1; }
  TER_MEMBER T other(const T* x, int c, int j, int) const { return c == j ? T{} : x[j]; }
  TER_MEMBER S sum(T x) const { return x; }
  TER_MEMBER S least(T x) const { return x; }
  TER_MEMBER T keep(T x, int) const { return x; }
  TER_MEMBER bool everywhere(S x, S bound) const { return x > bound; }
  TER_MEMBER void top_two(T best, T next, S& first, S& second) const {
    first = best;
    second = next;
  }

  TER_MEMBER S stored(S x) const { return rounded(x, dtype); }
  TER_MEMBER S load_scalar(const void* base, std::int64_t at) const {
    return base == nullptr ? S{} : load_number<S>(base, at + row, dtype);
  }
  TER_MEMBER void store_scalar(void* base, std::int64_t at, S x) const {
    store_number(base, at + row, dtype, x);
  }
  TER_MEMBER void store_index(std::int64_t* base, S x) const {
    base[row] = static_cast<std::int64_t>(x);
  }
  TER_MEMBER void store_flag(bool* base, S x) const { base[row] = x != S{}; }
};

// Up to MaxK classes are held in registers; with MaxK = 0 any number, in shared memory. Rows of
// classes come from and go to the sets of a tile, in the order in which they are asked for and
// given.
template <class R, int MaxK>
struct Thread : OneThread<R> {
  int set = 0;
  const R* next_in = nullptr;
  R* next_out = nullptr;

  TER_MEMBER int bound() const { return MaxK == 0 ? this->classes_ : MaxK; }
  TER_MEMBER bool holds(int c) const { return MaxK == 0 || c < this->classes_; }
  TER_MEMBER void load_classes(const void* base, std::int64_t, R* target) {
    TER_EACH_CHUNK(*this, c) { target[c] = base == nullptr ? R{} : next_in[c]; }
    if (base != nullptr) next_in += set;
  }
  TER_MEMBER void store_classes(void*, std::int64_t, const R* source) {
    TER_EACH_CHUNK(*this, c) { next_out[c] = source[c]; }
    next_out += set;
  }
};

// Reads and writes buffers itself, far from coalesced: for the few rows that are done again.
template <class R>
struct ThreadFromBuffer : OneThread<R> {
  TER_MEMBER int bound() const { return this->classes_; }
  TER_MEMBER static constexpr bool holds(int) { return true; }
  TER_MEMBER void load_classes(const void* base, std::int64_t at, R* target) const {
    for (int c = 0; c < this->classes_; ++c) {
      const std::int64_t i = (at + this->row) * this->classes_ + c;
      target[c] = base == nullptr ? R{} : load_number<R>(base, i, this->dtype);
    }
  }
  TER_MEMBER void store_classes(void* base, std::int64_t at, const R* source) const {
    for (int c = 0; c < this->classes_; ++c) {
      store_number(base, (at + this->row) * this->classes_ + c, this->dtype, source[c]);
    }
  }
};

// A row per warp: lane l has the classes l, l + 32, ... Arrays of chunks lie in shared memory, each
// lane's own an odd number of elements from the next, so that lanes meet different banks and share
// nothing.
template <class R>
struct Warp {
  typedef R T;
  typedef R S;
  static constexpr bool kWide = sizeof(R) == sizeof(double);

  std::int64_t row = 0;
  int classes_ = 0;
  int chunks_ = 0;
  int lane = 0;
  DType dtype = DType::float32;

  static __host__ __device__ constexpr int chunks_of(std::int64_t classes) {
    return static_cast<int>((classes + kLanes - 1) / kLanes);
  }
  // Elements of an array of chunks, for all lanes.
  static __host__ __device__ constexpr int array_of(int chunks) { return kLanes * (chunks | 1); }

  TER_MEMBER int classes() const { return classes_; }
  TER_MEMBER int chunks() const { return chunks_; }
  TER_MEMBER int bound() const { return chunks_; }
  TER_MEMBER static constexpr bool holds(int) { return true; }
  TER_MEMBER int class_of(int c) const { return c * kLanes + lane; }
  TER_MEMBER T index(int c) const { return static_cast<T>(class_of(c)); }
  TER_MEMBER static constexpr int width() { return kLanes; }
  TER_MEMBER T other(const T* x, int c, int j, int of) const {
    const T theirs = __shfl_sync(kAllLanes, x[j], of);
    return c == j && lane == of ? T{} : theirs;
  }
  // In the same order whatever the device; every lane gets the same bits.
  TER_MEMBER S sum(T x) const {
#pragma unroll
    for (int away = kLanes / 2; away > 0; away /= 2) x += __shfl_xor_sync(kAllLanes, x, away);
    return x;
  }
  TER_MEMBER S least(T x) const {
#pragma unroll
    for (int away = kLanes / 2; away > 0; away /= 2) {
      x = smaller(__shfl_xor_sync(kAllLanes, x, away), x);
    }
    return x;
  }
  TER_MEMBER T keep(T x, int c) const { return class_of(c) < classes_ ? x : T{}; }
  TER_MEMBER bool everywhere(S x, S bound) const { return x > bound; }
  TER_MEMBER void top_two(T best, T next, S& first, S& second) const {
#pragma unroll
    for (int away = kLanes / 2; away > 0; away /= 2) {
      const T their_best = __shfl_xor_sync(kAllLanes, best, away);
      const T their_next = __shfl_xor_sync(kAllLanes, next, away);
      next = larger(smaller(best, their_best), larger(next, their_next));
      best = larger(best, their_best);
    }
    first = best;
    second = next;
  }

  // Array `i` of this lane.
  template <class E>
  TER_MEMBER E* array(E* memory, int i) const {
    return memory + i * array_of(chunks_) + lane * (chunks_ | 1);
  }

  // Loads are asked for eight at a time, so that a lane waits for memory once and not for each.
  template <class E>
  TER_MEMBER void load_classes(const void* base, std::int64_t at, E* target) const {
    constexpr int kFlight = 8;
    const std::int64_t first = (at + row) * classes_;
    for (int begin = 0; begin < chunks_; begin += kFlight) {
      E x[kFlight];
#pragma unroll
      for (int i = 0; i < kFlight; ++i) {
        const int k = class_of(begin + i);
        x[i] = base != nullptr && k < classes_ ? load_number<E>(base, first + k, dtype) : E{};
      }
#pragma unroll
      for (int i = 0; i < kFlight; ++i) {
        if (begin + i < chunks_) target[begin + i] = x[i];
      }
    }
  }
  TER_MEMBER void store_classes(void* base, std::int64_t at, const T* source) const {
    const std::int64_t first = (at + row) * classes_;
    for (int c = 0; c < chunks_; ++c) {
      const int k = class_of(c);
      if (k < classes_) store_number(base, first + k, dtype, source[c]);
    }
  }
  TER_MEMBER S load_scalar(const void* base, std::int64_t at) const {
    return base == nullptr ? S{} : load_number<S>(base, at + row, dtype);
  }
  TER_MEMBER void store_scalar(void* base, std::int64_t at, S x) const {
    if (lane == 0) store_number(base, at + row, dtype, x);
  }
  TER_MEMBER S stored(S x) const { return rounded(x, dtype); }
  TER_MEMBER void store_index(std::int64_t* base, S x) const {
    if (lane == 0) base[row] = static_cast<std::int64_t>(x);
  }
  TER_MEMBER void store_flag(bool* base, S x) const {
    if (lane == 0) base[row] = x != S{};
  }
};

}  // namespace cuda
}  // namespace ter

// Numbers as buffers hold them, and whole rows between buffers and shared memory.
//
// What a buffer holds is known at run time only: every thread of a call takes the same branch, and
// a kernel for each type would only make the build longer.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "../kernels.h"
#include "../lanes.h"

namespace ter {
namespace cuda {

#define TER_DEVICE static __device__ __forceinline__
#define TER_MEMBER __device__ __forceinline__

TER_DEVICE unsigned char* shared_memory() {
  extern __shared__ __align__(16) unsigned char ter_shared_memory[];
  return ter_shared_memory;
}

__host__ __device__ constexpr int bytes_of(DType dtype) {
  return dtype == DType::float64 ? 8 : dtype == DType::float32 ? 4 : 2;
}

TER_DEVICE float from_bfloat16(std::uint16_t half) {
  const std::uint32_t word = static_cast<std::uint32_t>(half) << 16;
  float x;
  std::memcpy(&x, &word, sizeof x);
  return x;
}

// To the nearest, ties to even; NaN stays NaN.
TER_DEVICE std::uint16_t to_bfloat16(float x) {
  std::uint32_t word;
  std::memcpy(&word, &x, sizeof x);
  if (x != x) return 0x7fc0;
  return static_cast<std::uint16_t>((word + 0x7fffu + ((word >> 16) & 1u)) >> 16);
}

TER_DEVICE float from_half(DType dtype, std::uint16_t half) {
  return dtype == DType::bfloat16 ? from_bfloat16(half) : __half2float(__ushort_as_half(half));
}

TER_DEVICE std::uint16_t to_half(DType dtype, float x) {
  return dtype == DType::bfloat16 ? to_bfloat16(x) : __half_as_ushort(__float2half_rn(x));
}

template <class R>
TER_DEVICE R load_number(const void* base, std::int64_t i, DType dtype) {
  if (dtype == DType::float32) return static_cast<R>(static_cast<const float*>(base)[i]);
  if constexpr (sizeof(R) == sizeof(double)) {
    if (dtype == DType::float64) return static_cast<const double*>(base)[i];
  }
  return static_cast<R>(from_half(dtype, static_cast<const std::uint16_t*>(base)[i]));
}

template <class R>
TER_DEVICE void store_number(void* base, std::int64_t i, DType dtype, R x) {
  if (dtype == DType::float32) {
    static_cast<float*>(base)[i] = static_cast<float>(x);
    return;
  }
  if constexpr (sizeof(R) == sizeof(double)) {
    if (dtype == DType::float64) {
      static_cast<double*>(base)[i] = x;
      return;
    }
  }
  static_cast<std::uint16_t*>(base)[i] = to_half(dtype, static_cast<float>(x));
}

// x as a buffer would hold it.
template <class R>
TER_DEVICE R rounded(R x, DType dtype) {
  if (dtype == DType::float64) return x;
  const float narrow = static_cast<float>(x);
  if (dtype == DType::float32) return static_cast<R>(narrow);
  return static_cast<R>(from_half(dtype, to_half(dtype, narrow)));
}

// The rows of a block in shared memory: sets of as many rows as the block has threads. Rows are an
// odd number of elements apart, so that the threads of a warp meet different banks.
template <class E>
struct Tile {
  E* memory;
  int classes;
  int stride;
  int set;         // elements from a set to the next
  unsigned magic;  // of a division by classes; 0 where rows need no padding

  static __host__ __device__ constexpr int stride_of(int classes) { return classes | 1; }

  TER_MEMBER explicit Tile(std::int64_t classes_)
      : memory(reinterpret_cast<E*>(shared_memory())),
        classes(static_cast<int>(classes_)),
        stride(stride_of(classes)),
        set(stride * static_cast<int>(blockDim.x)),
        magic(stride == classes ? 0 : (1u << 20) / static_cast<unsigned>(classes) + 1) {}

  // Element i of rows that lie one after another. The division is exact below 2^20 / classes.
  TER_MEMBER int at(int i) const {
    return i + static_cast<int>((static_cast<unsigned>(i) * magic) >> 20);
  }
};

constexpr int kWordBytes = 16;

// How a run of elements falls into aligned words, and what is left at its ends.
struct Run {
  int head;  // elements before the first word
  int words;
  int loose;  // elements outside words

  TER_MEMBER Run(const void* first, int count, int size) {
    const int misplaced = static_cast<int>(reinterpret_cast<std::uintptr_t>(first) % kWordBytes);
    const int before = misplaced == 0 ? 0 : (kWordBytes - misplaced) / size;
    head = before < count ? before : count;
    words = (count - head) * size / kWordBytes;
    loose = count - words * (kWordBytes / size);
  }
  TER_MEMBER int loose_element(int i, int size) const {
    return i < head ? i : i + words * (kWordBytes / size);
  }
};

template <class Element, class E>
TER_DEVICE void unpack(const uint4& word, int first, const Tile<E>& tile, E* set) {
  constexpr int kCount = kWordBytes / sizeof(Element);
  Element x[kCount];
  std::memcpy(x, &word, sizeof x);
#pragma unroll
  for (int i = 0; i < kCount; ++i) set[tile.at(first + i)] = static_cast<E>(x[i]);
}

template <class E>
TER_DEVICE void unpack_halves(const uint4& word, int first, DType dtype, const Tile<E>& tile,
                              E* set) {
  std::uint16_t x[8];
  std::memcpy(x, &word, sizeof x);
#pragma unroll
  for (int i = 0; i < 8; ++i) set[tile.at(first + i)] = static_cast<E>(from_half(dtype, x[i]));
}

template <class E>
TER_DEVICE void unpack(const uint4& word, int first, DType dtype, const Tile<E>& tile, E* set) {
  if (dtype == DType::float32) return unpack<float>(word, first, tile, set);
  if constexpr (sizeof(E) == sizeof(double)) {
    if (dtype == DType::float64) return unpack<double>(word, first, tile, set);
  }
  unpack_halves(word, first, dtype, tile, set);
}

template <class Element, class E>
TER_DEVICE uint4 pack(int first, const Tile<E>& tile, const E* set) {
  constexpr int kCount = kWordBytes / sizeof(Element);
  Element x[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) x[i] = static_cast<Element>(set[tile.at(first + i)]);
  uint4 word;
  std::memcpy(&word, x, sizeof x);
  return word;
}

template <class E>
TER_DEVICE uint4 pack(int first, DType dtype, const Tile<E>& tile, const E* set) {
  if (dtype == DType::float32) return pack<float>(first, tile, set);
  if constexpr (sizeof(E) == sizeof(double)) {
    if (dtype == DType::float64) return pack<double>(first, tile, set);
  }
  std::uint16_t x[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    x[i] = to_half(dtype, static_cast<float>(set[tile.at(first + i)]));
  }
  uint4 word;
  std::memcpy(&word, x, sizeof x);
  return word;
}

// The block copies rows [row, row + count) of a buffer to a set, all threads together. Words are
// fetched a few at a time, so that a thread waits for memory once and not for each.
template <class E>
TER_DEVICE void copy_in(const void* base, std::int64_t row, int count, DType dtype,
                        const Tile<E>& tile, E* set) {
  constexpr int kFlight = 4;
  const int size = bytes_of(dtype);
  const unsigned char* source = static_cast<const unsigned char*>(base) + row * tile.classes * size;
  const Run run(source, count * tile.classes, size);
  const int threads = static_cast<int>(blockDim.x);
  for (int i = static_cast<int>(threadIdx.x); i < run.loose; i += threads) {
    const int element = run.loose_element(i, size);
    set[tile.at(element)] = load_number<E>(source, element, dtype);
  }
  const uint4* words = reinterpret_cast<const uint4*>(source + run.head * size);
  const int per_word = kWordBytes / size;
  for (int i = static_cast<int>(threadIdx.x); i < run.words; i += kFlight * threads) {
    uint4 word[kFlight];
#pragma unroll
    for (int j = 0; j < kFlight; ++j) {
      // Read once: not worth a place in the caches.
      if (i + j * threads < run.words) word[j] = __ldcs(words + i + j * threads);
    }
#pragma unroll
    for (int j = 0; j < kFlight; ++j) {
      const int at = i + j * threads;
      if (at < run.words) unpack(word[j], run.head + at * per_word, dtype, tile, set);
    }
  }
}

template <class E>
TER_DEVICE void copy_out(const E* set, const Tile<E>& tile, DType dtype, std::int64_t row,
                         int count, void* base) {
  const int size = bytes_of(dtype);
  unsigned char* target = static_cast<unsigned char*>(base) + row * tile.classes * size;
  const Run run(target, count * tile.classes, size);
  const int threads = static_cast<int>(blockDim.x);
  for (int i = static_cast<int>(threadIdx.x); i < run.loose; i += threads) {
    const int element = run.loose_element(i, size);
    store_number(target, element, dtype, set[tile.at(element)]);
  }
  uint4* words = reinterpret_cast<uint4*>(target + run.head * size);
  const int per_word = kWordBytes / size;
  for (int i = static_cast<int>(threadIdx.x); i < run.words; i += threads) {
    __stcs(words + i, pack(run.head + i * per_word, dtype, tile, set));
  }
}

}  // namespace cuda
}  // namespace ter

// How rows become blocks: which rows a thread or a warp takes in turn, and what a launch asks for.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "check.cuh"
#include "teams.cuh"

namespace ter {
namespace cuda {

constexpr int kBlock = 128;
// What a block gets without asking for more; several blocks of this share a multiprocessor.
constexpr std::size_t kSharedBytes = 48 * 1024;
// Up to so many classes a thread takes a row; beyond, a warp does.
constexpr int kClassesPerThread = 16;

// ---- a row per thread

// The rows that a block takes, as many at a time as it has threads.
struct Turn {
  std::int64_t first;
  std::int64_t step;

  TER_MEMBER Turn()
      : first(static_cast<std::int64_t>(blockIdx.x) * blockDim.x),
        step(static_cast<std::int64_t>(gridDim.x) * blockDim.x) {}
  TER_MEMBER int count(std::int64_t rows) const {
    const std::int64_t left = rows - first;
    return left < blockDim.x ? static_cast<int>(left) : static_cast<int>(blockDim.x);
  }
};

// ---- a row per warp

// A call, and how many bytes of shared memory each warp has for it.
template <class Call>
struct ByWarp {
  Call call;
  std::size_t bytes;
};

TER_DEVICE int warp_of_block() { return static_cast<int>(threadIdx.x) / kLanes; }

TER_DEVICE std::int64_t first_row() {
  return static_cast<std::int64_t>(blockIdx.x) * (blockDim.x / kLanes) + warp_of_block();
}

TER_DEVICE std::int64_t row_step() {
  return static_cast<std::int64_t>(gridDim.x) * (blockDim.x / kLanes);
}

template <class E>
TER_DEVICE E* memory_of_warp(std::size_t bytes) {
  return reinterpret_cast<E*>(shared_memory() + warp_of_block() * bytes);
}

template <class Team, class Arguments>
TER_DEVICE void place(Team& team, const Arguments& a) {
  team.classes_ = static_cast<int>(a.classes);
  team.dtype = a.dtype;
}

template <class Team, class Arguments>
TER_DEVICE void place_warp(Team& team, const Arguments& a) {
  place(team, a);
  team.chunks_ = Team::chunks_of(a.classes);
  team.lane = static_cast<int>(threadIdx.x) % kLanes;
}

// ---- launches

// The largest of 128, 64 and 32 threads whose memory fits in a block's; 0 where none does.
inline int threads_that_fit(std::size_t bytes_per_thread) {
  for (int threads = kBlock; threads >= kLanes; threads /= 2) {
    if (static_cast<std::size_t>(threads) * bytes_per_thread <= kSharedBytes) return threads;
  }
  return 0;
}

constexpr std::int64_t tiles_of(std::int64_t rows, std::int64_t rows_per_tile) {
  return (rows + rows_per_tile - 1) / rows_per_tile;
}

// Bytes of so many arrays of chunks.
inline std::size_t warp_bytes(std::int64_t arrays, std::size_t element, std::int64_t classes) {
  const int array = Warp<float>::array_of(Warp<float>::chunks_of(classes));
  return static_cast<std::size_t>(arrays * array) * element;
}

// Where a call runs.
struct Target {
  int device;
  void* stream;

  // False, with nothing done, where not even a warp's rows fit in shared memory.
  template <class Call>
  bool by_thread(void (*kernel)(Call), const Call& call, std::int64_t sets,
                 std::size_t element) const {
    const int stride = Tile<float>::stride_of(static_cast<int>(call.in.classes));
    const std::size_t bytes = static_cast<std::size_t>(sets * stride) * element;
    const int threads = threads_that_fit(bytes);
    if (threads == 0) return false;
    launch(kernel, call, tiles_of(call.in.rows, threads), threads,
           static_cast<std::size_t>(threads) * bytes, device, stream);
    return true;
  }

  // The same.
  template <class Call>
  bool by_warp(void (*kernel)(ByWarp<Call>), const Call& call, std::size_t bytes) const {
    const int threads = threads_that_fit(bytes / kLanes);
    if (threads == 0) return false;
    const int warps = threads / kLanes;
    launch(kernel, ByWarp<Call>{call, bytes}, tiles_of(call.in.rows, warps), threads,
           static_cast<std::size_t>(warps) * bytes, device, stream);
    return true;
  }
};

}  // namespace cuda
}  // namespace ter

// As much of CUDA as the kernels of csrc/cuda use, for a C++ compiler: kernels run on the host, one
// block at a time, each CUDA thread on a stack of its own (see emulator.cpp).
//
// Include it before anything else (-include cuda_runtime.h): a CUDA compiler defines these names
// from the first line on.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

#define __CUDACC__ 1
#define __host__
#define __device__
#define __global__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __shared__
#define __align__(bytes) __attribute__((aligned(bytes)))

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  explicit dim3(unsigned x_) : x(x_) {}
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

// Set before a thread goes on.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

namespace emulator {

enum class Collective : int { exchange, warp_barrier };

void wait_for_block();
// Hands `word` to the other lanes and returns that of lane `source`.
std::uint64_t exchange(unsigned mask, std::uint64_t word, unsigned source, Collective kind);
void run(unsigned blocks, unsigned threads, std::size_t shared_bytes,
         const std::function<void()>& thread);
[[noreturn]] void fail(const char* what);

template <class T>
T* aligned(T* address) {
  if (reinterpret_cast<std::uintptr_t>(address) % sizeof(T) != 0) fail("misaligned address");
  return address;
}

}  // namespace emulator

inline void __syncthreads() { emulator::wait_for_block(); }

inline void __syncwarp(unsigned mask = 0xffffffffu) {
  emulator::exchange(mask, 0, threadIdx.x % 32, emulator::Collective::warp_barrier);
}

template <class T>
T __shfl_sync(unsigned mask, T x, int lane) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t), "one register pair at most");
  std::uint64_t word = 0;
  std::memcpy(&word, &x, sizeof x);
  word =
      emulator::exchange(mask, word, static_cast<unsigned>(lane), emulator::Collective::exchange);
  std::memcpy(&x, &word, sizeof x);
  return x;
}

template <class T>
T __shfl_xor_sync(unsigned mask, T x, int lane_mask) {
  return __shfl_sync(mask, x, static_cast<int>(threadIdx.x % 32) ^ lane_mask);
}

template <class T>
T __ldcs(const T* address) {
  return *emulator::aligned(address);
}
template <class T>
void __stcs(T* address, T x) {
  *emulator::aligned(address) = x;
}

// ---- the runtime

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorInvalidDeviceFunction = 98,
  cudaErrorInvalidDevice = 101,
  cudaErrorNoKernelImageForDevice = 209
};
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount };
struct cudaFuncAttributes {};
typedef struct Stream* cudaStream_t;
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes;
  cudaStream_t stream;
};

const char* cudaGetErrorName(cudaError_t status);
const char* cudaGetErrorString(cudaError_t status);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);

template <class Kernel>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Kernel, int, std::size_t) {
  *blocks = 2;
  return cudaSuccess;
}
template <class Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes*, Kernel) {
  return cudaSuccess;
}

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               const Arguments&... arguments) {
  // What a GPU would refuse.
  if (config->blockDim.x == 0 || config->blockDim.x > 1024 || config->gridDim.x == 0 ||
      config->dynamicSmemBytes > 48 * 1024) {
    return cudaErrorInvalidValue;
  }
  emulator::run(config->gridDim.x, config->blockDim.x, config->dynamicSmemBytes,
                [&] { kernel(arguments...); });
  return cudaSuccess;
}

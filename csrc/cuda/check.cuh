// Errors of the CUDA runtime as exceptions, the device of a call, and launches that fill it.
//
// Nothing here waits for the device or allocates on it, so that calls can be captured in graphs.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace ter {
namespace cuda {

// "80;86;90" of a build by CMake.
#if defined(TER_FAST_CUDA_ARCHITECTURES)
constexpr const char* kArchitectures = TER_FAST_CUDA_ARCHITECTURES;
#else
constexpr const char* kArchitectures = "that nvcc was told";
#endif

inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  // Whoever asks the runtime for its last error next should not be given this one.
  static_cast<void>(cudaGetLastError());
  std::string text = std::string(what) + " failed: " + cudaGetErrorName(status) + " (" +
                     cudaGetErrorString(status) + ")";
  if (status == cudaErrorNoKernelImageForDevice) {
    text += std::string("; ter_fast has kernels for the compute capabilities ") + kArchitectures +
            ": reinstall it with -C cmake.define.CMAKE_CUDA_ARCHITECTURES=native on this machine";
  }
  throw std::runtime_error(text);
}

#define TER_CUDA_CHECK(call) ::ter::cuda::check((call), #call)

// Makes a device the current one, and leaves the one that was as it goes.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device) {
    TER_CUDA_CHECK(cudaGetDevice(&previous_));
    if (previous_ == device) return;
    TER_CUDA_CHECK(cudaSetDevice(device));
    changed_ = true;
  }
  ~DeviceGuard() {
    if (changed_) static_cast<void>(cudaSetDevice(previous_));
  }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int previous_ = 0;
  bool changed_ = false;
};

inline int multiprocessors(int device) {
  constexpr int kRemembered = 64;
  static std::atomic<int> known[kRemembered];
  const bool remembers = device < kRemembered;
  int count = remembers ? known[device].load(std::memory_order_relaxed) : 0;
  if (count == 0) {
    TER_CUDA_CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
    if (remembers) known[device].store(count, std::memory_order_relaxed);
  }
  return count;
}

// Runs `kernel` on blocks that stride over `tiles` pieces of work: as many blocks as the device
// holds at a time, or one a piece where there are fewer.
template <class Call>
void launch(void (*kernel)(Call), const Call& call, std::int64_t tiles, int threads,
            std::size_t shared_bytes, int device, void* stream) {
  if (tiles == 0) return;
  const DeviceGuard guard(device);
  std::int64_t blocks = multiprocessors(device);
  if (tiles > blocks) {
    int resident = 0;
    TER_CUDA_CHECK(
        cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, threads, shared_bytes));
    blocks *= std::max(resident, 1);
  }
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(std::min(tiles, blocks)));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream);
  TER_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, call));
}

}  // namespace cuda
}  // namespace ter

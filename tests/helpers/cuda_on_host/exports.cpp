// The launchers for ctypes: null, or what went wrong.
#include <exception>
#include <string>

#include "kernels.h"

namespace emulator {
void seed(std::uint64_t value);
}

namespace {
std::string message;

template <class Call>
const char* guarded(void (*launcher)(const Call&, int, void*), const Call* call, int device) {
  try {
    launcher(*call, device, nullptr);
    return nullptr;
  } catch (const std::exception& error) {
    message = error.what();
    return message.c_str();
  }
}
}  // namespace

// Reverses shared memory, with or without the barrier that this takes.
namespace ter {
namespace cuda {
extern unsigned char ter_shared_memory[];
}
}  // namespace ter

namespace {
void reverse(bool* wrong, bool waits) {
  unsigned char* const shared = ter::cuda::ter_shared_memory;
  shared[threadIdx.x] = static_cast<unsigned char>(threadIdx.x);
  if (waits) __syncthreads();
  const unsigned other = blockDim.x - 1 - threadIdx.x;
  if (shared[other] != other) *wrong = true;
}

bool goes_wrong(std::uint64_t seed, bool waits) {
  emulator::seed(seed);
  bool wrong = false;
  emulator::run(1, 64, 64, [&] { reverse(&wrong, waits); });
  return wrong;
}
}  // namespace

#define TER_EXPORT(name, Call)                                \
  const char* name(const ter::Call* call, int device) {       \
    return guarded<ter::Call>(ter::cuda::name, call, device); \
  }

extern "C" {
void seed(std::uint64_t value) { emulator::seed(value); }
int current_device() {
  int device = -1;
  cudaGetDevice(&device);
  return device;
}
bool misses_barrier(std::uint64_t seed) { return goes_wrong(seed, false); }
bool holds_barrier(std::uint64_t seed) { return goes_wrong(seed, true); }
bool supports(int device) { return ter::cuda::supports(device); }
TER_EXPORT(fuse_forward, FuseForward)
TER_EXPORT(fuse_backward, FuseBackward)
TER_EXPORT(predict, Predict)
TER_EXPORT(loss_forward, LossForward)
TER_EXPORT(uncertainty_forward, UncertaintyForward)
TER_EXPORT(uncertainty_backward, UncertaintyBackward)
}

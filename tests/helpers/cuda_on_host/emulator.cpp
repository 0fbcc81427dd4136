// Runs CUDA threads on the host: each is a fiber, and whichever may go on does so in random order.
//
// What a GPU does only sometimes shows here every time: shared memory starts as NaN and ends
// exactly where the launch said (under AddressSanitizer), a missing barrier meets a random order,
// and threads that wait at different barriers, or for a lane that has left, are an error.
#include <ucontext.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace ter {
namespace cuda {
constexpr std::size_t kMostShared = 48 * 1024;
alignas(16) unsigned char ter_shared_memory[kMostShared];
}  // namespace cuda
}  // namespace ter

namespace emulator {
namespace {

constexpr unsigned kLanes = 32;
constexpr std::size_t kStackBytes = 256 * 1024;

struct Fiber {
  enum class State { ready, at_block_barrier, in_warp, done };
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  State state;
  unsigned exchanges;  // that this thread has taken part in
  void* fake_stack;
};

struct Warp {
  // Two rounds: a lane may enter the next exchange before another has read the last.
  std::uint64_t words[2][kLanes];
  unsigned arrived;
  Collective kind;
};

std::mt19937_64 generator;
std::vector<Fiber> fibers;
std::vector<Warp> warps;
ucontext_t scheduler;
unsigned current;
const std::function<void()>* body;

// AddressSanitizer has to be told about stacks; elsewhere these are nothing.
#if defined(__SANITIZE_ADDRESS__)
const void* scheduler_stack;
std::size_t scheduler_size;
void* scheduler_fake;
void leave_for(void** keep, const void* stack, std::size_t size) {
  __sanitizer_start_switch_fiber(keep, stack, size);
}
void arrive(void* kept, const void** from, std::size_t* size) {
  __sanitizer_finish_switch_fiber(kept, from, size);
}
void set_shared_end(std::size_t bytes) {
  using ter::cuda::ter_shared_memory;
  __asan_unpoison_memory_region(ter_shared_memory, ter::cuda::kMostShared);
  __asan_poison_memory_region(ter_shared_memory + bytes, ter::cuda::kMostShared - bytes);
}
#else
const void* const scheduler_stack = nullptr;
constexpr std::size_t scheduler_size = 0;
void* scheduler_fake;
void leave_for(void**, const void*, std::size_t) {}
template <class From, class Size>
void arrive(void*, From, Size) {}
void set_shared_end(std::size_t) {}
#endif

void suspend(Fiber::State state) {
  Fiber& fiber = fibers[current];
  fiber.state = state;
  const bool leaves = state == Fiber::State::done;
  leave_for(leaves ? nullptr : &fiber.fake_stack, scheduler_stack, scheduler_size);
  swapcontext(&fiber.context, &scheduler);
  arrive(fiber.fake_stack, &scheduler_stack, &scheduler_size);
}

void enter() {
  arrive(nullptr, &scheduler_stack, &scheduler_size);
  (*body)();
  suspend(Fiber::State::done);
}

void resume(unsigned thread) {
  current = thread;
  threadIdx.x = thread;
  leave_for(&scheduler_fake, fibers[thread].stack.get(), kStackBytes);
  swapcontext(&scheduler, &fibers[thread].context);
  arrive(scheduler_fake, static_cast<const void**>(nullptr), static_cast<std::size_t*>(nullptr));
}

void start_block(unsigned threads) {
  while (fibers.size() < threads) fibers.emplace_back();
  warps.assign((threads + kLanes - 1) / kLanes, Warp{});
  for (unsigned i = 0; i < threads; ++i) {
    Fiber& fiber = fibers[i];
    fiber.state = Fiber::State::ready;
    fiber.exchanges = 0;
    fiber.fake_stack = nullptr;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, enter, 0);
  }
}

void run_block(unsigned threads) {
  start_block(threads);
  std::vector<unsigned> ready;
  for (;;) {
    ready.clear();
    unsigned waiting = 0;
    unsigned done = 0;
    for (unsigned i = 0; i < threads; ++i) {
      if (fibers[i].state == Fiber::State::ready) ready.push_back(i);
      if (fibers[i].state == Fiber::State::at_block_barrier) ++waiting;
      if (fibers[i].state == Fiber::State::done) ++done;
    }
    if (done == threads) return;
    if (waiting == threads) {
      for (unsigned i = 0; i < threads; ++i) fibers[i].state = Fiber::State::ready;
      continue;
    }
    if (ready.empty()) fail("threads of a block wait at different barriers");
    std::shuffle(ready.begin(), ready.end(), generator);
    for (unsigned i : ready) resume(i);
  }
}

}  // namespace

void fail(const char* what) {
  // From a fiber there is no way to unwind to the test.
  std::fprintf(stderr, "cuda_on_host: %s (block %u, thread %u)\n", what, blockIdx.x, threadIdx.x);
  std::abort();
}

void wait_for_block() { suspend(Fiber::State::at_block_barrier); }

std::uint64_t exchange(unsigned mask, std::uint64_t word, unsigned source, Collective kind) {
  const unsigned lane = current % kLanes;
  const unsigned first = current - lane;
  Warp& warp = warps[current / kLanes];
  Fiber& fiber = fibers[current];
  if (mask != 0xffffffffu) fail("only whole warps exchange here");
  if (warp.arrived == 0) warp.kind = kind;
  if (warp.kind != kind) fail("lanes of a warp take part in different exchanges");
  std::uint64_t* const words = warp.words[fiber.exchanges++ % 2];
  words[lane] = word;
  if (++warp.arrived < kLanes) {
    suspend(Fiber::State::in_warp);
  } else {
    warp.arrived = 0;
    for (unsigned i = first; i < first + kLanes; ++i) fibers[i].state = Fiber::State::ready;
  }
  return words[source];
}

void run(unsigned blocks, unsigned threads, std::size_t shared_bytes,
         const std::function<void()>& thread) {
  body = &thread;
  gridDim.x = blocks;
  blockDim.x = threads;
  std::vector<unsigned> order(blocks);
  for (unsigned i = 0; i < blocks; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), generator);
  for (unsigned block : order) {
    blockIdx.x = block;
    set_shared_end(shared_bytes);
    std::memset(ter::cuda::ter_shared_memory, 0xff, shared_bytes);
    run_block(threads);
  }
  set_shared_end(ter::cuda::kMostShared);
}

void seed(std::uint64_t value) { generator.seed(value); }

}  // namespace emulator

namespace {
int device = 0;
}  // namespace

const char* cudaGetErrorName(cudaError_t status) {
  return status == cudaErrorInvalidDevice ? "cudaErrorInvalidDevice" : "cudaErrorInvalidValue";
}
const char* cudaGetErrorString(cudaError_t) { return "as the host has it"; }
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaGetDevice(int* current_device) {
  *current_device = device;
  return cudaSuccess;
}
// Two devices, so that a guard has something to come back to.
cudaError_t cudaSetDevice(int wanted) {
  if (wanted < 0 || wanted > 1) return cudaErrorInvalidDevice;
  device = wanted;
  return cudaSuccess;
}
// Few enough that blocks have to stride.
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = 3;
  return cudaSuccess;
}

// Fusion on the CPU: which row loops to run, and on how many threads.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "rows.h"

namespace ter {
namespace {

// Starting a thread costs tens of microseconds, about what this many elements take.
constexpr std::int64_t kElementsPerThread = 1 << 17;
// Rows handed out at a time, so that a core shared with other work does not hold up the rest.
constexpr std::int64_t kElementsPerChunk = 1 << 15;
// A multiple of every lane count.
constexpr std::int64_t kRowStep = 64;

const RowLoops& chosen() {
#if defined(TER_X86_VARIANTS)
  static const RowLoops& loops = []() -> const RowLoops& {
    // For tests and for comparing machines; it can only lower what the processor offers.
    const char* wish = std::getenv("TER_FAST_INSTRUCTION_SET");
    const auto allowed = [&](const RowLoops& candidate) {
      return wish == nullptr || std::strcmp(wish, candidate.name) == 0;
    };
    __builtin_cpu_init();
    if (allowed(rows_avx512) && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw")) {
      return rows_avx512;
    }
    if (allowed(rows_avx2) && __builtin_cpu_supports("avx2")) return rows_avx2;
    return rows_baseline;
  }();
  return loops;
#else
  return rows_baseline;
#endif
}

struct AlignedDelete {
  void operator()(double* memory) const { ::operator delete[](memory, std::align_val_t(64)); }
};
using Scratch = std::unique_ptr<double[], AlignedDelete>;

Scratch allocate(std::size_t count) {
  return Scratch(
      static_cast<double*>(::operator new[](count * sizeof(double), std::align_val_t(64))));
}

// Runs loop(begin, end, scratch) over all rows. Threads live for one call only: none is left behind
// for a fork to lose, and a small call starts none.
template <class Loop>
void run(const FuseArguments& a, int threads, Loop loop) {
  const std::size_t scratch = chosen().scratch_size(a.views, a.classes);
  const std::int64_t per_row = a.views * a.classes;
  const std::int64_t work = a.rows * per_row;
  const std::int64_t useful = std::min<std::int64_t>(threads, work / kElementsPerThread);
  if (useful < 2) {
    loop(0, a.rows, allocate(scratch).get());
    return;
  }

  const std::int64_t wanted = std::max<std::int64_t>(kElementsPerChunk / per_row, 1);
  const std::int64_t chunk = (wanted + kRowStep - 1) / kRowStep * kRowStep;
  std::vector<Scratch> memory;
  for (std::int64_t i = 0; i < useful; ++i) memory.push_back(allocate(scratch));
  std::atomic<std::int64_t> next{0};
  auto work_on = [&](double* buffer) {
    for (;;) {
      const std::int64_t begin = next.fetch_add(chunk);
      if (begin >= a.rows) return;
      loop(begin, std::min(begin + chunk, a.rows), buffer);
    }
  };
  std::vector<std::thread> workers;
  workers.reserve(static_cast<std::size_t>(useful));
  try {
    for (std::int64_t i = 1; i < useful; ++i) {
      workers.emplace_back(work_on, memory[static_cast<std::size_t>(i)].get());
    }
  } catch (const std::system_error&) {
    // A process at its thread limit does the work with the threads it got.
  }
  work_on(memory[0].get());
  for (std::thread& worker : workers) worker.join();
}

}  // namespace

void fuse_forward(const FuseArguments& a, const FuseResults& results, int threads) {
  run(a, threads, [&](std::int64_t begin, std::int64_t end, double* scratch) {
    chosen().forward(a, results, begin, end, scratch);
  });
}

void fuse_backward(const FuseArguments& a, const FuseGradients& gradients, int threads) {
  run(a, threads, [&](std::int64_t begin, std::int64_t end, double* scratch) {
    chosen().backward(a, gradients, begin, end, scratch);
  });
}

const char* instruction_set() { return chosen().name; }

}  // namespace ter

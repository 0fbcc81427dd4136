#include "dispatch.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <thread>
#include <vector>

namespace ter {
namespace {

// Starting a thread costs tens of microseconds, about what this many elements take.
constexpr std::int64_t kElementsPerThread = 1 << 17;
// Rows handed out at a time, so that a core shared with other work does not hold up the rest.
constexpr std::int64_t kElementsPerChunk = 1 << 15;
// A multiple of every lane count.
constexpr std::int64_t kRowStep = 64;
constexpr std::align_val_t kAlignment{64};

constexpr const char* kNames[] = {"baseline", "AVX2", "AVX-512"};

InstructionSet best_here() {
#if defined(TER_X86_VARIANTS)
  // For tests and for comparing machines; it can only lower what the processor offers.
  const char* wish = std::getenv("TER_FAST_INSTRUCTION_SET");
  const auto allowed = [&](InstructionSet set) {
    return wish == nullptr || std::strcmp(wish, kNames[static_cast<int>(set)]) == 0;
  };
  __builtin_cpu_init();
  if (allowed(InstructionSet::avx512) && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw")) {
    return InstructionSet::avx512;
  }
  if (allowed(InstructionSet::avx2) && __builtin_cpu_supports("avx2")) return InstructionSet::avx2;
#endif
  return InstructionSet::baseline;
}

struct AlignedDelete {
  void operator()(std::byte* memory) const { ::operator delete(memory, kAlignment); }
};
using Scratch = std::unique_ptr<std::byte, AlignedDelete>;

Scratch allocate(std::size_t bytes) {
  return Scratch(static_cast<std::byte*>(::operator new(bytes, kAlignment)));
}

// Calls of a few rows and classes, where the allocation would be felt.
constexpr std::size_t kStackBytes = 16384;

}  // namespace

InstructionSet chosen() {
  static const InstructionSet set = best_here();
  return set;
}

const char* instruction_set() { return kNames[static_cast<int>(chosen())]; }

void run_rows(std::int64_t rows, std::int64_t elements, std::size_t scratch_bytes, int threads,
              const std::function<void(std::int64_t, std::int64_t, void*)>& work) {
  if (rows == 0) return;
  elements = std::max<std::int64_t>(elements, 1);
  const std::int64_t useful = std::min<std::int64_t>(threads, rows * elements / kElementsPerThread);
  if (useful < 2) {
    if (scratch_bytes <= kStackBytes) {
      alignas(64) std::byte memory[kStackBytes];
      work(0, rows, memory);
    } else {
      work(0, rows, allocate(scratch_bytes).get());
    }
    return;
  }

  const std::int64_t wanted = std::max<std::int64_t>(kElementsPerChunk / elements, 1);
  const std::int64_t chunk = (wanted + kRowStep - 1) / kRowStep * kRowStep;
  std::vector<Scratch> memory;
  for (std::int64_t i = 0; i < useful; ++i) memory.push_back(allocate(scratch_bytes));
  std::atomic<std::int64_t> next{0};
  auto take = [&](std::byte* buffer) {
    for (;;) {
      const std::int64_t begin = next.fetch_add(chunk);
      if (begin >= rows) return;
      work(begin, std::min(begin + chunk, rows), buffer);
    }
  };
  std::vector<std::thread> workers;
  workers.reserve(static_cast<std::size_t>(useful));
  try {
    for (std::int64_t i = 1; i < useful; ++i) {
      workers.emplace_back(take, memory[static_cast<std::size_t>(i)].get());
    }
  } catch (const std::exception&) {
    // A process at its limit of threads or memory does the work with the threads it got.
  }
  take(memory[0].get());
  for (std::thread& worker : workers) worker.join();
}

}  // namespace ter

// Which row loop to run, and on how many threads.
#pragma once

#include <cstdint>
#include <functional>

#include "rows.h"

namespace ter {

enum class InstructionSet : int { baseline = 0, avx2 = 1, avx512 = 2 };

InstructionSet chosen();

template <class Call>
Loop<Call> best(Loop<Call> baseline, Loop<Call> avx2, Loop<Call> avx512) {
  const Loop<Call> loops[] = {baseline, avx2, avx512};
  return loops[static_cast<int>(chosen())];
}

// Runs work(begin, end, scratch) over all rows, on at most `threads` threads, as many as pay:
// `elements` says how much work a row is, in units of reading and combining one number. Threads
// live for one call only: none is left behind for a fork to lose, and a small call starts none.
void run_rows(std::int64_t rows, std::int64_t elements, std::size_t scratch_bytes, int threads,
              const std::function<void(std::int64_t, std::int64_t, void*)>& work);

template <class Call>
void run_rows(const Call& call, Loop<Call> loop, std::int64_t rows, std::int64_t elements,
              std::size_t scratch_bytes, int threads) {
  run_rows(rows, elements, scratch_bytes, threads,
           [&](std::int64_t begin, std::int64_t end, void* scratch) {
             loop(call, begin, end, scratch);
           });
}

}  // namespace ter

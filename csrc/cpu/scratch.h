// Scratch memory of the row loops, counted in vectors of 64 bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ter {

constexpr std::size_t kVectorBytes = 64;  // the widest

// Three (V, K) and three (K,) arrays of classes, six (V,) of views; a class takes a vector at most.
constexpr std::size_t fuse_scratch_bytes(std::int64_t views, std::int64_t classes) {
  return static_cast<std::size_t>(3 * views * classes + 3 * classes + 6 * views) * kVectorBytes;
}

// Arrays of a row's classes: a vector each up to 16, with no more than a vector's waste beyond.
constexpr std::size_t row_scratch_bytes(std::int64_t arrays, std::int64_t classes) {
  return static_cast<std::size_t>(arrays) *
         (16 * kVectorBytes + static_cast<std::size_t>(classes) * sizeof(double));
}

}  // namespace ter

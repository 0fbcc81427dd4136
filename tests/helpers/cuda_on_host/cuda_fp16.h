// Half precision by the compiler's own type.
#pragma once

#include <cstdint>
#include <cstring>

struct __half {
  std::uint16_t bits;
};

inline __half __ushort_as_half(std::uint16_t bits) { return {bits}; }
inline std::uint16_t __half_as_ushort(__half x) { return x.bits; }

inline float __half2float(__half x) {
  _Float16 half;
  std::memcpy(&half, &x.bits, sizeof half);
  return static_cast<float>(half);
}

inline __half __float2half_rn(float x) {
  const _Float16 half = static_cast<_Float16>(x);
  __half result;
  std::memcpy(&result.bits, &half, sizeof half);
  return result;
}

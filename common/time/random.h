#pragma once

#include <array>
#include <cstdint>

#include "common/time/clock.h"

namespace banyan {

// xoshiro256**: small, fast, and the same sequence for the same seed on every machine. Not for
// secrets. Thread-compatible.
class SeededRandom : public Random {
 public:
  explicit SeededRandom(uint64_t seed);
  explicit SeededRandom(const std::array<uint64_t, 4>& state);
  uint64_t Next() override;

 private:
  std::array<uint64_t, 4> s_;
};

// A generator per thread, seeded from the kernel. Thread-safe; all objects are alike.
class SystemRandom : public Random {
 public:
  uint64_t Next() override;
};

}  // namespace banyan

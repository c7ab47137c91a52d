#include "common/time/random.h"

#include <bit>

#include <sys/random.h>
#include <time.h>

namespace banyan {
namespace {

uint64_t SplitMix(uint64_t& x) {
  uint64_t z = (x += 0x9E3779B97F4A7C15ull);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

SeededRandom MakeThreadGenerator() {
  std::array<uint64_t, 4> state{};
  if (getrandom(state.data(), sizeof state, 0) == static_cast<ssize_t>(sizeof state)) {
    return SeededRandom(state);
  }
  // Only on kernels without getrandom: the address tells threads apart, the clock tells runs apart.
  timespec ts{};
  clock_gettime(CLOCK_REALTIME, &ts);
  return SeededRandom(reinterpret_cast<uintptr_t>(&state) ^
                      (static_cast<uint64_t>(ts.tv_sec) << 32) ^ static_cast<uint64_t>(ts.tv_nsec));
}

}  // namespace

SeededRandom::SeededRandom(uint64_t seed) {
  for (uint64_t& word : s_) word = SplitMix(seed);
}

SeededRandom::SeededRandom(const std::array<uint64_t, 4>& state) : s_(state) {
  // All zero is the one state that xoshiro never leaves.
  if ((s_[0] | s_[1] | s_[2] | s_[3]) == 0) s_[0] = 1;
}

uint64_t SeededRandom::Next() {
  const uint64_t result = std::rotl(s_[1] * 5, 7) * 9;
  const uint64_t t = s_[1] << 17;
  s_[2] ^= s_[0];
  s_[3] ^= s_[1];
  s_[1] ^= s_[2];
  s_[0] ^= s_[3];
  s_[2] ^= t;
  s_[3] = std::rotl(s_[3], 45);
  return result;
}

uint64_t SystemRandom::Next() {
  thread_local SeededRandom generator = MakeThreadGenerator();
  return generator.Next();
}

}  // namespace banyan

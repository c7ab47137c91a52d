#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

// Memory for the small objects that processes are made of and send each other: coroutine frames,
// signals, payloads, what a start needs. Made on one thread and freed on another all day long, and
// by the hundred thousand when a supervisor starts its children.
//
// Sizes are rounded up to 16 bytes; there is no header. Beyond kSlabMax it is the plain operator
// new.
//
//   thread cache    a list a size: no lock. Holds at most twice kSlabBatch bytes a size; what is
//                   too much goes to the centre in one go, and all of it when the thread ends.
//   centre          spans of 64 KiB, each of one size; a lock a size.
//   regions         2 MiB from the kernel, in huge pages where it grants them, so that fresh
//                   memory is one fault rather than 512.
//
// Memory goes back: a span whose objects are all free serves any other size, a region whose spans
// are all free is unmapped, save one that is kept for the next need.
//
// Under a sanitizer everything is the plain operator new, so that every use of freed memory and
// every leak is seen.

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BANYAN_SLABS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define BANYAN_SLABS 0
#endif
#endif
#ifndef BANYAN_SLABS
#define BANYAN_SLABS 1
#endif

namespace banyan {

inline constexpr size_t kSlabMax = 2048;         // the largest object, bytes
inline constexpr size_t kSlabBatch = 16 * 1024;  // what moves between a thread and the centre

namespace slab_internal {

inline constexpr size_t kGrain = 16;
inline constexpr size_t kClasses = kSlabMax / kGrain + 1;

struct Free {
  Free* next;
};
constexpr size_t ClassOf(size_t bytes) { return bytes == 0 ? 1 : (bytes + kGrain - 1) / kGrain; }
constexpr uint32_t BatchOf(size_t size_class) {
  return static_cast<uint32_t>(kSlabBatch / (size_class * kGrain));
}

struct Bin {
  Free* first = nullptr;
  uint32_t count = 0;
  uint32_t limit = 0;  // at which the surplus is drained; 0 before the thread's first and after its
                       // last use
};
struct Cache {
  Bin bins[kClasses];
  bool ended = false;
};
extern constinit thread_local Cache cache;

void* Refill(size_t size_class);
void Drain(size_t size_class) noexcept;

// The slabs themselves, whatever the build.
inline void* New(size_t bytes) {
  const size_t c = ClassOf(bytes);
  Bin& bin = cache.bins[c];
  Free* p = bin.first;
  if (!p) [[unlikely]]
    return Refill(c);
  bin.first = p->next;
  --bin.count;
  return p;
}
inline void Delete(void* memory, size_t bytes) noexcept {
  const size_t c = ClassOf(bytes);
  Bin& bin = cache.bins[c];
  Free* p = static_cast<Free*>(memory);
  p->next = bin.first;
  bin.first = p;
  if (++bin.count >= bin.limit) [[unlikely]]
    Drain(c);
}

// For tests: bytes of the regions that are mapped.
size_t MappedBytes();

}  // namespace slab_internal

// Aligned to 16 bytes. Throws std::bad_alloc.
inline void* SlabNew(size_t bytes) {
  if (!BANYAN_SLABS || bytes > kSlabMax) return ::operator new(bytes);
  return slab_internal::New(bytes);
}
// `bytes` as given to SlabNew.
inline void SlabDelete(void* memory, size_t bytes) noexcept {
  if (!BANYAN_SLABS || bytes > kSlabMax) return ::operator delete(memory);
  slab_internal::Delete(memory, bytes);
}

// A base: objects made by `new` are in slabs.
struct InSlab {
  static void* operator new(size_t bytes) { return SlabNew(bytes); }
  static void operator delete(void* memory, size_t bytes) noexcept { SlabDelete(memory, bytes); }
};

// For std::allocate_shared.
template <typename T>
struct SlabAllocator {
  using value_type = T;
  SlabAllocator() = default;
  template <typename U>
  SlabAllocator(const SlabAllocator<U>&) {}  // NOLINT: rebinding
  T* allocate(size_t n) { return static_cast<T*>(SlabNew(n * sizeof(T))); }
  void deallocate(T* p, size_t n) noexcept { SlabDelete(p, n * sizeof(T)); }
  template <typename U>
  bool operator==(const SlabAllocator<U>&) const {
    return true;
  }
};

}  // namespace banyan

#include "common/base/slab.h"

#include <algorithm>
#include <utility>

#include <sys/mman.h>

#include "common/base/mutex.h"

namespace banyan::slab_internal {

constinit thread_local Cache cache;

namespace {

constexpr size_t kRegion = 2 << 20;
constexpr size_t kSpan = 64 << 10;
constexpr size_t kSpans = kRegion / kSpan;

struct Region;

// A list whose elements know their place in it.
template <typename T>
struct List {
  T* first = nullptr;
  void Add(T* t) {
    t->prev = nullptr;
    t->next = first;
    if (first) first->prev = t;
    first = t;
  }
  void Remove(T* t) {
    (t->prev ? t->prev->next : first) = t->next;
    if (t->next) t->next->prev = t->prev;
  }
};

// 64 KiB for objects of one size. What was never given out is not touched either: `fresh` is where
// it begins.
struct Span {
  Span* prev = nullptr;
  Span* next = nullptr;
  Free* free = nullptr;
  std::byte* fresh = nullptr;
  std::byte* end = nullptr;
  uint32_t used = 0;
  uint32_t size = 0;  // of an object
  bool full() const { return !free && fresh + size > end; }
};

// The descriptors are together at the front, at the cost of the first span.
struct Region {
  Region* prev = nullptr;
  Region* next = nullptr;
  uint32_t free_spans = ~uint32_t{0};
  Span spans[kSpans];

  static Region* Of(void* p) {
    return reinterpret_cast<Region*>(reinterpret_cast<uintptr_t>(p) & ~uintptr_t{kRegion - 1});
  }
  Span* SpanOf(void* p) {
    return &spans[(reinterpret_cast<std::byte*>(p) - reinterpret_cast<std::byte*>(this)) / kSpan];
  }
};
static_assert(kSpans == 32, "free_spans has a bit for each");

// All of the following is constant-initialised and never destroyed: objects are freed until the
// very end of the program.

struct Regions {
  Mutex mu;
  List<Region> with_free ABSL_GUARDED_BY(mu);  // at least one free span
  size_t mapped ABSL_GUARDED_BY(mu) = 0;
  size_t empty ABSL_GUARDED_BY(mu) = 0;  // all spans free

  Span* Take(size_t size);
  void Give(Span* span);
  static Region* Map();
};
struct Class {
  Mutex mu;
  List<Span> usable ABSL_GUARDED_BY(mu);  // not full
};
constinit Regions regions;
constinit Class classes[kClasses];

Region* Regions::Map() {
  // Twice as much, to cut an aligned one out of it.
  void* raw =
      mmap(nullptr, 2 * kRegion, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) throw std::bad_alloc();
  auto* begin = static_cast<std::byte*>(raw);
  auto* aligned = reinterpret_cast<std::byte*>(Region::Of(begin + kRegion - 1));
  if (aligned > begin) munmap(begin, aligned - begin);
  std::byte* const end = begin + 2 * kRegion;
  if (end > aligned + kRegion) munmap(aligned + kRegion, end - (aligned + kRegion));
  madvise(aligned, kRegion, MADV_HUGEPAGE);  // no more than a wish
  return new (aligned) Region();
}

Span* Regions::Take(size_t size) {
  MutexLock lock(&mu);
  Region* r = with_free.first;
  if (!r) {
    r = Map();
    with_free.Add(r);
    mapped += kRegion;
    ++empty;
  }
  if (r->free_spans == ~uint32_t{0}) --empty;
  const int i = __builtin_ctz(r->free_spans);
  r->free_spans &= ~(uint32_t{1} << i);
  if (r->free_spans == 0) with_free.Remove(r);
  Span* span = &r->spans[i];
  auto* begin = reinterpret_cast<std::byte*>(r) + i * kSpan;
  *span = Span();
  span->end = begin + kSpan;
  span->fresh = i == 0 ? begin + (sizeof(Region) + kGrain - 1) / kGrain * kGrain : begin;
  span->size = static_cast<uint32_t>(size);
  return span;
}

void Regions::Give(Span* span) {
  Region* gone = nullptr;
  {
    MutexLock lock(&mu);
    Region* r = Region::Of(span);
    if (r->free_spans == 0) with_free.Add(r);
    r->free_spans |= uint32_t{1} << (span - r->spans);
    if (r->free_spans == ~uint32_t{0} && ++empty > 1) {
      with_free.Remove(r);
      mapped -= kRegion;
      --empty;
      gone = r;
    }
  }
  if (gone) munmap(gone, kRegion);
}

// Opens a thread's cache at its first use, and empties it when the thread ends. From then on, in
// the destructors of other thread-locals, everything goes straight to the centre.
struct ThreadCache {
  ThreadCache() {
    for (size_t c = 1; c < kClasses; ++c) cache.bins[c].limit = 2 * BatchOf(c);
  }
  ~ThreadCache() {
    cache.ended = true;
    for (size_t c = 1; c < kClasses; ++c) {
      cache.bins[c].limit = 0;
      Drain(c);
    }
  }
};

void Open() {
  if (cache.ended) return;
  static thread_local ThreadCache cached;
  (void)cached;
}

}  // namespace

void* Refill(size_t size_class) {
  const size_t size = size_class * kGrain;
  Bin& bin = cache.bins[size_class];
  if (bin.limit == 0) Open();
  uint32_t want = bin.limit == 0 ? 1 : BatchOf(size_class);
  Class& c = classes[size_class];
  MutexLock lock(&c.mu);
  while (want > 0) {
    Span* span = c.usable.first;
    if (!span) {
      if (bin.first) break;  // enough for now
      span = regions.Take(size);
      c.usable.Add(span);
    }
    for (; want > 0 && span->free; --want, ++bin.count, ++span->used) {
      Free* p = span->free;
      span->free = p->next;
      p->next = bin.first;
      bin.first = p;
    }
    // Those of the highest address first, so that they come out in the order of their addresses.
    const auto fresh = std::min<size_t>(want, static_cast<size_t>(span->end - span->fresh) / size);
    for (size_t i = fresh; i > 0; --i) {
      auto* p = reinterpret_cast<Free*>(span->fresh + (i - 1) * size);
      p->next = bin.first;
      bin.first = p;
    }
    span->fresh += fresh * size;
    span->used += static_cast<uint32_t>(fresh);
    bin.count += static_cast<uint32_t>(fresh);
    want -= static_cast<uint32_t>(fresh);
    if (span->full()) c.usable.Remove(span);
  }
  Free* p = bin.first;
  bin.first = p->next;
  --bin.count;
  return p;
}

void Drain(size_t size_class) noexcept {
  Bin& bin = cache.bins[size_class];
  if (bin.limit == 0) Open();
  if (bin.count < bin.limit) return;
  const uint32_t keep = bin.limit == 0 ? 0 : BatchOf(size_class);
  // What was freed last is warm: it stays.
  Free** tail = &bin.first;
  for (uint32_t i = 0; i < keep; ++i) tail = &(*tail)->next;
  Free* surplus = std::exchange(*tail, nullptr);
  bin.count = keep;
  Class& c = classes[size_class];
  MutexLock lock(&c.mu);
  while (surplus) {
    Free* p = std::exchange(surplus, surplus->next);
    Span* span = Region::Of(p)->SpanOf(p);
    const bool was_full = span->full();
    p->next = span->free;
    span->free = p;
    --span->used;
    if (span->used == 0) {
      if (!was_full) c.usable.Remove(span);
      regions.Give(span);
    } else if (was_full) {
      c.usable.Add(span);
    }
  }
}

size_t MappedBytes() {
  MutexLock lock(&regions.mu);
  return regions.mapped;
}

}  // namespace banyan::slab_internal

#include "common/base/slab.h"

#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

// The slabs themselves, also where a sanitizer's build bypasses them.

namespace banyan::slab_internal {
namespace {

struct Piece {
  unsigned char* at;
  size_t size;
  unsigned char mark;
};

Piece Take(size_t size, unsigned char mark) {
  auto* at = static_cast<unsigned char*>(New(size));
  std::memset(at, mark, size);
  return {at, size, mark};
}

bool Intact(const Piece& p) {
  for (size_t i = 0; i < p.size; ++i) {
    if (p.at[i] != p.mark) return false;
  }
  return true;
}

TEST(Slab, ObjectsDoNotOverlapAndAreAligned) {
  std::mt19937 random(1);
  std::vector<Piece> live;
  for (int i = 0; i < 50'000; ++i) {
    if (live.empty() || random() % 5 != 0) {
      live.push_back(Take(1 + random() % kSlabMax, static_cast<unsigned char>(random())));
      ASSERT_EQ(reinterpret_cast<uintptr_t>(live.back().at) % 16, 0u);
    } else {
      std::swap(live[random() % live.size()], live.back());
      ASSERT_TRUE(Intact(live.back()));
      Delete(live.back().at, live.back().size);
      live.pop_back();
    }
  }
  for (const Piece& p : live) {
    EXPECT_TRUE(Intact(p));
    Delete(p.at, p.size);
  }
}

TEST(Slab, WhatIsFreedIsUsedAgain) {
  void* first = New(100);
  Delete(first, 100);
  EXPECT_EQ(New(97), first);  // of the same 16 bytes
  Delete(first, 97);
}

TEST(Slab, MemoryGoesBack) {
  // In threads, whose caches are empty in the end.
  const size_t before = MappedBytes();
  for (size_t size : {size_t{48}, size_t{400}, kSlabMax}) {
    std::vector<void*> all(64 * 1024 * 1024 / size);
    std::thread([&] {
      for (void*& p : all) p = New(size);
    }).join();
    EXPECT_GE(MappedBytes(), all.size() * size);
    std::thread([&] {
      for (void* p : all) Delete(p, size);
    }).join();
    EXPECT_LE(MappedBytes(), before + (size_t{1} << 21));  // one region is kept
  }
}

TEST(Slab, TheCacheOfAThreadThatEndsServesOthers) {
  const size_t before = MappedBytes();
  for (int i = 0; i < 1000; ++i) {
    std::thread([] {
      void* p = New(1000);
      Delete(p, 1000);
    }).join();
  }
  EXPECT_LE(MappedBytes(), before + (size_t{1} << 21));
}

TEST(Slab, MadeHereFreedThere) {
  constexpr int kThreads = 4;
  std::vector<std::vector<Piece>> pieces(kThreads);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      // What it takes is checked and freed by another thread, in the next round.
      threads.emplace_back([&mine = pieces[(t + round) % kThreads], t, round] {
        for (const Piece& p : mine) {
          ASSERT_TRUE(Intact(p));
          Delete(p.at, p.size);
        }
        mine.clear();
        std::mt19937 random(t * 100 + round);
        for (int i = 0; i < 3000; ++i) {
          mine.push_back(Take(16 + random() % 300, static_cast<unsigned char>(random())));
        }
      });
    }
    for (std::thread& t : threads) t.join();
  }
  for (auto& some : pieces) {
    for (const Piece& p : some) Delete(p.at, p.size);
  }
}

TEST(Slab, SharedObjects) {
  auto p = std::allocate_shared<std::vector<int>>(SlabAllocator<std::vector<int>>(), 3, 7);
  std::weak_ptr<std::vector<int>> weak = p;
  EXPECT_EQ((*p)[2], 7);
  p = nullptr;
  EXPECT_TRUE(weak.expired());
}

}  // namespace
}  // namespace banyan::slab_internal

#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"

#include "common/base/slab.h"

namespace banyan {

// A map that is usually tiny: up to kSmall entries in a plain vector (one of them in place), a hash
// map beyond. Most processes have one link and no monitor; a supervisor has 100,000.
template <typename K, typename V>
class SmallMap : public InSlab {
 public:
  static constexpr size_t kSmall = 8;

  V* Find(const K& key) {
    if (big_) {
      auto it = big_->find(key);
      return it == big_->end() ? nullptr : &it->second;
    }
    for (auto& [k, v] : small_) {
      if (k == key) return &v;
    }
    return nullptr;
  }
  // The entry for `key`, made if there was none.
  V& operator[](const K& key) {
    if (V* found = Find(key)) return *found;
    if (!big_ && small_.size() < kSmall) return small_.emplace_back(key, V()).second;
    if (!big_) {
      big_ = std::make_unique<Big>();
      for (auto& [k, v] : small_) big_->emplace(k, std::move(v));
      small_.clear();
    }
    return (*big_)[key];
  }
  bool Erase(const K& key) {
    if (big_) return big_->erase(key) > 0;
    for (auto it = small_.begin(); it != small_.end(); ++it) {
      if (it->first == key) {
        if (it != small_.end() - 1) *it = std::move(small_.back());
        small_.pop_back();
        return true;
      }
    }
    return false;
  }
  bool empty() const { return big_ ? big_->empty() : small_.empty(); }
  size_t size() const { return big_ ? big_->size() : small_.size(); }
  void Clear() {
    big_.reset();
    small_.clear();
    small_.shrink_to_fit();
  }
  // fn(key, value&). Must not change the map. In an order that is the same in every process: what
  // comes of it, such as the signals of a process's end, must be.
  template <typename F>
  void ForEach(F fn) {
    if (big_) {
      std::vector<std::pair<const K, V>*> entries;
      entries.reserve(big_->size());
      for (auto& entry : *big_) entries.push_back(&entry);
      std::sort(entries.begin(), entries.end(),
                [](const auto* a, const auto* b) { return a->first < b->first; });
      for (auto* entry : entries) fn(entry->first, entry->second);
    } else {
      for (auto& [k, v] : small_) fn(k, v);
    }
  }

 private:
  using Big = absl::flat_hash_map<K, V>;
  absl::InlinedVector<std::pair<K, V>, 1> small_;
  std::unique_ptr<Big> big_;
};

// A SmallMap that takes one word until something is put in. The first entry's memory is kept for
// the next.
template <typename K, typename V>
class LazyMap {
 public:
  V* Find(const K& key) const { return map_ ? map_->Find(key) : nullptr; }
  V& operator[](const K& key) {
    if (!map_) map_ = std::make_unique<SmallMap<K, V>>();
    return (*map_)[key];
  }
  bool Erase(const K& key) { return map_ && map_->Erase(key); }
  bool empty() const { return !map_ || map_->empty(); }
  size_t size() const { return map_ ? map_->size() : 0; }
  template <typename F>
  void ForEach(F fn) const {
    if (map_) map_->ForEach(fn);
  }

 private:
  std::unique_ptr<SmallMap<K, V>> map_;
};

}  // namespace banyan

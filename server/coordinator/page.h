#pragma once

#include <algorithm>
#include <map>
#include <string>

#include "server/coordinator/coordinator.h"

namespace banyan {

inline size_t PageSize(const PageArgs& page) {
  if (page.page_size <= 0) return 100;
  return static_cast<size_t>(std::min(page.page_size, 1000));
}

// Hands the entries of `all` after the page's token to `add` until a page is full; `add` returns
// whether it took the entry. Returns the next page's token: the last key looked at, or empty.
template <typename V, typename Add>
std::string TakePage(const std::map<std::string, V>& all, const PageArgs& page, Add add) {
  size_t taken = 0;
  std::string last;
  for (auto it = page.token.empty() ? all.begin() : all.upper_bound(page.token); it != all.end();
       ++it) {
    if (taken == PageSize(page)) return last;
    if (add(it->first, it->second)) ++taken;
    last = it->first;
  }
  return "";
}

}  // namespace banyan

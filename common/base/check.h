#pragma once

#include <cstdio>
#include <cstdlib>

// Ends the process when an invariant is broken, in release builds too: a node that no longer
// knows its own state must restart cleanly rather than go on. Never for bad input.
#define BANYAN_CHECK(cond)                                                              \
  do {                                                                                  \
    if (!(cond)) [[unlikely]] {                                                         \
      std::fprintf(stderr, "%s:%d: invariant broken: %s\n", __FILE__, __LINE__, #cond); \
      std::abort();                                                                     \
    }                                                                                   \
  } while (false)

#define BANYAN_RETURN_IF_ERROR(expr)                 \
  do {                                               \
    absl::Status banyan_status_ = (expr);            \
    if (!banyan_status_.ok()) return banyan_status_; \
  } while (false)

#define BANYAN_CONCAT_INNER(a, b) a##b
#define BANYAN_CONCAT(a, b) BANYAN_CONCAT_INNER(a, b)

// BANYAN_ASSIGN_OR_RETURN(auto x, F()): x is F()'s value, or the function returns F()'s status.
#define BANYAN_ASSIGN_OR_RETURN(lhs, expr) \
  BANYAN_ASSIGN_OR_RETURN_INNER(BANYAN_CONCAT(banyan_or_, __LINE__), lhs, expr)
#define BANYAN_ASSIGN_OR_RETURN_INNER(tmp, lhs, expr) \
  auto tmp = (expr);                                  \
  if (!tmp.ok()) return tmp.status();                 \
  lhs = *std::move(tmp)

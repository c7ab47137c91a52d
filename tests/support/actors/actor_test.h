#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/time/virtual_time.h"
#include "server/behaviours/module.h"
#include "server/behaviours/sys.h"
#include "server/runtime/runtime.h"

// In a coroutine, where ASSERT_ cannot be used: fails the test and leaves the test process.
#define CO_ASSERT(cond)                  \
  do {                                   \
    if (!(cond)) {                       \
      ADD_FAILURE() << "not: " << #cond; \
      co_return;                         \
    }                                    \
  } while (false)

namespace banyan {

// Local payloads for tests: a word, and its reading back ("" for anything else).
Payload Word(std::string text);
std::string TextOf(const Payload& payload);

inline void PrintTo(const ExitReason& reason, std::ostream* os) { *os << reason.ToString(); }

// A runtime in one thread on virtual time, and test bodies that run as a process T in it.
class ActorTest : public testing::Test {
 protected:
  ActorTest();
  ~ActorTest() override;

  // Runs `body` as process T to its end, in at most an hour of virtual time.
  void Run(std::function<Task<void>(Self&)> body) { RunAs(true, std::move(body)); }
  // The same with a T that does not trap exits; a T that dies of one is a failure unless `may_die`.
  void RunAs(bool trap_exit, std::function<Task<void>(Self&)> body, bool may_die = false);

  // 'EXIT' of `from`, waited for at most `limit`; nullopt: none came.
  static Task<std::optional<ExitReason>> ExitOf(Self& t, Pid from,
                                                absl::Duration limit = absl::Seconds(60));
  // The same for whatever else is in the mailbox.
  static Task<std::optional<Message>> Next(Self& t, absl::Duration limit = absl::Seconds(60));
  // DOWN of `pid`: monitors it and waits.
  static Task<ExitReason> DownOf(Self& t, Pid pid);

  VirtualTime time_;
  Modules modules_;
  Host host_;
  std::unique_ptr<Runtime> rt_;
};

}  // namespace banyan

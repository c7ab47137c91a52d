#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/base/named_pid.h"
#include "common/time/virtual_time.h"
#include "server/runtime/runtime.h"

namespace banyan {

// A process of a signal test: it writes down every message that it gets, and does what the test
// tells it to.
struct Probe {
  Pid pid;
  std::shared_ptr<std::vector<std::string>> log = std::make_shared<std::vector<std::string>>();
  std::optional<ExitReason> down;  // how it ended, by a monitor of the test's
};
using ProbePtr = std::shared_ptr<Probe>;
using Script = std::function<Task<void>(Self&)>;
struct End {  // tells a probe to return this
  ExitReason reason;
};

class SignalsTest : public ::testing::Test {
 protected:
  SignalsTest() : rt_({.clock = &time_, .timers = &time_, .workers = 0, .executor = &time_}) {}

  static std::string Show(const Message& m) {
    switch (m.kind()) {
      case SignalKind::kExit:
      case SignalKind::kLinkExit:
        return "EXIT " + std::to_string(m.from().slot()) + " " + m.reason().ToString();
      case SignalKind::kDown:
        return "DOWN " + (NameOf(m.from()) ? *NameOf(m.from()) : std::to_string(m.from().slot())) +
               " " + m.reason().ToString();
      case SignalKind::kTimeout:
        return "timeout";
      default:
        return std::string(m.payload().bytes());
    }
  }
  static std::string Exited(const Pid& p, const std::string& reason) {
    return "EXIT " + std::to_string(p.slot()) + " " + reason;
  }
  static std::string Downed(const Pid& p, const std::string& reason) {
    return "DOWN " + std::to_string(p.slot()) + " " + reason;
  }
  static std::string Downed(const std::string& name, const std::string& reason) {
    return "DOWN " + name + " " + reason;
  }
  static Payload Text(std::string s) { return Payload::Any("test/text", std::move(s)); }

  ProcessMain ProbeMain(std::shared_ptr<std::vector<std::string>> log) {
    return [log](Self& self) -> Task<ExitReason> {
      for (;;) {
        std::optional<Message> m = co_await self.Receive();
        if (const Script* script = m->payload().As<Script>()) {
          co_await (*script)(self);
        } else if (const End* end = m->payload().As<End>()) {
          co_return end->reason;
        } else {
          log->push_back(Show(*m));
        }
      }
    };
  }
  ProbePtr Start(bool trap = false, std::string name = {}) {
    auto p = std::make_shared<Probe>();
    p->pid = *rt_.Spawn(ProbeMain(p->log), {.trap_exit = trap, .name = std::move(name)});
    Watch(p);
    return p;
  }
  void Watch(const ProbePtr& p) {
    rt_.Monitor(p->pid, [p](Pid, ExitReason r) { p->down = r; });
    Settle();
  }
  void Settle() { time_.RunUntilIdle(); }
  // Runs `script` in the process, to its end or to where it waits.
  void Do(const ProbePtr& p, Script script) {
    rt_.Send(p->pid, Payload::Local(std::move(script)));
    Settle();
  }
  void Finish(const ProbePtr& p, ExitReason r) {
    rt_.Send(p->pid, Payload::Local(End{std::move(r)}));
    Settle();
  }
  void ExitFromOutside(const ProbePtr& p, ExitReason r) {
    rt_.Exit(p->pid, std::move(r));
    Settle();
  }
  bool Alive(const ProbePtr& p) { return rt_.IsAlive(p->pid); }
  void Link(const ProbePtr& a, const ProbePtr& b) {
    Do(a, [to = b->pid](Self& self) -> Task<void> {
      self.Link(to);
      co_return;
    });
  }
  size_t LinkCount(const ProbePtr& p) {
    size_t n = 0;
    rt_.Inspect(p->pid, [&](std::optional<ProcessSnapshot> s) { n = s ? s->links.size() : 0; });
    Settle();
    return n;
  }

  VirtualTime time_;
  Runtime rt_;
};

inline ExitReason Err(std::string type) { return ExitReason::Error(std::move(type)); }

}  // namespace banyan

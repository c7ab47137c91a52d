#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/time/random.h"
#include "common/time/virtual_time.h"
#include "server/cluster/peer_router.h"
#include "server/runtime/runtime.h"
#include "tests/support/sim_transport.h"
#include "tests/support/text.h"

namespace banyan::testing {

// A node's life: its runtime and router. Destroying it is a crash of its process.
struct TestNode {
  TestNode(VirtualTime* time, SimNetwork* network, std::string address, wire::NodeIdentity id,
           PeerOptions options)
      : id(id),
        address(address),
        random(id.node_id),
        transport(std::make_unique<SimTransport>(network, address, time)),
        runtime(Runtime::Options{.clock = time, .timers = time, .workers = 0, .executor = time}),
        router(std::make_unique<PeerRouter>(
            PeerRouter::Deps{&runtime, time, time, time, &random, transport.get()}, options,
            PeerRouter::Hooks{
                [this](Pid pid, uint64_t) { stale.push_back(pid); },
                [this](wire::NodeIdentity peer, bool up) { sessions.emplace_back(peer, up); },
                [this](Pid pid, uint64_t version) { return held.contains({pid, version}); },
                [this](const std::string& name) -> std::optional<wire::NodeIdentity> {
                  auto it = node_names.find(name);
                  if (it == node_names.end()) return std::nullopt;
                  return it->second;
                }})) {
    runtime.SetRouter(router.get());
    router->Listen();
    router->SetIdentity("cluster", id);
  }
  ~TestNode() {
    router.reset();
    runtime.SetRouter(nullptr);
    runtime.Shutdown();
  }

  Pid Export(Pid pid) const { return wire::Export(pid, id); }

  wire::NodeIdentity id;
  std::string address;
  SeededRandom random;
  std::vector<Pid> stale;
  std::vector<std::pair<wire::NodeIdentity, bool>> sessions;
  std::map<std::string, wire::NodeIdentity> node_names;  // as the view has them
  std::set<std::pair<Pid, uint64_t>> held;               // cluster names, by number
  std::unique_ptr<SimTransport> transport;
  Runtime runtime;
  std::unique_ptr<PeerRouter> router;
};

// What a test process has seen, in words: "msg x", "EXIT PID reason", "DOWN REF reason".
struct Log {
  std::vector<std::string> lines;
  Pid pid;
  ExitReason end;
  bool ended = false;
  size_t Count(const std::string& prefix) const {
    size_t n = 0;
    for (const std::string& l : lines) n += l.starts_with(prefix);
    return n;
  }
};

// Code to run inside a scripted process, sent to it as a local payload.
using Script = std::function<Task<void>(Self&)>;

// Logs what it gets, answers calls with "re:" and what was asked, runs scripts, ends on "exit
// TYPE".
inline Task<ExitReason> ScriptedBody(Self& self, std::shared_ptr<Log> log) {
  for (;;) {
    Message m = *(co_await self.Receive());
    if (m.is_exit()) {
      log->lines.push_back("EXIT " + m.reason().ToString());
    } else if (m.is_down()) {
      log->lines.push_back("DOWN " + m.reason().ToString());
    } else if (m.is_call()) {
      log->lines.push_back("call " + m.payload().bytes());
      if (m.payload().bytes() == "error") {
        self.AnswerError(m.call_from(), absl::NotFoundError("mine"));
      } else if (m.payload().bytes() != "mute") {
        self.Answer(m.call_from(), Text("re:" + m.payload().bytes()));
      }
    } else if (const Script* script = m.payload().As<Script>()) {
      co_await (*script)(self);
    } else if (m.payload().bytes().starts_with("exit ")) {
      co_return ExitReason::Error(m.payload().bytes().substr(5));
    } else if (m.payload().bytes() == "return") {
      co_return ExitReason::Normal();
    } else {
      log->lines.push_back((m.is_cast() ? "cast " : "msg ") + m.payload().bytes());
    }
  }
}

class TwoNodes : public ::testing::Test {
 protected:
  void SetUp() override {
    a = MakeNode("a:1", {1, 1});
    b = MakeNode("b:1", {2, 1});
    Introduce();
  }
  void TearDown() override {
    a.reset();
    b.reset();
    time.RunFor(absl::Seconds(1));
  }
  std::unique_ptr<TestNode> MakeNode(std::string address, wire::NodeIdentity id) {
    return std::make_unique<TestNode>(&time, &network, std::move(address), id, options);
  }
  void Introduce() {
    a->router->SetPeer(b->id, b->address);
    b->router->SetPeer(a->id, a->address);
  }
  std::shared_ptr<Log> Spawn(TestNode& node, bool trap_exit = false) {
    auto log = std::make_shared<Log>();
    SpawnOptions o;
    o.trap_exit = trap_exit;
    log->pid = *node.runtime.Spawn([log](Self& self) { return ScriptedBody(self, log); }, o);
    node.runtime.Monitor(log->pid, [log](Pid, ExitReason reason) {
      log->ended = true;
      log->end = std::move(reason);
    });
    return log;
  }
  void Run(TestNode& node, const std::shared_ptr<Log>& log, Script script) {
    node.runtime.Send(log->pid, Payload::Local<Script>(std::move(script)));
  }
  void Settle() { time.RunFor(absl::Milliseconds(100)); }
  void Cut() {
    network.Break("a:1", "b:1");
    Settle();
  }
  std::vector<Pid> Links(TestNode& node, Pid pid) {
    std::vector<Pid> out;
    node.runtime.Inspect(pid, [&](std::optional<ProcessSnapshot> s) {
      if (s) out = s->links;
    });
    time.RunUntilIdle();
    return out;
  }

  VirtualTime time;
  SimNetwork network{&time};
  PeerOptions options;
  std::unique_ptr<TestNode> a, b;
};

}  // namespace banyan::testing

#include "tests/sim/workload_messages.h"

#include <cstdlib>

#include "absl/strings/str_split.h"
#include "fmt/format.h"

namespace banyan::sim {
namespace {

constexpr int kSendersPerNode = 3;
constexpr char kNumberedType[] = "type.googleapis.com/sim.Numbered";

}  // namespace

void MessageWorkload::OnLife(int node) {
  for (int i = 0; i < kSendersPerNode; ++i) {
    auto actor = std::make_unique<Actor>();
    Actor* raw = actor.get();
    Spawn(node, std::move(actor), [this, raw](Self& self) { return Run(self, raw); },
          {.trap_exit = true, .module = "message-actor"});
  }
}

Task<ExitReason> MessageWorkload::Run(Self& self, Actor* me) {
  for (;;) {
    const absl::Duration pause = Between(absl::Milliseconds(5), absl::Milliseconds(400));
    std::optional<Message> m =
        co_await self.Receive(quiet() ? Instant::Infinite() : self.Now() + pause);
    if (m) {
      OnMessage(me, *m);
    } else if (!quiet()) {
      SendSome(self, me);
    }
  }
}

// "PAIR:NUMBER:CLOSED:PADDING"
void MessageWorkload::SendSome(Self& self, Actor* me) {
  Actor* other = RandomActor([&](const Actor& a) { return a.node != me->node; });
  if (!other || !Member(me->node)) return;
  const Pid to = Export(*other);
  auto [index, is_new] = index_.try_emplace({me, to}, pairs_.size());
  if (is_new) pairs_.emplace_back();
  Numbers& n = pairs_[index->second];
  if (is_new) {
    n.from = me;
    n.to = other;
    n.to_pid = to;
    n.closed = SessionsClosed(me->node);
    n.opened = SessionsOpened(other->node);
  }
  for (uint64_t i = 1 + Below(OneIn(10) ? 50 : 4); i > 0; --i) {
    Count("sent");
    std::string text = fmt::format("{}:{}:{}:", index->second, ++n.sent, SessionsClosed(me->node));
    if (OneIn(5)) {
      self.Exit(to, ExitReason::Error("numbered", text));
      continue;
    }
    if (OneIn(40)) text.append(50'000 + Below(300'000), 'x');  // in fragments
    Payload payload = Payload::Any(kNumberedType, std::move(text));
    OneIn(2) ? self.Send(to, std::move(payload)) : self.Cast(to, std::move(payload));
  }
}

void MessageWorkload::OnMessage(Actor* me, const Message& m) {
  const std::string& text = m.is_exit() ? m.reason().message() : m.payload().bytes();
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  if (parts.size() != 4) return Violation(fmt::format("INV-13: no numbered message: {}", text));
  const uint64_t pair = std::strtoull(parts[0].c_str(), nullptr, 10);
  const uint64_t number = std::strtoull(parts[1].c_str(), nullptr, 10);
  if (pair >= pairs_.size() || pairs_[pair].to != me)
    return Violation(fmt::format("INV-13: {} got what was for another", FormatPid(me->pid)));
  Count("received");
  Numbers& n = pairs_[pair];
  const std::string who = Describe(n);
  if (number <= n.received) {
    Violation(fmt::format("INV-13: {}: {} after {}", who, number, n.received));
  } else if (number != n.received + 1) {
    Count("gaps");
    if (!MayHaveLost(n)) {
      Violation(fmt::format("INV-13: {}: {} after {}, and no session has ended", who, number,
                            n.received));
    }
  }
  n.received = number;
  n.closed = std::strtoull(parts[2].c_str(), nullptr, 10);
  n.opened = SessionsOpened(me->node);
}

bool MessageWorkload::MayHaveLost(const Numbers& n) {
  return SessionsOpened(n.to->node) != n.opened || SessionsClosed(n.from->node) != n.closed;
}

std::string MessageWorkload::Describe(const Numbers& n) {
  return fmt::format("from {} of {} to {}", FormatPid(n.from->pid),
                     SimCluster::NodeName(n.from->node), FormatPid(n.to_pid));
}

void MessageWorkload::CheckAtRest() {
  for (const Numbers& n : pairs_) {
    if (!n.from->alive || !n.to->alive || n.received == n.sent || MayHaveLost(n)) continue;
    Violation(fmt::format("INV-13: {}: {} of {} came, and no session has ended", Describe(n),
                          n.received, n.sent));
  }
}

}  // namespace banyan::sim

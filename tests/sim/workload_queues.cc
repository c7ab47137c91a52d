#include "tests/sim/workload_queues.h"

#include <map>
#include <memory>

#include "fmt/format.h"

namespace banyan::sim {
namespace {

constexpr int kFloodersPerNode = 3;
constexpr int kReadersPerNode = 2;
constexpr uint64_t kBurst = 40;
constexpr size_t kBytesMax = 8 * 1024;
constexpr uint32_t kMailboxMax = 60;
// What comes together before a sender is held: a burst of each, and the answers.
constexpr size_t kSlack = 2 * kFloodersPerNode * kBurst * (kBytesMax + 200);

}  // namespace

void QueueWorkload::OnLife(int node) {
  for (int i = 0; i < kFloodersPerNode; ++i) {
    auto actor = std::make_unique<Flooder>();
    Flooder* raw = actor.get();
    Spawn(node, std::move(actor), [this, raw](Self& self) { return RunFlooder(self, raw); },
          {.trap_exit = true, .module = "flooder"});
  }
  for (int i = 0; i < kReadersPerNode; ++i) {
    Spawn(node, std::make_unique<Reader>(), [this](Self& self) { return RunReader(self); },
          {.trap_exit = true, .module = "reader", .max_messages = i == 0 ? kMailboxMax : 0});
  }
}

Task<ExitReason> QueueWorkload::RunFlooder(Self& self, Flooder* me) {
  for (;;) {
    std::ignore = co_await self.Receive(self.Now() + absl::Milliseconds(20 + Below(200)));
    ++me->steps;
    if (!quiet()) Flood(self, me);
  }
}

void QueueWorkload::Flood(Self& self, Flooder* me) {
  Actor* reader = RandomActor([&](const Actor& a) {
    return a.node != me->node && dynamic_cast<const Reader*>(&a) != nullptr;
  });
  const Pid to = reader ? Export(*reader) : Pid{};
  if (!to) return;
  const bool patient = OneIn(2);
  for (uint64_t i = Below(kBurst); i > 0; --i) {
    Payload payload =
        Payload::Any("type.googleapis.com/sim.Flood", std::string(1 + Below(kBytesMax), 'x'));
    if (!patient) {
      Count(self.TrySend(to, std::move(payload)) ? "sent" : "busy");
      continue;
    }
    Count("sent");
    self.Send(to, std::move(payload));
  }
  if (oversized_) {
    if (!large_) large_ = cluster().Fork("oversized");
    const size_t most = cluster().node(me->node).options().peer.message_bytes_max;
    if (large_->Below(20) == 0) {
      Count("oversized");
      self.Send(to, Payload::Any("type.googleapis.com/sim.Flood",
                                 std::string(most + 1 + large_->Below(4 * most), 'x')));
    }
  }
  if (OneIn(4)) self.Link(to);
  if (OneIn(8)) self.Unlink(to);
}

Task<ExitReason> QueueWorkload::RunReader(Self& self) {
  for (;;) {
    if (!quiet()) co_await self.Sleep(Between(absl::Milliseconds(10), absl::Seconds(6)));
    std::optional<Message> m = co_await self.Receive();
    for (uint64_t i = Below(500); i > 0 && m; --i) {
      if (oversized_ && m->payload().bytes().size() > kBytesMax)
        Violation("INV-24: a message came that is larger than any may be");
      m = co_await self.Receive(Instant());
    }
  }
}

// -------------------------------------------------------------------- judged

void QueueWorkload::OnTick() {
  for (int i = 0; i < size(); ++i) {
    if (!cluster().node_up(i)) continue;
    CheckPeers(i);
    CheckMailboxes(i);
  }
}

void QueueWorkload::CheckPeers(int node) {
  const PeerOptions& limits = cluster().node(node).options().peer;
  const auto above = [&](const std::string& what, size_t n, size_t limit) {
    if (n <= limit) return;
    Violation(fmt::format("INV-24: {} has {} {}; {} is the limit", SimCluster::NodeName(node), n,
                          what, limit));
  };
  for (const PeerRouter::PeerState& peer : cluster().node(node).peers().Peers()) {
    Count("busy peers", peer.busy);
    above("bytes of messages for a peer", peer.message_bytes, limits.message_bytes_soft + kSlack);
    above("signals for a peer", peer.control, limits.control_entries_max);
    above("bytes of signals for a peer", peer.control_bytes, limits.control_bytes_max);
  }
  const int64_t inbound = cluster().runtime(node).inbound_bytes();
  if (inbound < 0) Violation("INV-24: less than nothing in the mailboxes");
  above("bytes in mailboxes", static_cast<size_t>(std::max<int64_t>(0, inbound)),
        // Headers and types are counted here, and were not sent each time. What a session had
        // credit for may still be there when it is not.
        limits.inbound_bytes_max * 11 / 10 +
            static_cast<size_t>(size() - 1) * (limits.receive_window + limits.batch_bytes_hard));
}

void QueueWorkload::CheckMailboxes(int node) {
  for (const auto& a : actors()) {
    if (!a->alive || a->node != node) continue;
    const std::optional<ProcessSnapshot> now = cluster().runtime(node).Look(a->pid);
    const uint64_t limit = cluster().runtime(node).options().mailbox_max_messages;
    if (now && now->mailbox_length > limit) {
      Violation(fmt::format("INV-24: {} of {} has {} messages", FormatPid(a->pid),
                            SimCluster::NodeName(node), now->mailbox_length));
    }
  }
  Count("full mailboxes", cluster().runtime(node).counters().mailbox_full > 0);
}

void QueueWorkload::CheckAtRest() {
  std::map<const Flooder*, uint64_t> steps;
  for (const auto& a : actors()) {
    const auto* flooder = dynamic_cast<const Flooder*>(a.get());
    if (flooder && a->alive && Member(a->node)) steps[flooder] = flooder->steps;
  }
  cluster().time().RunFor(absl::Seconds(1));
  for (const auto& [flooder, before] : steps) {
    if (!flooder->alive || flooder->steps > before) continue;
    Violation(fmt::format("INV-24: {} of {} is held for ever", FormatPid(flooder->pid),
                          SimCluster::NodeName(flooder->node)));
  }
  for (int i = 0; i < size(); ++i) {
    if (!Member(i)) continue;
    for (const PeerRouter::PeerState& peer : cluster().node(i).peers().Peers()) {
      if (peer.messages + peer.control == 0) continue;
      Violation(fmt::format("INV-24: {} messages and {} signals of {} wait for node {}",
                            peer.messages, peer.control, SimCluster::NodeName(i), peer.id.node_id));
    }
    if (cluster().runtime(i).inbound_bytes() != 0) {
      Violation(fmt::format("INV-24: {} bytes wait in mailboxes of {}",
                            cluster().runtime(i).inbound_bytes(), SimCluster::NodeName(i)));
    }
  }
}

}  // namespace banyan::sim

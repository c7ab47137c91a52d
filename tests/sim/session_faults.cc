// Sessions between nodes that end at one side before the other knows, while a new one begins.
#include "fmt/format.h"

#include "tests/sim/faults.h"

namespace banyan::sim {

// Only where it is asked for: other runs have little that hangs on such sessions.
void Faults::AddSessionFaults() {
  if (!options_.only.contains("sessions")) return;
  Add("sessions", 4, true, [this](Random& r) {
    const int a = AnyNode(r), b = AnyNode(r);
    const uint64_t what = r.Below(4);
    const absl::Duration late = what == 0 ? absl::ZeroDuration() : absl::Seconds(4) * r.Unit();
    const absl::Duration wait = late * r.Unit();
    if (a == b) return;
    // What `a` says on the old stream comes late; perhaps it hears late what is said there, too.
    const std::string from = SimCluster::NodeName(a), to = SimCluster::NodeName(b);
    cluster_->network().Stall(from, to, StreamKind::kPeer, late);
    if (what == 2) cluster_->network().Stall(to, from, StreamKind::kPeer, late);
    const bool both = what == 0 || what == 3;
    Note("session",
         fmt::format("{} {}, {} late, ends at {} in {}", from, to, absl::FormatDuration(late),
                     both ? "both" : from, absl::FormatDuration(wait)));
    Later(wait, [this, a, b, both] {
      DropSession(a, b);
      if (both) DropSession(b, a);
      for (const auto& workload : cluster_->workloads()) workload->OnSessionFault(a, b);
    });
  });
  if (classes_.back()->inject == nullptr) return;
  linger_random_ = cluster_->Fork("linger");
  cluster_->network().set_linger([this](StreamKind kind) {
    return kind == StreamKind::kPeer ? absl::Seconds(4) * linger_random_->Unit()
                                     : absl::ZeroDuration();
  });
}

// Node `at` gives up its session with `peer`, as for silence.
void Faults::DropSession(int at, int peer) {
  if (!cluster_->node_up(at) || cluster_->node_paused(at) || !cluster_->node_up(peer)) return;
  cluster_->node(at).peers().DropSessionForTest(cluster_->node(peer).identity().node_id);
}

}  // namespace banyan::sim

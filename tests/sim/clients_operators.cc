// What operators ask for.
#include "fmt/format.h"

#include "tests/sim/clients_request.h"

namespace banyan::sim {

void Clients::NodeRequest() {
  const int i = static_cast<int>(random_->Below(cluster_->size()));
  const std::string name = SimCluster::NodeName(i);
  const uint64_t what = random_->Below(4);
  const bool then_leave = random_->Below(4) == 0;
  const absl::Duration deadline = absl::Seconds(2 + random_->Below(20));
  Slot& slot = nodes_[name];
  if (slot.busy) return;
  slot.busy = true;
  const std::string kind = what == 0 ? "cordon" : what == 1 ? "drain" : "uncordon";
  cluster_->history().Event("operator", kind, name);
  Do<v1::NodeInfo>(
      NextId(kind),
      [=, this](const std::string& id, Reply<v1::NodeInfo> done) {
        NodeArgs args{name, "sim", id};
        Coordinator& c = cluster_->coordinator();
        if (what == 0) return c.Cordon(args, std::move(done));
        if (what == 1) return c.Drain(args, deadline, 2, then_leave, std::move(done));
        c.Uncordon(args, std::move(done));
      },
      [this, name, what](absl::StatusOr<v1::NodeInfo> r) {
        nodes_[name].busy = false;
        if (r.ok() && what == 1) cluster_->history().Mark("drain");
      });
}

void Clients::AdminRequest(Random& random) {
  if (random.Below(2) == 0) {
    return Do<v1::RebalanceResponse>(
        NextId("rebalance"),
        [this](const std::string& id, Reply<v1::RebalanceResponse> done) {
          cluster_->coordinator().Rebalance(false, 0, id, std::move(done));
        },
        [this](absl::StatusOr<v1::RebalanceResponse> r) {
          if (r.ok() && r->moves_size() > 0) cluster_->history().Mark("rebalance");
        });
  }
  const std::string name = SimCluster::NodeName(static_cast<int>(random.Below(cluster_->size())));
  cluster_->history().Event("operator", "remove", name);
  Do<bool>(
      NextId("remove"),
      [this, name](const std::string& id, Reply<bool> done) {
        cluster_->coordinator().RemoveNode({name, "", id}, true, Told(std::move(done)));
      },
      [this](absl::StatusOr<bool> r) {
        if (r.ok()) cluster_->history().Mark("node removed");
      });
}

void Clients::Finalize(uint32_t level) {
  Do<v1::FinalizeUpgradeResponse>(
      NextId("finalize"),
      [this, level](const std::string& id, Reply<v1::FinalizeUpgradeResponse> done) {
        cluster_->coordinator().FinalizeUpgrade(level, id, std::move(done));
      },
      [this](absl::StatusOr<v1::FinalizeUpgradeResponse> r) {
        if (r.ok()) cluster_->history().Mark("upgrade finalized");
      });
}

void Clients::PutRight() {
  lose_ = 0;
  for (const auto& [name, slot] : nodes_) Uncordon(name);
}

// After what was asked for before has been answered.
void Clients::Uncordon(const std::string& name) {
  if (nodes_[name].busy) {
    ++open_;
    return cluster_->After(absl::Milliseconds(500), [this, name] {
      --open_;
      Uncordon(name);
    });
  }
  Do<v1::NodeInfo>(
      NextId("uncordon"),
      [this, name](const std::string& id, Reply<v1::NodeInfo> done) {
        cluster_->coordinator().Uncordon({name, "", id}, std::move(done));
      },
      [](absl::StatusOr<v1::NodeInfo>) {});
}

void Clients::ConfirmDead(int node) {
  const std::string name = SimCluster::NodeName(node);
  Do<v1::NodeInfo>(
      NextId("confirm"),
      [this, name](const std::string& id, Reply<v1::NodeInfo> done) {
        cluster_->coordinator().GetNode(
            name, [this, name, id, done](absl::StatusOr<v1::NodeInfo> r) {
              if (!r.ok()) return done(r);
              cluster_->coordinator().ConfirmDead({name, "it burnt down", id}, r->incarnation(),
                                                  true, done);
            });
      },
      [](absl::StatusOr<v1::NodeInfo>) {});
}

// The operator has seen to it that that life of the child's node is over.
void Clients::ConfirmLife(const std::string& path) {
  internal::v1::AssignmentRecord asg;
  if (!asg.ParseFromString(cluster_->disk().data["child/" + path + "/asg"])) return;
  if (!confirmed_.insert({asg.node_id(), asg.incarnation()}).second) return;
  for (const auto& [key, value] : cluster_->disk().data) {
    internal::v1::NodeRecord node;
    if (!key.starts_with("node/") || !node.ParseFromString(value)) continue;
    if (node.node_id() != asg.node_id()) continue;
    Do<v1::NodeInfo>(
        NextId("confirm"),
        [this, name = node.name(), life = asg.incarnation()](const std::string& id,
                                                             Reply<v1::NodeInfo> done) {
          cluster_->coordinator().ConfirmDead({name, "it is over", id}, life, true,
                                              std::move(done));
        },
        [](absl::StatusOr<v1::NodeInfo>) {});
  }
}

void Clients::ReviveTight() {
  tight_busy_ = tight_revived_ = true;
  Do<v1::RestartChildResponse>(
      NextId("revive"),
      [this](const std::string& id, Reply<v1::RestartChildResponse> done) {
        cluster_->coordinator().RestartChild({Target::Named("tight"), "", id}, false,
                                             std::move(done));
      },
      [this](absl::StatusOr<v1::RestartChildResponse> r) {
        tight_busy_ = false;
        if (!r.ok()) Unexpected("reviving tight", r.status());
      });
}

}  // namespace banyan::sim

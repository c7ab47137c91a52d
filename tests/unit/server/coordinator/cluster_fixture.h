#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/base/error.h"
#include "common/time/random.h"
#include "common/time/virtual_time.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/store/memory_store.h"
#include "tests/support/sim_transport.h"
#include "tests/unit/server/coordinator/fake_node.h"

namespace banyan::testing {

// A coordinator on a simulated disk and network, and nodes made of frames, all on virtual time.
class ClusterTest : public ::testing::Test {
 protected:
  ClusterTest() : random_(1), network_(&time_), disk_(MemoryStore::NewDisk(&random_)) {
    StartCoordinator();
  }

  void StartCoordinator() {
    LaunchCoordinator();
    time_.RunUntilIdle();
    ASSERT_TRUE(ready_.has_value());
    ASSERT_TRUE(ready_->ok()) << *ready_;
  }
  // Its term begins when its store says so.
  void LaunchCoordinator() {
    transport_ = std::make_unique<SimTransport>(&network_, "coord", executor_);
    store_ = std::make_unique<MemoryStore>(
        disk_, MemoryStore::Deps{executor_, &time_, timers_},
        MemoryStore::Faults{.before_commit =
                                [this](const Txn& txn) {
                                  return before_commit ? before_commit(txn) : absl::OkStatus();
                                },
                            .after_commit =
                                [this](const Txn& txn) {
                                  if (after_commit) after_commit(txn);
                                }});
    Coordinator::Deps deps{&time_, timers_, executor_, &random_, transport_.get(), store_.get()};
    coordinator_ = std::make_unique<Coordinator>(deps, options_);
    ready_.reset();
    coordinator_->Start([this](absl::Status status) { ready_ = status; });
  }

  // kill -9: only the disk is left.
  void CrashCoordinator() {
    coordinator_.reset();
    store_.reset();
    transport_.reset();
  }
  void RestartCoordinator() {
    CrashCoordinator();
    StartCoordinator();
  }

  FakeNode& AddNode(const std::string& name) {
    auto& node = nodes_[name];
    node = std::make_unique<FakeNode>(&network_, &time_, name, trace_);
    node->Connect();
    Settle();
    return *node;
  }
  FakeNode& node(const std::string& name) { return *nodes_.at(name); }
  // The process is gone at once; its streams break.
  void KillNode(const std::string& name) { nodes_.erase(name); }

  void Settle() { time_.RunFor(absl::Milliseconds(300)); }

  // The answer of a request that comes within `limit`.
  template <typename T>
  absl::StatusOr<T> Ask(std::function<void(Reply<T>)> request,
                        absl::Duration limit = absl::Seconds(5)) {
    auto answer = std::make_shared<std::optional<absl::StatusOr<T>>>();
    request([answer](absl::StatusOr<T> r) { *answer = std::move(r); });
    if (!time_.RunUntil([&] { return answer->has_value(); }, limit)) {
      return absl::DeadlineExceededError("no answer");
    }
    return **answer;
  }

  static ChildSpec Worker(const std::string& id) {
    ChildSpec spec;
    spec.id = id;
    spec.start.module = "worker";
    return spec;
  }
  static ChildSpec WorkerOn(const std::string& id, const std::string& node) {
    ChildSpec spec = Worker(id);
    spec.placement.node = node;
    spec.has_placement = true;
    return spec;
  }

  absl::StatusOr<v1::SupervisorInfo> StartSupervisor(const std::string& name,
                                                     std::vector<ChildSpec> children,
                                                     SupervisorFlags flags = {.intensity = 5}) {
    StartSupervisorArgs args;
    args.name = name;
    args.spec.flags = flags;
    args.spec.children = std::move(children);
    return Ask<v1::SupervisorInfo>([&](auto done) { coordinator_->StartSupervisor(args, done); });
  }
  absl::StatusOr<v1::StartChildResponse> StartChild(const std::string& supervisor, ChildSpec spec,
                                                    const std::string& request_id = "") {
    StartChildArgs args;
    args.supervisor = Target::Named(supervisor);
    args.spec = std::move(spec);
    args.request_id = request_id;
    return Ask<v1::StartChildResponse>([&](auto done) { coordinator_->StartChild(args, done); });
  }
  static ChildArgs Named(const std::string& supervisor, const std::string& child,
                         const std::string& request = "") {
    return {Target::Named(supervisor), child, request};
  }
  std::map<std::string, v1::ChildInfo> Children(const std::string& supervisor) {
    auto list = Ask<v1::ListChildrenResponse>([&](auto done) {
      coordinator_->ListChildren(Target::Named(supervisor), {}, false, nullptr, done);
    });
    std::map<std::string, v1::ChildInfo> children;
    if (list.ok()) {
      for (const auto& child : list->children()) children[child.id()] = child;
    }
    return children;
  }
  v1::NodeInfo NodeInfo(const std::string& name) {
    auto info = Ask<v1::NodeInfo>([&](auto done) { coordinator_->GetNode(name, done); });
    return info.ok() ? *info : v1::NodeInfo();
  }
  std::vector<std::string> TakeTrace() { return std::exchange(*trace_, {}); }

  v1::GetClusterResponse Cluster() {
    auto info =
        Ask<v1::GetClusterResponse>([&](auto done) { coordinator_->GetCluster(std::move(done)); });
    return info.ok() ? *info : v1::GetClusterResponse();
  }
  std::vector<std::string> Alarms() {
    const v1::GetClusterResponse cluster = Cluster();
    return {cluster.alarms().begin(), cluster.alarms().end()};
  }

  VirtualTime time_;
  // What the coordinator runs on; a test may put others between.
  Timers* timers_ = &time_;
  Executor* executor_ = &time_;
  SeededRandom random_;
  SimNetwork network_;
  std::shared_ptr<MemoryDisk> disk_;
  CoordinatorOptions options_;
  std::shared_ptr<FakeNode::Trace> trace_ = std::make_shared<FakeNode::Trace>();
  std::function<absl::Status(const Txn&)> before_commit;
  std::function<void(const Txn&)> after_commit;
  std::unique_ptr<SimTransport> transport_;
  std::unique_ptr<MemoryStore> store_;
  std::unique_ptr<Coordinator> coordinator_;
  std::optional<absl::Status> ready_;  // of the coordinator's start
  std::map<std::string, std::unique_ptr<FakeNode>> nodes_;
};

}  // namespace banyan::testing

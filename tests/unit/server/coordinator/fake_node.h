#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "banyan/internal/v1/membership.pb.h"
#include "common/base/exit_reason.h"
#include "common/base/pid.h"
#include "common/time/virtual_time.h"
#include "server/cluster/transport.h"
#include "server/core/feature_level.h"
#include "tests/support/sim_transport.h"

namespace banyan::testing {

// A node made of frames only: it keeps the node's side of cluster.md 2 and 6 (sessions, fences,
// retained reports) and does with children what the test says.
class FakeNode {
 public:
  using Trace = std::vector<std::string>;  // "n1 start a", "n1 stop a", ... over all nodes
  struct Identity {
    std::string process_id = "p1";
    std::string machine_id = "m1";
    std::string boot_id = "b1";
    bool state_lock = true;
    uint64_t start_number = 0;
  };
  FakeNode(SimNetwork* network, VirtualTime* time, std::string name, std::shared_ptr<Trace> trace);
  FakeNode(SimNetwork* network, VirtualTime* time, std::string name, std::shared_ptr<Trace> trace,
           Identity identity);
  ~FakeNode();

  // Dials the coordinator at "coord" and goes on dialling whenever a stream breaks.
  void Connect();
  // From now on nothing is sent and nothing read; streams stay open.
  void Mute() { muted_ = true; }
  void Unmute() { muted_ = false; }
  void OpenWatcher();
  // The watcher's report; the node itself must be gone or muted.
  void WatcherReportsExit();
  void Leave();

  // How starts are answered; unset: up at once. Returning false: no answer now (Up() later).
  std::function<bool(const std::string& path, internal::v1::Report* report)> on_start;
  // Told to stop, false: not yet (Stopped() later).
  std::function<bool(const std::string& path)> on_stop;
  void Up(const std::string& path);
  void Stopped(const std::string& path);
  // The child ends by itself.
  void Exit(const std::string& path, const ExitReason& reason);
  // Its lease is over and nothing of the child runs.
  void Freeze(const std::string& path);
  // Its init fails.
  void FailStart(const std::string& path, const ExitReason& reason);
  void AskName(const std::string& name, Pid pid);
  void NameGone(const std::string& name);
  // Asks for a drain of itself.
  void Retire(absl::Duration deadline);
  // News of a group; `seq` 0: the next.
  void TellGroup(const std::string& group, std::vector<uint64_t> joined, std::vector<uint64_t> left,
                 uint64_t seq = 0);
  void WantGroups();

  struct Child {
    std::vector<std::string> path;
    uint64_t fence = 0;
    Pid pid;
    v1::ChildSpec spec;
    std::vector<v1::Payload> extra_args;
    bool up = false;
    bool stopping = false;
  };
  bool Has(const std::string& path) const { return children_.contains(path); }
  const Child& At(const std::string& path) const { return children_.at(path); }
  size_t size() const { return children_.size(); }
  uint32_t node_id() const { return node_id_; }
  uint32_t incarnation() const { return incarnation_; }
  uint32_t epoch() const { return epoch_; }
  bool joined() const { return joined_; }
  bool recorded() const { return recorded_; }
  size_t unacked() const { return reports_.size(); }
  absl::Status last_close() const { return last_close_; }
  const std::vector<internal::v1::NameReply>& name_replies() const { return name_replies_; }
  const internal::v1::Command& last_start() const { return last_start_; }
  const std::vector<internal::v1::Command>& drains() const { return drains_; }
  const std::vector<v1::NameEntry>& released() const { return released_; }
  const std::vector<internal::v1::GroupDelta>& groups() const { return groups_; }
  const std::vector<internal::v1::RelayOffer>& relay_offers() const { return relay_offers_; }
  // What the watcher, or the next hello, tells of a crash.
  std::optional<internal::v1::LastCrash> last_crash;
  std::map<std::string, std::string> leaves;  // by path: for the next life, if asked
  const std::map<std::string, v1::NodeInfo>& view() const { return view_; }
  std::map<std::string, int64_t> capacity;
  std::vector<std::string> modules{"worker"};
  std::map<std::string, std::string> labels;
  bool answer_acks = true;  // false: heartbeats say that no ack arrives
  uint32_t level = kFeatureLevel;
  double clock_rate = 1;       // of its own clock
  bool has_watcher = false;    // says so in its hello
  bool watcher_ended = false;  // and in its heartbeats
  bool no_control = false;     // does not dial its control stream again
  uint64_t acked() const { return acked_; }
  bool told_dead() const { return told_dead_; }  // on any of its streams
  uint64_t beats() const { return beat_; }
  // As if it had been told of a later revision of the store.
  void HasSeen(uint64_t revision) { store_revision_ = revision; }
  bool keep_all() const { return keep_all_; }
  const internal::v1::HelloAck& last_ack() const { return last_ack_; }

 private:
  class Handler;
  void OnControl(const std::string& bytes);
  void OnCommand(const internal::v1::Command& command);
  void SendHello();
  void SendResync();
  void SendReport(internal::v1::Report report);
  void Write(const internal::v1::ControlRequest& request);
  void Beat();
  void OnClosed(StreamKind kind, absl::Status status);
  void DialControl();
  void DialLease();

  SimNetwork* const network_;
  VirtualTime* const time_;
  const std::string name_;
  const std::shared_ptr<Trace> trace_;
  const Identity identity_;
  std::unique_ptr<SimTransport> transport_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<Handler> control_handler_, lease_handler_, watcher_handler_;
  std::unique_ptr<Stream> control_, lease_, watcher_;
  uint32_t node_id_ = 0, incarnation_ = 0, epoch_ = 0, session_ = 0;
  std::string cluster_id_, store_id_;
  uint64_t store_revision_ = 0;
  uint32_t epoch_seen_ = 0;  // with `store_revision_`
  bool keep_all_ = false;
  bool told_dead_ = false;
  internal::v1::HelloAck last_ack_;
  uint64_t beat_ = 0, acked_ = 0, report_seq_ = 0, slot_ = 0, name_seq_ = 0;
  bool joined_ = false, muted_ = false, beating_ = false, recorded_ = false;
  std::map<std::string, Child> children_;
  std::map<std::string, uint64_t> highest_;
  std::map<std::string, v1::NameEntry> names_;
  std::map<std::string, v1::NodeInfo> view_;
  std::map<uint64_t, internal::v1::Report> reports_;  // not acked
  std::vector<internal::v1::NameReply> name_replies_;
  internal::v1::Command last_start_;
  std::set<std::string> hand_off_wanted_;
  std::vector<internal::v1::Command> drains_;
  std::vector<v1::NameEntry> released_;
  std::vector<internal::v1::GroupDelta> groups_;
  std::vector<internal::v1::RelayOffer> relay_offers_;
  uint64_t group_seq_ = 0;
  absl::Status last_close_;
};

}  // namespace banyan::testing

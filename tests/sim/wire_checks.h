#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>

#include "banyan/internal/v1/membership.pb.h"
#include "server/cluster/transport.h"
#include "tests/sim/history.h"
#include "tests/sim/store_checks.h"

namespace banyan::sim {

// Reads what goes over the streams between nodes and the coordinator, and judges it: INV-1, 4, 25.
class WireChecks {
 public:
  WireChecks(History* history, const StoreChecks* store) : history_(history), store_(store) {}

  void OnWrite(uint64_t stream, const std::string& from, const std::string& to, StreamKind kind,
               const std::string& bytes);
  void OnDelivery(uint64_t stream, const std::string& from, const std::string& to, StreamKind kind,
                  const std::string& bytes);
  void OnEnd(uint64_t stream, const std::string& from, const absl::Status& status);
  // A process at that address begins: it knows nothing but the epoch in its state directory.
  void OnProcess(const std::string& address, uint32_t epoch_seen);

  // INV-25: the store went back in time, no node may be told to start or stop anything.
  void ForbidCommands() { commands_forbidden_ = true; }
  void AllowCommands() { commands_forbidden_ = false; }
  // A command that was sent to the node in an earlier session, at random; empty: none.
  std::string OldCommand(const std::string& node, uint64_t random) const;
  // Whether that node has been told that life (n, i) is over.
  bool Knows(const std::string& node, uint32_t node_id, uint32_t incarnation) const;
  // What was seen of a frame; for crash points.
  enum class Seen { kOther, kStart, kStarted, kStartFailed, kExited, kStopped };
  Seen last_seen() const { return last_seen_; }

 private:
  struct NodeState {
    uint32_t epoch = 0;    // highest obeyed
    uint32_t refused = 0;  // a lower one that was offered last
    uint64_t session = 0;  // stream of the present session
    std::set<std::pair<uint32_t, uint32_t>> dead;
    struct Command {
      uint64_t stream;
      std::string bytes;
    };
    std::deque<Command> commands;
    // Ends of present starts that the coordinator has been told of.
    std::map<uint64_t, std::pair<std::string, uint64_t>> told;
  };
  void NoteReport(NodeState* node, const internal::v1::Report& report);
  void OnReportAck(NodeState* node, const std::string& name, uint64_t up_to);
  void ToNode(NodeState* node, uint64_t stream, const std::string& name, const std::string& bytes);
  void ToCoordinator(NodeState* node, uint64_t stream, const std::string& name,
                     const std::string& bytes);

  History* const history_;
  const StoreChecks* const store_;
  bool commands_forbidden_ = false;
  std::map<std::string, NodeState> nodes_;
  std::map<uint64_t, std::pair<uint32_t, uint32_t>> lives_;  // whose a lease or control stream is
  Seen last_seen_ = Seen::kOther;
};

}  // namespace banyan::sim

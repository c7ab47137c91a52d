#include "tests/sim/wire_checks.h"

#include "fmt/format.h"

#include "banyan/internal/v1/membership.pb.h"
#include "common/base/error.h"

namespace banyan::sim {

namespace pb = internal::v1;

void WireChecks::OnProcess(const std::string& address, uint32_t epoch_seen) {
  nodes_[address] = NodeState();
  nodes_[address].epoch = epoch_seen;
}

void WireChecks::OnWrite(uint64_t stream, const std::string& from, const std::string& to,
                         StreamKind kind, const std::string& bytes) {
  last_seen_ = Seen::kOther;
  if (kind == StreamKind::kLease && from == "coord") {
    auto it = lives_.find(stream);
    if (it != lives_.end() && store_->Gone(it->second.first, it->second.second)) {
      history_->Violation(fmt::format("INV-4: a heartbeat of {}:{} is acknowledged, and it is over",
                                      it->second.first, it->second.second));
    }
  }
  if (kind != StreamKind::kControl) return;
  if (from == "coord") {
    pb::ControlResponse response;
    if (!response.ParseFromString(bytes)) return;
    if (response.has_report_ack())
      return OnReportAck(&nodes_[to], to, response.report_ack().up_to());
    if (!response.has_command()) return;
    const pb::Command& command = response.command();
    if (command.has_start()) last_seen_ = Seen::kStart;
    if (command.stop().orphan()) history_->Mark("orphan stopped");
    if (commands_forbidden_ && (command.has_start() || command.has_stop() || command.has_kill())) {
      history_->Violation(
          fmt::format("INV-25: {} is commanded, and it has seen a later state of the store", to));
    }
    auto& kept = nodes_[to].commands;
    kept.push_back({stream, bytes});
    if (kept.size() > 64) kept.pop_front();
    return;
  }
  pb::ControlRequest request;
  if (!request.ParseFromString(bytes) || !request.has_report()) return;
  if (request.report().has_started()) last_seen_ = Seen::kStarted;
  if (request.report().has_start_failed()) last_seen_ = Seen::kStartFailed;
  if (request.report().has_exited()) last_seen_ = Seen::kExited;
  if (request.report().has_stopped()) last_seen_ = Seen::kStopped;
}

void WireChecks::OnDelivery(uint64_t stream, const std::string& from, const std::string& to,
                            StreamKind kind, const std::string& bytes) {
  if (kind == StreamKind::kLease && to == "coord") {
    pb::LeaseRequest beat;
    if (beat.ParseFromString(bytes)) lives_[stream] = {beat.node_id(), beat.incarnation()};
  }
  if (kind != StreamKind::kControl) return;
  if (to == "coord") return ToCoordinator(&nodes_[from], stream, from, bytes);
  ToNode(&nodes_[to], stream, to, bytes);
}

// L7: what a node ends its children for will not be forgotten.
void WireChecks::OnEnd(uint64_t stream, const std::string& from, const absl::Status& status) {
  if (from != "coord") return;
  const auto it = lives_.find(stream);
  if (it == lives_.end()) return;
  const auto [node_id, incarnation] = it->second;
  lives_.erase(it);
  if (ErrorReason(status) != "DEAD" || !store_->Present(node_id, incarnation)) return;
  history_->Violation(fmt::format("INV-4: {}:{} is told that it is over, which is not in the store",
                                  node_id, incarnation));
}

void WireChecks::ToNode(NodeState* node, uint64_t stream, const std::string& name,
                        const std::string& bytes) {
  pb::ControlResponse response;
  if (!response.ParseFromString(bytes)) return;
  if (response.has_hello_ack()) {
    const uint32_t epoch = response.hello_ack().epoch();
    if (epoch < node->epoch) {
      node->refused = epoch;
      node->session = stream;
      return;
    }
    if (epoch > node->epoch && node->epoch != 0) history_->Mark("a new term is joined");
    node->epoch = epoch;
    node->refused = 0;
    node->session = stream;
  } else if (response.has_view()) {
    for (const v1::NodeInfo& info : response.view().nodes()) {
      if (info.state() == v1::NODE_STATE_DEAD || info.state() == v1::NODE_STATE_LEFT)
        node->dead.insert({info.node_id(), info.incarnation()});
    }
  }
}

void WireChecks::ToCoordinator(NodeState* node, uint64_t stream, const std::string& name,
                               const std::string& bytes) {
  pb::ControlRequest request;
  if (!request.ParseFromString(bytes)) return;
  if (request.has_resync_end() && node->refused != 0 && node->session == stream) {
    history_->Violation(
        fmt::format("INV-1: {} obeys epoch {} after epoch {}", name, node->refused, node->epoch));
  }
  if (request.has_resync_chunk() && store_->epoch() > 1 &&
      request.resync_chunk().children_size() > 0) {
    history_->Mark("children reported in a resync");
  }
  if (request.has_hello()) {
    lives_[stream] = {request.hello().node_id(), request.hello().incarnation()};
    node->told.clear();
  }
  if (request.has_report()) NoteReport(node, request.report());
  for (const pb::Report& report : request.resync_chunk().reports()) NoteReport(node, report);
  // Relics have numbers of their own (faults.cc).
  if (request.has_command_result() && request.command_result().error().code() != 0 &&
      request.command_result().command_seq() >> 40 != 0)
    history_->Mark("zombie command refused");
}

void WireChecks::NoteReport(NodeState* node, const pb::Report& report) {
  if (!report.has_exited() && !report.has_start_failed()) return;
  std::string path;
  for (const std::string& name : report.path()) path += (path.empty() ? "" : "/") + name;
  if (store_->AssignedNow(path, report.fence())) node->told[report.seq()] = {path, report.fence()};
}

// W4: what a report says is in the store before the node may forget it.
void WireChecks::OnReportAck(NodeState* node, const std::string& name, uint64_t up_to) {
  while (!node->told.empty() && node->told.begin()->first <= up_to) {
    const auto& [path, fence] = node->told.begin()->second;
    if (store_->AssignedNow(path, fence)) {
      history_->Violation(fmt::format(
          "INV-18: the end of {} on {} is acknowledged and not in the store", path, name));
    }
    node->told.erase(node->told.begin());
  }
}

std::string WireChecks::OldCommand(const std::string& node, uint64_t random) const {
  auto it = nodes_.find(node);
  if (it == nodes_.end()) return "";
  std::vector<const NodeState::Command*> old;
  for (const auto& c : it->second.commands) {
    if (c.stream != it->second.session) old.push_back(&c);
  }
  return old.empty() ? "" : old[random % old.size()]->bytes;
}

bool WireChecks::Knows(const std::string& node, uint32_t node_id, uint32_t incarnation) const {
  auto it = nodes_.find(node);
  return it != nodes_.end() && it->second.dead.contains({node_id, incarnation});
}

}  // namespace banyan::sim

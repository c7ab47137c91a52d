#include "tests/unit/server/coordinator/fake_node.h"

#include <utility>

#include "absl/strings/str_join.h"

#include "common/base/error.h"
#include "common/wire/exit_reason.h"
#include "common/wire/pid.h"
#include "common/wire/time.h"

namespace banyan::testing {

class FakeNode::Handler : public StreamHandler {
 public:
  Handler(FakeNode* node, StreamKind kind) : node_(node), kind_(kind) {}
  void OnFrame(std::string bytes) override {
    if (node_->muted_) return;
    if (kind_ == StreamKind::kControl) return node_->OnControl(bytes);
    if (kind_ == StreamKind::kLease) {
      internal::v1::LeaseResponse ack;
      ack.ParseFromString(bytes);
      if (node_->answer_acks) node_->acked_ = std::max(node_->acked_, ack.seq());
      node_->store_revision_ = std::max(node_->store_revision_, ack.store_revision());
      node_->epoch_seen_ = std::max(node_->epoch_seen_, ack.epoch());
      node_->epoch_ = std::max(node_->epoch_, ack.epoch());
      return;
    }
    internal::v1::WatcherResponse response;
    response.ParseFromString(bytes);
    node_->recorded_ = response.recorded();
  }
  void OnClose(absl::Status status) override { node_->OnClosed(kind_, std::move(status)); }

 private:
  FakeNode* const node_;
  const StreamKind kind_;
};

FakeNode::FakeNode(SimNetwork* network, VirtualTime* time, std::string name,
                   std::shared_ptr<Trace> trace)
    : FakeNode(network, time, name, std::move(trace), Identity{.machine_id = "machine-" + name}) {}

FakeNode::FakeNode(SimNetwork* network, VirtualTime* time, std::string name,
                   std::shared_ptr<Trace> trace, Identity identity)
    : network_(network),
      time_(time),
      name_(std::move(name)),
      trace_(std::move(trace)),
      identity_(std::move(identity)),
      transport_(
          std::make_unique<SimTransport>(network, name_ + "-" + identity_.process_id, time)) {}

FakeNode::~FakeNode() { *alive_ = false; }

void FakeNode::Connect() {
  DialControl();
  if (beating_) return;
  beating_ = true;
  Beat();
}

void FakeNode::DialControl() {
  control_handler_ = std::make_unique<Handler>(this, StreamKind::kControl);
  control_ = transport_->Dial("coord", StreamKind::kControl, control_handler_.get());
  SendHello();
}

void FakeNode::DialLease() {
  lease_handler_ = std::make_unique<Handler>(this, StreamKind::kLease);
  lease_ = transport_->Dial("coord", StreamKind::kLease, lease_handler_.get());
}

void FakeNode::OnClosed(StreamKind kind, absl::Status status) {
  told_dead_ |= ErrorReason(status) == "DEAD";
  if (kind == StreamKind::kLease) {
    lease_.reset();
    return;
  }
  if (kind == StreamKind::kWatcher) return watcher_.reset();
  last_close_ = status;
  joined_ = false;
  control_.reset();
  if (status.code() == absl::StatusCode::kAborted && incarnation_ != 0) {
    // This life is over.
    incarnation_ = 0;
    children_.clear();
    reports_.clear();
    highest_.clear();
    names_.clear();
  }
  time_->ScheduleAt(time_->Now() + absl::Milliseconds(100), [this, alive = alive_] {
    if (*alive && !muted_ && !no_control && control_ == nullptr) DialControl();
  });
}

void FakeNode::SendHello() {
  internal::v1::ControlRequest request;
  auto* hello = request.mutable_hello();
  hello->set_name(name_);
  hello->set_cluster_id(cluster_id_);
  hello->set_store_id(store_id_);
  hello->set_store_revision(store_revision_);
  hello->set_node_id(node_id_);
  hello->set_has_watcher(has_watcher);
  hello->set_running(children_.size());
  hello->set_incarnation(incarnation_);
  hello->set_epoch_seen(epoch_seen_);
  hello->set_process_id(identity_.process_id);
  hello->set_machine_id(identity_.machine_id);
  hello->set_boot_id(identity_.boot_id);
  hello->set_state_lock(identity_.state_lock);
  hello->set_start_number(identity_.start_number);
  hello->set_address(name_ + ":7400");
  hello->mutable_capacity()->insert(capacity.begin(), capacity.end());
  hello->mutable_labels()->insert(labels.begin(), labels.end());
  if (last_crash) *hello->mutable_last_crash() = *last_crash;
  for (const std::string& module : modules) hello->add_modules()->set_name(module);
  hello->mutable_protocol()->set_major(1);
  hello->mutable_protocol()->set_minor(level);
  hello->mutable_protocol()->set_features(FeaturesOfLevel(level));
  Write(request);
}

void FakeNode::Write(const internal::v1::ControlRequest& request) {
  if (control_ != nullptr && !muted_) control_->Write(request.SerializeAsString());
}

void FakeNode::SendResync() {
  internal::v1::ControlRequest request;
  auto* chunk = request.mutable_resync_chunk();
  for (const auto& [path, child] : children_) {
    auto* status = chunk->add_children();
    for (const std::string& name : child.path) status->add_path(name);
    status->set_fence(child.fence);
    *status->mutable_pid() = wire::ToProto(child.pid, {});
    status->set_state(child.up ? v1::ACTOR_STATE_WAITING : v1::ACTOR_STATE_STARTING);
    if (!keep_all_) continue;
    *status->mutable_spec() = child.spec;
    for (const v1::Payload& arg : child.extra_args) *status->add_extra_args() = arg;
  }
  for (const auto& [seq, report] : reports_) *chunk->add_reports() = report;
  for (const auto& [name, entry] : names_) *chunk->add_names() = entry;
  const uint64_t count = chunk->children_size() + chunk->reports_size() + chunk->names_size();
  Write(request);
  internal::v1::ControlRequest end;
  end.mutable_resync_end()->set_count(count);
  Write(end);
  joined_ = true;
}

void FakeNode::Beat() {
  time_->ScheduleAt(time_->Now() + absl::Seconds(1), [this, alive = alive_] {
    if (*alive) Beat();
  });
  if (muted_ || incarnation_ == 0) return;
  if (lease_ == nullptr) DialLease();
  internal::v1::LeaseRequest beat;
  beat.set_node_id(node_id_);
  beat.set_incarnation(incarnation_);
  beat.set_seq(++beat_);
  beat.set_sent_ns(static_cast<uint64_t>(static_cast<double>(time_->Now().nanos()) * clock_rate));
  beat.set_no_watcher(watcher_ended);
  beat.set_acked_seq(acked_);
  lease_->Write(beat.SerializeAsString());
}

void FakeNode::OnControl(const std::string& bytes) {
  internal::v1::ControlResponse response;
  response.ParseFromString(bytes);
  if (response.has_hello_ack()) {
    const auto& ack = response.hello_ack();
    if (incarnation_ == 0) trace_->push_back(name_ + " joined");
    last_ack_ = ack;
    cluster_id_ = ack.cluster_id();
    if (store_id_ != ack.store_id()) store_revision_ = 0;
    store_id_ = ack.store_id();
    store_revision_ = std::max(store_revision_, ack.store_revision());
    keep_all_ = ack.keep_all();
    epoch_ = epoch_seen_ = ack.epoch();
    session_ = ack.control_session();
    node_id_ = ack.node_id();
    incarnation_ = ack.incarnation();
    SendResync();
  } else if (response.has_command()) {
    const auto& command = response.command();
    if (command.epoch() == epoch_ && command.control_session() == session_) OnCommand(command);
  } else if (response.has_report_ack()) {
    reports_.erase(reports_.begin(), reports_.upper_bound(response.report_ack().up_to()));
  } else if (response.has_name_reply()) {
    name_replies_.push_back(response.name_reply());
    const v1::NameEntry& named = response.name_reply().entry();
    auto held = names_.find(named.name());
    const bool lost = response.name_reply().request_seq() == 0 && held != names_.end() &&
                      held->second.reg_version() == named.reg_version();
    if (lost) names_.erase(held);
    if (response.name_reply().granted()) {
      names_[response.name_reply().entry().name()] = response.name_reply().entry();
    }
  } else if (response.has_routes()) {
    for (const auto& entry : response.routes().released()) {
      released_.push_back(entry);
      auto held = names_.find(entry.name());
      if (held != names_.end() && held->second.reg_version() == entry.reg_version())
        names_.erase(held);
    }
  } else if (response.has_relay_offer()) {
    relay_offers_.push_back(response.relay_offer());
  } else if (response.has_group_delta()) {
    groups_.push_back(response.group_delta());
  } else if (response.has_view()) {
    if (response.view().full()) view_.clear();
    for (const auto& node : response.view().nodes()) view_[node.name()] = node;
  }
}

void FakeNode::OnCommand(const internal::v1::Command& command) {
  const std::string path = absl::StrJoin(command.path(), "/");
  internal::v1::Report report;
  *report.mutable_path() = command.path();
  report.set_fence(command.fence());
  if (command.has_start()) {
    // Answered from memory: the report is on its way, or was sent.
    if (command.fence() <= highest_[path]) return;
    last_start_ = command;
    highest_[path] = command.fence();
    Child& child = children_[path];
    child.path.assign(command.path().begin(), command.path().end());
    child.fence = command.fence();
    child.spec = command.start().spec();
    child.extra_args = {command.start().extra_args().begin(), command.start().extra_args().end()};
    child.pid = Pid{node_id_, incarnation_, ++slot_};
    trace_->push_back(name_ + " start " + child.path.back());
    if (on_start) {
      if (!on_start(path, &report)) return;
      if (report.body_case() != internal::v1::Report::BODY_NOT_SET) {
        children_.erase(path);
        return SendReport(report);
      }
    }
    return Up(path);
  }
  if (command.has_set_drain()) return drains_.push_back(command);
  if (command.has_update()) {
    auto child = children_.find(path);
    if (child == children_.end() || command.update().fence() == 0) return;
    trace_->push_back(name_ + " keep " + command.path().rbegin()[0]);
    child->second.fence = highest_[path] = command.update().fence();
    return;
  }
  if (!command.has_stop() && !command.has_kill()) return;
  auto it = children_.find(path);
  if (it == children_.end() || it->second.fence != command.fence()) {
    report.mutable_not_started();
    return SendReport(report);
  }
  const std::string what = command.has_kill()        ? " kill "
                           : command.stop().orphan() ? " orphan "
                                                     : " stop ";
  trace_->push_back(name_ + what + command.path().rbegin()[0]);
  it->second.stopping = true;
  if (command.stop().hand_off()) hand_off_wanted_.insert(path);
  if (on_stop && !on_stop(path)) return;
  Stopped(path);
}

void FakeNode::Up(const std::string& path) {
  Child& child = children_.at(path);
  child.up = true;
  internal::v1::Report report;
  for (const std::string& name : child.path) report.add_path(name);
  report.set_fence(child.fence);
  *report.mutable_started()->mutable_pid() = wire::ToProto(child.pid, {});
  SendReport(report);
}

void FakeNode::Stopped(const std::string& path) {
  auto entry = children_.extract(path);
  internal::v1::Report report;
  for (const std::string& name : entry.mapped().path) report.add_path(name);
  report.set_fence(entry.mapped().fence);
  *report.mutable_stopped()->mutable_reason() = wire::ToProto(ExitReason::Shutdown(), {});
  if (hand_off_wanted_.erase(path) > 0 && leaves.contains(path)) {
    auto* value = report.mutable_stopped()->mutable_hand_off()->mutable_value();
    value->set_type_url("type.googleapis.com/test.Text");
    value->set_value(leaves[path]);
  }
  SendReport(report);
}

void FakeNode::Freeze(const std::string& path) {
  internal::v1::Report report;
  for (const std::string& name : children_.at(path).path) report.add_path(name);
  report.set_fence(children_.at(path).fence);
  report.mutable_frozen()->set_frozen(true);
  SendReport(report);
}

void FakeNode::Exit(const std::string& path, const ExitReason& reason) {
  auto entry = children_.extract(path);
  trace_->push_back(name_ + " exit " + entry.mapped().path.back());
  internal::v1::Report report;
  for (const std::string& name : entry.mapped().path) report.add_path(name);
  report.set_fence(entry.mapped().fence);
  *report.mutable_exited()->mutable_reason() = wire::ToProto(reason, {});
  SendReport(report);
}

void FakeNode::FailStart(const std::string& path, const ExitReason& reason) {
  auto entry = children_.extract(path);
  internal::v1::Report report;
  for (const std::string& name : entry.mapped().path) report.add_path(name);
  report.set_fence(entry.mapped().fence);
  *report.mutable_start_failed()->mutable_reason() = wire::ToProto(reason, {});
  SendReport(report);
}

void FakeNode::SendReport(internal::v1::Report report) {
  report.set_seq(++report_seq_);
  reports_[report_seq_] = report;
  if (!joined_) return;
  internal::v1::ControlRequest request;
  *request.mutable_report() = std::move(report);
  Write(request);
}

void FakeNode::AskName(const std::string& name, Pid pid) {
  internal::v1::ControlRequest request;
  request.mutable_name_request()->set_request_seq(++name_seq_);
  request.mutable_name_request()->mutable_entry()->set_name(name);
  *request.mutable_name_request()->mutable_entry()->mutable_pid() = wire::ToProto(pid, {});
  Write(request);
}

void FakeNode::NameGone(const std::string& name) {
  internal::v1::Report report;
  *report.mutable_name_gone() = names_.at(name);
  names_.erase(name);
  SendReport(report);
}

void FakeNode::OpenWatcher() {
  watcher_handler_ = std::make_unique<Handler>(this, StreamKind::kWatcher);
  watcher_ = transport_->Dial("coord", StreamKind::kWatcher, watcher_handler_.get());
  internal::v1::WatcherRequest request;
  request.mutable_watching()->set_node_id(node_id_);
  request.mutable_watching()->set_incarnation(incarnation_);
  request.mutable_watching()->set_process_id(identity_.process_id);
  watcher_->Write(request.SerializeAsString());
}

void FakeNode::WatcherReportsExit() {
  internal::v1::WatcherRequest request;
  request.mutable_exited()->set_status(9);
  if (last_crash) *request.mutable_exited()->mutable_last_crash() = *last_crash;
  watcher_->Write(request.SerializeAsString());
}

void FakeNode::Retire(absl::Duration deadline) {
  internal::v1::ControlRequest request;
  *request.mutable_retire()->mutable_deadline() = wire::ToProto(deadline);
  Write(request);
}

void FakeNode::TellGroup(const std::string& group, std::vector<uint64_t> joined,
                         std::vector<uint64_t> left, uint64_t seq) {
  group_seq_ = seq == 0 ? group_seq_ + 1 : seq;
  internal::v1::ControlRequest request;
  auto* delta = request.mutable_group_delta();
  delta->set_node_id(node_id_);
  delta->set_incarnation(incarnation_);
  delta->set_group_seq(group_seq_);
  delta->set_group(group);
  for (uint64_t id : joined) delta->add_joined(id);
  for (uint64_t id : left) delta->add_left(id);
  Write(request);
}

void FakeNode::WantGroups() {
  internal::v1::ControlRequest request;
  request.mutable_group_interest()->add_add("");
  Write(request);
}

void FakeNode::Leave() {
  internal::v1::ControlRequest request;
  request.mutable_leave()->set_reason("test");
  Write(request);
}

}  // namespace banyan::testing

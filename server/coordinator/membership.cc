#include "server/coordinator/membership.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/base/mutant.h"
#include "common/base/target.h"
#include "common/wire/status.h"
#include "server/coordinator/core.h"
#include "server/coordinator/snapshot.h"

namespace banyan {
namespace {

absl::Status DeadError() {
  return WithErrorInfo(absl::AbortedError("this life of the node is over: join anew"),
                       {.reason = "DEAD"});
}

// A later process of the same node proves that the one before it is gone: it holds the lock on the
// same state directory, or the machine has been booted since.
bool Supersedes(const internal::v1::Hello& hello, const internal::v1::NodeRecord& record) {
  if (hello.machine_id().empty() || hello.machine_id() != record.machine_id()) return false;
  const bool locked = hello.state_lock() && record.state_lock();
  // A hello may be read after that of the process that came next.
  const bool ordered = hello.start_number() != 0 && record.start_number() != 0;
  if (ordered && hello.start_number() <= record.start_number()) return false;
  const bool rebooted =
      !hello.boot_id().empty() && !record.boot_id().empty() && hello.boot_id() != record.boot_id();
  return locked || rebooted;
}

}  // namespace

uint32_t Membership::TermOfView() const { return core_->epoch; }

// -------------------------------------------------------------------- frames

void Membership::OnControlFrame(ControlSession* session,
                                const internal::v1::ControlRequest& request) {
  using Frame = internal::v1::ControlRequest;
  if (!core_->started) {
    return session->Close(MakeError("COORDINATOR_UNAVAILABLE", "the coordinator is starting"));
  }
  if (request.frame_case() == Frame::kHello) return OnHello(session, request.hello());
  if (session->member == nullptr) {
    return session->Close(MakeError("PROTOCOL_VIOLATION", "the first frame must be a hello"));
  }
  switch (request.frame_case()) {
    case Frame::kResyncChunk:
      session->chunks.push_back(request.resync_chunk());
      return;
    case Frame::kResyncEnd:
      return OnResyncEnd(session, request.resync_end());
    case Frame::kCommandResult:
      return core_->reconciler.OnCommandResult(session, request.command_result());
    case Frame::kReport:
      return OnReport(session, request.report());
    case Frame::kNameRequest:
      return core_->names.OnNameRequest(session, request.name_request());
    case Frame::kUpdate:
      return OnUpdate(session, request.update());
    case Frame::kGroupInterest:
      return core_->groups.OnInterest(session, request.group_interest());
    case Frame::kGroupDelta:
      return core_->groups.OnDelta(session, request.group_delta());
    case Frame::kRetire:
      return core_->cluster_requests.OnRetire(session->member,
                                              wire::FromProto(request.retire().deadline()));
    case Frame::kLeave:
      return OnLeave(session);
    default:
      if (request.must_understand()) {
        session->Close(MakeError("PROTOCOL_VIOLATION", "a frame of a later protocol"));
      }
  }
}

void Membership::OnReport(ControlSession* session, const internal::v1::Report& report) {
  Member* member = session->member;
  if (report.seq() > member->last_report) {
    member->last_report = report.seq();
    core_->reconciler.OnReport(member, report);
    if (Mutant("report-ack-before-commit")) session->SendReportAck(report.seq());
  }
  core_->journal.After([this, name = member->name(), number = session->number, seq = report.seq()] {
    Member* m = core_->members.Find(name);
    if (m != nullptr && m->control != nullptr && m->control->number == number) {
      m->control->AckReports(seq);
    }
  });
}

void Membership::OnUpdate(ControlSession* session, const internal::v1::NodeUpdate& update) {
  Member* member = session->member;
  if (update.has_modules()) {
    member->modules.assign(update.modules().modules().begin(), update.modules().modules().end());
  }
  if (update.has_capacity()) *member->record.mutable_capacity() = update.capacity().capacity();
  Changed(member);
  core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_UPDATED, member->name());
  core_->reconciler.OnViewChanged();
}

void Membership::OnLeave(ControlSession* session) {
  Member* member = session->member;
  Die(member, "left");
}

void Membership::OnControlLost(Member* member) {
  // Without commands nothing can be placed there; SUSPECT follows if it stays away.
  core_->reconciler.OnUnreachable(member);
}

// --------------------------------------------------------------------- hello

absl::Status Membership::CheckHello(const internal::v1::Hello& hello) const {
  if (auto problem = NodeNameProblem(hello.name())) {
    return MakeFieldError("HELLO_INVALID", {{"hello.name", *problem}});
  }
  if (hello.process_id().empty()) {
    return MakeFieldError("HELLO_INVALID", {{"hello.process_id", "must not be empty"}});
  }
  const bool other_name =
      !hello.cluster_name().empty() && hello.cluster_name() != core_->options.cluster_name;
  const bool other_id = !hello.cluster_id().empty() &&
                        hello.cluster_id() != core_->meta.cluster_id() &&
                        !core_->safe_mode.GivenUp(hello.cluster_id());
  if (other_name || other_id) {
    return MakeError(
        "WRONG_CLUSTER",
        fmt::format("this is the coordinator of cluster \"{}\"; node \"{}\" belongs to "
                    "another one",
                    core_->options.cluster_name, hello.name()));
  }
  if (auto problem = JoinProblem(hello.protocol().major(), hello.protocol().minor(),
                                 core_->meta.level(), core_->options.feature_level)) {
    return MakeError("FEATURE_LEVEL",
                     fmt::format("node \"{}\" may not join: {}", hello.name(), *problem));
  }
  if (hello.epoch_seen() > core_->epoch && !Mutant("no-epoch-gate")) {
    return MakeError(
        "NOT_LEADER",
        fmt::format("the node has obeyed term {}, this is term {}: an older store, or a "
                    "coordinator that was replaced; if it is the store, restore it with `banyand "
                    "restore --min-epoch {}`",
                    hello.epoch_seen(), core_->epoch, hello.epoch_seen()));
  }
  return absl::OkStatus();
}

absl::StatusOr<Member*> Membership::Admit(const internal::v1::Hello& hello) {
  Member* member = core_->members.Find(hello.name());
  if (core_->safe_mode.KnowsBetter(member, hello)) return JoinAsItSays(hello, member);
  if (member == nullptr) {
    if (hello.incarnation() != 0) return DeadError();
    core_->meta.set_last_node_id(core_->meta.last_node_id() + 1);
    core_->journal.Put("meta", core_->meta);
    return Join(hello, core_->meta.last_node_id(), NextIncarnation(0));
  }
  const internal::v1::NodeRecord& record = member->record;
  const bool same_process = hello.process_id() == record.process_id();
  const bool same_life = hello.incarnation() == record.incarnation();
  if (!member->gone()) {
    // A hello whose answer was lost comes again without an incarnation.
    if (same_process && (same_life || hello.incarnation() == 0)) {
      TakeOver(member, hello);
      return member;
    }
    if (same_process || (hello.incarnation() != 0 && !same_life)) return DeadError();
    if (!Supersedes(hello, record)) {
      return MakeError(
          "NAME_IN_USE",
          fmt::format("node \"{}\" is a member already (incarnation {}, at {}); stop it, "
                      "choose another --name, or wait until it is DEAD",
                      hello.name(), record.incarnation(), record.address()),
          {{"node", hello.name()}});
    }
    member->clock.DecideDeath();
    // Before the death: whose crash it was decides what it counts as.
    core_->reconciler.OnLastCrash(member, hello.last_crash());
    Die(member, "superseded");
  } else if (hello.incarnation() != 0) {
    return DeadError();
  } else if (same_process || Supersedes(hello, record)) {
    // It ended its children before it came back, or the process before it is gone.
    core_->reconciler.OnDeathProven(record.node_id(), record.incarnation());
  }
  return Join(
      hello, record.node_id(),
      Mutant("incarnation-reused") ? record.incarnation() : NextIncarnation(record.incarnation()));
}

uint32_t Membership::NextIncarnation(uint32_t before) const {
  return std::max(before, core_->meta.incarnation_floor()) + 1;
}

Member* Membership::JoinAsItSays(const internal::v1::Hello& hello, Member* before) {
  uint32_t number = hello.node_id();
  const Member* other = core_->members.FindById(number);
  if (number == 0 || (other != nullptr && other->name() != hello.name()))
    number = core_->meta.last_node_id() + 1;
  core_->meta.set_last_node_id(std::max(core_->meta.last_node_id(), number));
  core_->journal.Put("meta", core_->meta);
  if (before != nullptr) {
    Detach(before, absl::AbortedError("a later life of this node is here"));
    if (before->node_id() != number) core_->members.Remove(hello.name());
  }
  Member* member = Join(hello, number, hello.incarnation());
  member->known = false;
  return member;
}

Member* Membership::Join(const internal::v1::Hello& hello, uint32_t node_id, uint32_t incarnation) {
  internal::v1::NodeRecord record;
  FlapHistory flaps;
  Instant quarantined_until;
  if (Member* before = core_->members.Find(hello.name())) {
    record.set_cordoned(before->record.cordoned());
    record.set_cordon_message(before->record.cordon_message());
    *record.mutable_given_labels() = before->record.given_labels();
    *record.mutable_hidden_labels() = before->record.hidden_labels();
    *record.mutable_given_capacity() = before->record.given_capacity();
    flaps = before->flaps;
    quarantined_until = before->quarantined_until;
  }
  record.set_node_id(node_id);
  record.set_name(hello.name());
  record.set_incarnation(incarnation);
  record.set_state(v1::NODE_STATE_JOINING);
  record.set_process_id(hello.process_id());
  *record.mutable_join_time() = core_->wall_proto();
  Member& member = core_->members.Add(std::move(record), core_->times, core_->now());
  member.flaps = std::move(flaps);
  member.quarantined_until = quarantined_until;
  member.drift = DriftGuard(core_->options.drift_window);
  member.control_lost = core_->now();
  member.known = true;
  TakeOver(&member, hello);
  core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_JOINED, member.name());
  return &member;
}

// What this hello says about the node replaces what was known.
void Membership::TakeOver(Member* member, const internal::v1::Hello& hello) {
  internal::v1::NodeRecord& record = member->record;
  const std::string before = record.SerializeAsString();
  record.set_address(hello.address());
  *record.mutable_labels() = hello.labels();
  *record.mutable_capacity() = hello.capacity();
  record.set_machine_id(hello.machine_id());
  record.set_boot_id(hello.boot_id());
  record.set_state_lock(hello.state_lock());
  record.set_start_number(hello.start_number());
  record.set_version(hello.version());
  record.set_level(hello.protocol().minor());
  member->modules.assign(hello.modules().begin(), hello.modules().end());
  member->has_watcher = hello.has_watcher();
  member->last_seen = core_->wall();
  // Map fields have no fixed order in bytes: a needless write at worst.
  if (record.SerializeAsString() != before) Store(*member);
  Changed(member);
}

void Membership::OnHello(ControlSession* session, const internal::v1::Hello& hello) {
  if (session->member != nullptr) {
    return session->Close(MakeError("PROTOCOL_VIOLATION", "a second hello on one stream"));
  }
  core_->safe_mode.OnHello(hello);
  absl::Status status = CheckHello(hello);
  if (!status.ok()) return session->Close(std::move(status));
  // A life in a store that was lost; its children were given up.
  if (hello.incarnation() != 0 && core_->safe_mode.GivenUp(hello.cluster_id()))
    return session->Close(DeadError());
  absl::StatusOr<Member*> admitted = Admit(hello);
  if (!admitted.ok()) {
    // L7: the death that a node hears of may have been decided only.
    if (ErrorReason(admitted.status()) == "DEAD" && !Mutant("death-told-early"))
      return session->CloseWhenStored(admitted.status());
    return session->Close(admitted.status());
  }
  Member* member = *admitted;
  if (ControlSession* old = member->control; old != nullptr) {
    old->member = nullptr;
    old->Close(absl::AbortedError("another control stream of this node took over"));
  }
  session->member = member;
  session->number = core_->sessions.NextNumber();
  session->features = SessionFeatures(FeaturesOfLevel(core_->options.feature_level),
                                      hello.protocol().features(), core_->meta.level());
  if (core_->options.relays_max == 0) session->features &= ~feature::kRelay;
  if (hello.has_last_crash()) session->last_crash = hello.last_crash();
  member->control = session;
  core_->names.OnHello(member->node_id());
  member->joined_at = core_->now();
  member->resynced = false;
  member->control_lost = Instant::Infinite();
  // The incarnation is in the store before the node hears of it; of one that it has already, it
  // was.
  auto greet = [this, name = member->name(), number = session->number] {
    Member* m = core_->members.Find(name);
    if (m == nullptr || m->control == nullptr || m->control->number != number) return;
    Greet(m->control, m);
  };
  hello.incarnation() == member->incarnation() && !core_->safe_mode.on()
      ? core_->journal.AfterUnlessFull(std::move(greet))
      : core_->journal.After(std::move(greet));
}

void Membership::Greet(ControlSession* session, Member* member) {
  internal::v1::HelloAck ack;
  ack.set_cluster_id(core_->meta.cluster_id());
  ack.set_store_id(core_->store_id);
  ack.set_epoch(core_->epoch);
  ack.set_control_session(session->number);
  ack.set_node_id(member->node_id());
  ack.set_incarnation(member->incarnation());
  const CoordinatorOptions& options = core_->options;
  *ack.mutable_times()->mutable_heartbeat() = wire::ToProto(core_->lease_keeper.heartbeat());
  *ack.mutable_times()->mutable_freeze() = wire::ToProto(options.lease_freeze);
  *ack.mutable_times()->mutable_node() = wire::ToProto(options.lease_node);
  *ack.mutable_times()->mutable_coordinator() = wire::ToProto(options.lease_coordinator);
  ack.mutable_protocol()->set_major(kProtocolMajor);
  ack.mutable_protocol()->set_minor(core_->meta.level());
  ack.mutable_protocol()->set_features(session->features);
  ack.set_keep_all(core_->safe_mode.on());
  ack.set_store_revision(core_->deps.store->revision());
  *ack.mutable_labels() = member->record.given_labels();
  for (const std::string& address : options.coordinators) ack.add_coordinators(address);
  if (options.coordinators.empty()) ack.add_coordinators(options.advertise_address);
  session->SendHelloAck(ack);
  internal::v1::ViewUpdate view;
  view.set_version(view_version_);
  view.set_epoch(core_->epoch);
  view.set_full(true);
  for (const auto& [name, other] : core_->members.all()) {
    if (other->gone()) continue;
    *view.add_nodes() = EncodeNode(*core_, *other, /*for_view=*/true);
  }
  session->SendView(view);
}

void Membership::OnResyncEnd(ControlSession* session, const internal::v1::ResyncEnd& end) {
  Member* member = session->member;
  uint64_t count = 0;
  for (const auto& chunk : session->chunks) {
    count +=
        chunk.children_size() + chunk.reports_size() + chunk.names_size() + chunk.groups_size();
  }
  if (end.count() != count) {
    return session->Close(
        MakeError("PROTOCOL_VIOLATION",
                  fmt::format("resync: {} entries came, {} were announced", count, end.count())));
  }
  std::vector<internal::v1::ResyncChunk> chunks = std::move(session->chunks);
  session->chunks.clear();
  if (core_->safe_mode.OnResync(member, chunks)) return;
  // Reports first: they are older than the state that goes with them.
  for (const auto& chunk : chunks) {
    for (const auto& report : chunk.reports()) OnReport(session, report);
  }
  member->resynced = true;
  member->known = true;
  if (member->record.state() == v1::NODE_STATE_JOINING) {
    member->record.set_state(v1::NODE_STATE_ACTIVE);
    Store(*member);
    Changed(member);
    core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_UPDATED, member->name());
  }
  core_->names.OnResync(member, chunks);
  core_->reconciler.OnResync(member, chunks, session->last_crash);
  core_->groups.OnResync(member, chunks);
  core_->lease_keeper.OnResynced(member);
  core_->reconciler.OnViewChanged();
}

// ----------------------------------------------------------------------- end

void Membership::Die(Member* member, const std::string& cause) {
  if (member->gone()) return;
  member->clock.DecideDeath();
  const bool left = cause == "left";
  member->record.set_state(left ? v1::NODE_STATE_LEFT : v1::NODE_STATE_DEAD);
  member->record.set_death_cause(cause);
  member->record.clear_drain();
  Store(*member);
  Changed(member);
  core_->cluster_events.Add(
      left ? v1::ClusterEvent::KIND_NODE_LEFT : v1::ClusterEvent::KIND_NODE_DEAD, member->name());
  core_->names.OnNodeGone(member->node_id(), member->incarnation());
  core_->groups.OnNodeGone(member->node_id(), member->incarnation());
  core_->reconciler.OnNodeGone(member);
  member->suspect = false;
  member->resynced = false;
  if (!left) core_->lease_keeper.OnDeath(member);
  // The node then learns that it is dead.
  Detach(member, left ? absl::OkStatus() : DeadError());
}

void Membership::Detach(Member* member, const absl::Status& status) {
  core_->relays.OnNodeGone(member->node_id(), member->incarnation());
  if (WatcherSession* watcher = std::exchange(member->watcher, nullptr)) watcher->member = nullptr;
  ControlSession* control = std::exchange(member->control, nullptr);
  LeaseSession* lease = std::exchange(member->lease, nullptr);
  if (control != nullptr) {
    control->member = nullptr;
    control->CloseWhenStored(status);
  }
  if (lease != nullptr) {
    lease->member = nullptr;
    lease->CloseWhenStored(status);
  }
}

void Membership::OnWatcherFrame(WatcherSession* session,
                                const internal::v1::WatcherRequest& request) {
  if (!core_->started) {
    return session->Close(MakeError("COORDINATOR_UNAVAILABLE", "the coordinator is starting"));
  }
  if (request.has_watching()) {
    const auto& watching = request.watching();
    if (session->member != nullptr && session->member->watcher == session) {
      session->member->watcher = nullptr;
    }
    session->member = nullptr;
    session->watched = false;
    session->node_id = watching.node_id();
    session->incarnation = watching.incarnation();
    Member* member = core_->members.FindLive(watching.node_id(), watching.incarnation());
    if (member == nullptr || member->record.process_id() != watching.process_id()) return;
    session->member = member;
    session->watched = true;
    if (member->watcher != nullptr && member->watcher != session) member->watcher->member = nullptr;
    member->watcher = session;
    return Changed(member);
  }
  if (!request.has_exited()) return;
  // A certificate counts against exactly the life that was watched.
  Member* member = core_->members.FindLive(session->node_id, session->incarnation);
  if (member != nullptr && session->member == member) {
    core_->reconciler.OnLastCrash(member, request.exited().last_crash());
    Die(member, "watcher");
  } else if (session->watched) {
    core_->reconciler.OnDeathProven(session->node_id, session->incarnation);
  }
  core_->journal.After([sessions = &core_->sessions, id = session->id()] {
    if (Session* open = sessions->Find(id)) static_cast<WatcherSession*>(open)->SendRecorded();
  });
}

// ---------------------------------------------------------------------- view

void Membership::Store(const Member& member) {
  core_->journal.Put(fmt::format("node/{}", member.name()), member.record);
}

void Membership::Changed(Member* member) {
  member->traits_changed = true;
  changed_.insert(member->name());
}

void Membership::FlushView() {
  if (changed_.empty()) return;
  internal::v1::ViewUpdate view;
  view.set_version(++view_version_);
  view.set_epoch(core_->epoch);
  for (const std::string& name : changed_) {
    if (Member* member = core_->members.Find(name)) {
      *view.add_nodes() = EncodeNode(*core_, *member, /*for_view=*/true);
    }
  }
  changed_.clear();
  core_->journal.After([this, view = std::move(view)] {
    core_->sessions.ForEachControl([&](ControlSession* session) { session->SendView(view); });
  });
}

}  // namespace banyan

#include "server/node/held_names.h"

#include <algorithm>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/base/mutant.h"
#include "common/base/target.h"
#include "server/behaviours/lease_lost.h"
#include "server/node/node_core.h"

namespace banyan {
namespace {

absl::Status Unavailable() {
  return MakeError("COORDINATOR_UNAVAILABLE", "this node has no session with the coordinator now");
}

}  // namespace

void HeldNames::Request(std::string name, Pid pid, std::map<std::string, std::string> metadata,
                        bool exclusive, Granted done) {
  if (auto problem = NameProblem(name))
    return done(MakeFieldError("TARGET_INVALID", {{"name", *problem}}));
  pid = wire::Import(pid, node_->identity());
  if (!node_->deps.runtime->IsAlive(pid)) {
    return done(MakeError("NOPROC", fmt::format("{} is no process of this node", FormatPid(pid)),
                          {{"target", FormatPid(pid)}}));
  }
  if (!node_->control.up()) return done(Unavailable());
  internal::v1::ControlRequest request;
  internal::v1::NameRequest* r = request.mutable_name_request();
  r->set_request_seq(++last_request_);
  r->mutable_entry()->set_name(name);
  wire::ToProto(pid, node_->identity(), r->mutable_entry()->mutable_pid());
  r->mutable_entry()->mutable_metadata()->insert(metadata.begin(), metadata.end());
  r->mutable_entry()->set_exclusive(exclusive);
  pending_[last_request_] = {std::move(name), pid, std::move(done)};
  node_->control.Send(request);
}

void HeldNames::OnReply(const internal::v1::NameReply& reply) {
  if (reply.request_seq() == 0) return OnRevoked(reply.entry());
  auto it = pending_.find(reply.request_seq());
  if (it == pending_.end()) return;
  Pending pending = std::move(it->second);
  pending_.erase(it);
  const auto given_up = given_up_.find(pending.name);
  const uint64_t given_up_version = given_up == given_up_.end() ? 0 : given_up->second;
  if (pending_.empty()) given_up_.clear();
  if (reply.recovering()) {
    return pending.done(MakeError("RECOVERING", "the coordinator does not know all names yet"));
  }
  if (!reply.granted()) {
    const Pid holder = wire::FromProto(reply.entry().pid(), {});
    return pending.done(MakeError("NAME_TAKEN",
                                  fmt::format("the name \"{}\" is taken", pending.name),
                                  {{"name", pending.name}, {"pid", FormatPid(holder)}}));
  }
  // The name that it had already; given back since, and the coordinator hears of that after this.
  if (reply.entry().reg_version() <= given_up_version) return pending.done(reply.entry());
  Held& held = held_[pending.name];
  if (held.monitor)
    node_->deps.runtime->Demonitor(held.monitor);  // granted anew to another process
  holders_.erase(held.entry.reg_version());
  held.entry = reply.entry();
  held.entry.set_name(pending.name);
  wire::ToProto(pending.pid, node_->identity(), held.entry.mutable_pid());
  held.pid = pending.pid;
  holders_[held.entry.reg_version()] = held.pid;
  newest_ = std::max(newest_, held.entry.reg_version());
  held.monitor = node_->deps.runtime->Monitor(
      pending.pid, [weak = node_->weak_from_this(), name = pending.name,
                    version = held.entry.reg_version()](Pid, const ExitReason&) {
        if (auto node = weak.lock()) {
          node->Post([name, version](Node::Core& core) { core.names.OnHolderDown(name, version); });
        }
      });
  if (held.entry.exclusive() && !Mutant("exclusive-name-runs-on")) {
    // For the rest of its life.
    node_->deps.runtime->MakeExclusive(held.pid);
    node_->children.ExclusiveChanged();
  }
  pending.done(held.entry);
}

void HeldNames::OnHolderDown(const std::string& name, uint64_t reg_version) {
  auto it = held_.find(name);
  if (it == held_.end() || it->second.entry.reg_version() != reg_version) return;
  if (Mutant("name-outlives-holder")) return;
  ReportGone(Remove(it));
  node_->children.ExclusiveChanged();
}

bool HeldNames::Release(const std::string& name, Pid pid) {
  auto it = held_.find(name);
  if (it == held_.end()) return false;
  if (pid.valid() && wire::Import(pid, node_->identity()) != it->second.pid) return false;
  node_->deps.runtime->Demonitor(it->second.monitor);
  ReportGone(Remove(it));
  return true;
}

void HeldNames::ReportGone(const Held& held) {
  if (!pending_.empty()) given_up_[held.entry.name()] = held.entry.reg_version();
  internal::v1::Report report;
  *report.mutable_name_gone() = held.entry;
  node_->AddReport(std::move(report));
}

void HeldNames::OnSessionLost() {
  std::map<uint64_t, Pending> pending;
  pending.swap(pending_);
  given_up_.clear();
  for (auto& [seq, p] : pending) p.done(Unavailable());
}

void HeldNames::Abandon() {
  OnSessionLost();
  std::map<std::string, Held> held;
  held.swap(held_);
  holders_.clear();
  for (auto& [name, h] : held) {
    node_->deps.runtime->Demonitor(h.monitor);
    Lose(name, h);
  }
}

void HeldNames::Lose(const std::string& name, const Held& held) {
  node_->deps.runtime->Exit(held.pid, ExitReason::Error("name_lost", name));
  // One that traps exits must not go on either: another holder may run by now.
  if (held.entry.exclusive()) node_->deps.runtime->Exit(held.pid, ExitReason::Kill());
}

void HeldNames::OnRevoked(const v1::NameEntry& entry) {
  auto it = held_.find(entry.name());
  if (it == held_.end() || it->second.entry.reg_version() != entry.reg_version()) return;
  const Held held = Remove(it);
  node_->deps.runtime->Demonitor(held.monitor);
  Lose(entry.name(), held);
}

void HeldNames::OnUnregistered(const v1::NameEntry& entry) {
  auto it = held_.find(entry.name());
  if (it == held_.end() || it->second.entry.reg_version() != entry.reg_version()) return;
  node_->deps.runtime->Demonitor(it->second.monitor);
  Remove(it);
}

void HeldNames::OnLeaseLost() {
  for (const auto& [name, held] : held_) {
    if (!held.entry.exclusive())
      node_->deps.runtime->Send(held.pid, Payload::Local(LeaseLost{name}));
  }
}

bool HeldNames::any_exclusive() const {
  return std::any_of(held_.begin(), held_.end(),
                     [](const auto& held) { return held.second.entry.exclusive(); });
}

HeldNames::Held HeldNames::Remove(std::map<std::string, Held>::iterator it) {
  Held held = std::move(it->second);
  held_.erase(it);
  holders_.erase(held.entry.reg_version());
  return held;
}

bool HeldNames::Holds(Pid pid, uint64_t reg_version) const {
  if (auto it = holders_.find(reg_version); it != holders_.end()) return it->second == pid;
  // The word of the grant may come after calls of those who know of it already.
  return reg_version > newest_ &&
         std::any_of(pending_.begin(), pending_.end(),
                     [&](const auto& pending) { return pending.second.pid == pid; });
}

const HeldNames::Held* HeldNames::Find(const std::string& name) const {
  auto it = held_.find(name);
  return it == held_.end() ? nullptr : &it->second;
}

}  // namespace banyan

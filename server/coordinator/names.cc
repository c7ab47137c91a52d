#include "server/coordinator/names.h"

#include <limits>
#include <utility>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/mutant.h"
#include "server/coordinator/core.h"
#include "server/coordinator/page.h"

namespace banyan {

NameTable::NameTable(Coordinator::Core* core)
    : core_(core), interests_(core->options.interests_per_node), watches_(core) {}

void NameTable::Start() {
  core_->tree.ForEach([this](ClusterSupervisor* sup) {
    for (const auto& [key, child] : sup->children) {
      if (child->spec->start.name.empty()) continue;
      children_[child->spec->start.name] = child->path_key;
      // That it is adopted is no news.
      if (child->assigned == Assigned::kRunning && child->pid) watches_.Know(EntryOf(child.get()));
    }
  });
}

absl::Status NameTable::CheckFree(const std::string& name) const {
  if (auto it = children_.find(name); it != children_.end()) {
    return MakeError("NAME_TAKEN", fmt::format("\"{}\" is the name of child {}", name, it->second),
                     {{"name", name}});
  }
  if (auto it = dynamic_.find(name); it != dynamic_.end()) {
    const Pid pid = wire::FromProto(it->second.pid(), {});
    return MakeError("NAME_TAKEN", fmt::format("\"{}\" is registered already", name),
                     {{"name", name}, {"pid", FormatPid(pid)}});
  }
  if (core_->tree.Root(name) != nullptr) {
    return MakeError("NAME_TAKEN", fmt::format("\"{}\" is the name of a supervisor", name),
                     {{"name", name}});
  }
  return absl::OkStatus();
}

absl::Status NameTable::CheckKnown() const {
  if (!recovering() || Mutant("no-recovery-barrier")) return absl::OkStatus();
  return MakeError("RECOVERING", "not all nodes have said which names they hold; try again");
}

void NameTable::ReserveForChild(const Child* child) {
  const std::string& name = child->spec->start.name;
  if (!name.empty()) children_.try_emplace(name, child->path_key);
}

bool NameTable::recovering() const { return core_->members.AwaitsResync(); }

absl::StatusOr<v1::NameEntry> NameTable::Register(const RegisterArgs& args) {
  const auto it = dynamic_.find(args.name);
  if (it != dynamic_.end() && wire::FromProto(it->second.pid(), {}) == args.pid) return it->second;
  BANYAN_RETURN_IF_ERROR(CheckFree(args.name));
  BANYAN_RETURN_IF_ERROR(CheckKnown());
  if (core_->members.FindLive(args.pid.node_id, args.pid.incarnation) == nullptr) {
    return MakeError("NOPROC", fmt::format("no live process {}", FormatPid(args.pid)),
                     {{"target", FormatPid(args.pid)}});
  }
  if (dynamic_.size() >= core_->options.names_max) {
    return MakeError("NODE_OVERLOADED", "the coordinator holds as many names as it is allowed to");
  }
  v1::NameEntry entry;
  entry.set_name(args.name);
  *entry.mutable_pid() = wire::ToProto(args.pid, {});
  *entry.mutable_register_time() = core_->wall_proto();
  entry.mutable_metadata()->insert(args.metadata.begin(), args.metadata.end());
  entry.set_reg_version(core_->NextRegVersion());
  entry.set_exclusive(args.exclusive);
  dynamic_[args.name] = entry;
  Announce(entry, true);
  core_->resolver.OnName(args.name);
  return entry;
}

bool NameTable::Unregister(const UnregisterArgs& args) {
  auto it = dynamic_.find(args.name);
  if (it == dynamic_.end()) return false;
  if (args.reg_version != 0 && it->second.reg_version() != args.reg_version) return false;
  if (args.pid && wire::FromProto(it->second.pid(), {}) != *args.pid) return false;
  LetForget(it->second);
  Drop(args.name);
  return true;
}

void NameTable::Drop(const std::string& name) {
  auto it = dynamic_.find(name);
  const v1::NameEntry entry = std::move(it->second);
  dynamic_.erase(it);
  Announce(entry, false);
}

v1::NameEntry NameTable::EntryOf(const Child* child) const {
  v1::NameEntry entry;
  entry.set_name(child->spec->start.name);
  if (child->pid) *entry.mutable_pid() = wire::ToProto(child->pid, {});
  *entry.mutable_register_time() = wire::ToProto(child->start_time);
  entry.set_reg_version(child->reg_version);
  entry.set_child_name(true);
  entry.set_exclusive(child->spec->exclusivity != Exclusivity::kAvailable);
  return entry;
}

Child* NameTable::ChildOf(const std::string& name) const {
  auto it = children_.find(name);
  return it == children_.end() ? nullptr : core_->tree.FindChild(it->second);
}

const v1::NameEntry* NameTable::Dynamic(const std::string& name) const {
  auto it = dynamic_.find(name);
  return it == dynamic_.end() ? nullptr : &it->second;
}

v1::LookupResponse NameTable::Lookup(const std::string& name) const {
  v1::LookupResponse response;
  if (const Child* child = ChildOf(name)) {
    if (child->assigned == Assigned::kRunning && child->pid) {
      *response.mutable_entry() = EntryOf(child);
    } else {
      response.set_starting(true);
    }
  } else if (const v1::NameEntry* entry = Dynamic(name)) {
    *response.mutable_entry() = *entry;
  }
  return response;
}

v1::ListNamesResponse NameTable::List(const std::string& prefix, const PageArgs& page) const {
  std::map<std::string, v1::NameEntry> all;
  const auto matches = [&](const std::string& name) {
    return name.compare(0, prefix.size(), prefix) == 0;
  };
  for (const auto& [name, path] : children_) {
    const Child* child = core_->tree.FindChild(path);
    if (matches(name) && child != nullptr && child->pid) all[name] = EntryOf(child);
  }
  for (auto it = dynamic_.lower_bound(prefix); it != dynamic_.end() && matches(it->first); ++it) {
    all[it->first] = it->second;
  }
  v1::ListNamesResponse response;
  response.set_next_page_token(
      TakePage(all, page, [&](const std::string&, const v1::NameEntry& entry) {
        *response.add_entries() = entry;
        return true;
      }));
  return response;
}

void NameTable::OnNameRequest(ControlSession* session, const internal::v1::NameRequest& request) {
  internal::v1::NameReply reply;
  reply.set_request_seq(request.request_seq());
  RegisterArgs args;
  args.name = request.entry().name();
  args.pid = wire::FromProto(request.entry().pid(), {});
  args.metadata.insert(request.entry().metadata().begin(), request.entry().metadata().end());
  args.exclusive = request.entry().exclusive();
  absl::StatusOr<v1::NameEntry> granted = Register(args);
  if (granted.ok()) {
    reply.set_granted(true);
    *reply.mutable_entry() = *granted;
  } else {
    reply.set_recovering(ErrorReason(granted.status()) == "RECOVERING");
    *reply.mutable_entry() = Lookup(args.name).entry();
    reply.mutable_entry()->set_name(args.name);
  }
  core_->journal.After([sessions = &core_->sessions, id = session->id(), reply] {
    if (Session* open = sessions->Find(id))
      static_cast<ControlSession*>(open)->SendNameReply(reply);
  });
}

void NameTable::OnNameGone(Member* member, const v1::NameEntry& gone) {
  auto it = dynamic_.find(gone.name());
  // A late report must not take away a newer owner's registration.
  if (it == dynamic_.end()) return watches_.ReleasedBefore(gone);
  if (it->second.reg_version() != gone.reg_version()) return;
  if (it->second.pid().node_id() != member->node_id()) return;
  Drop(gone.name());
}

void NameTable::OnResync(Member* member, const std::vector<internal::v1::ResyncChunk>& chunks) {
  std::set<std::string> held;
  for (const auto& chunk : chunks) {
    for (const v1::NameEntry& entry : chunk.names()) {
      if (entry.child_name()) continue;
      auto it = dynamic_.find(entry.name());
      const bool newer = it != dynamic_.end() && it->second.reg_version() > entry.reg_version();
      if (newer || children_.contains(entry.name())) {
        Revoke(member, entry);
        continue;
      }
      if (!Mutant("resync-releases-names")) held.insert(entry.name());
      if (it != dynamic_.end() && it->second.reg_version() == entry.reg_version()) continue;
      dynamic_[entry.name()] = entry;
      watches_.Registered(entry);
      core_->resolver.OnName(entry.name());
    }
  }
  // What this node had and no longer reports is over: its report was lost with an older session.
  std::vector<std::string> over;
  for (const auto& [name, entry] : dynamic_) {
    if (entry.pid().node_id() == member->node_id() &&
        entry.pid().incarnation() == member->incarnation() && !held.contains(name)) {
      over.push_back(name);
    }
  }
  for (const std::string& name : over) Drop(name);
  watches_.OnHeard();
}

void NameTable::OnNodeGone(uint32_t node_id, uint32_t incarnation) {
  interests_.Forget(node_id);
  std::vector<std::string> over;
  for (const auto& [name, entry] : dynamic_) {
    if (entry.pid().node_id() == node_id && entry.pid().incarnation() == incarnation)
      over.push_back(name);
  }
  for (const std::string& name : over) Drop(name);
  watches_.OnHeard();
}

void NameTable::OnChildStarted(Child* child) {
  const std::string& name = child->spec->start.name;
  if (name.empty()) return;
  children_[name] = child->path_key;
  Announce(EntryOf(child), true);
}

void NameTable::OnChildDown(Child* child) {
  if (!child->spec->start.name.empty()) Announce(EntryOf(child), false);
}

void NameTable::OnChildGone(Child* child) {
  auto it = children_.find(child->spec->start.name);
  if (it != children_.end() && it->second == child->path_key) children_.erase(it);
}

void NameTable::Revoke(Member* member, const v1::NameEntry& entry) {
  core_->journal.After([this, name = member->name(), entry] {
    Member* m = core_->members.Find(name);
    if (m == nullptr || m->control == nullptr) return;
    internal::v1::NameReply lost;  // to no request
    *lost.mutable_entry() = entry;
    m->control->SendNameReply(lost);
  });
}

// Unregistered by another's word: its holder's node forgets it too, or would report it again.
void NameTable::LetForget(const v1::NameEntry& entry) {
  core_->journal.After([this, entry] {
    Member* m = core_->members.FindLive(entry.pid().node_id(), entry.pid().incarnation());
    if (m == nullptr || m->control == nullptr) return;
    internal::v1::RouteUpdate update;
    *update.add_released() = entry;
    m->control->SendRoutes(update);
  });
}

void NameTable::Announce(const v1::NameEntry& entry, bool registered) {
  registered ? watches_.Registered(entry) : watches_.Released(entry);
  const auto* nodes = interests_.Of(entry.name());
  if (nodes == nullptr) return;
  internal::v1::RouteUpdate update;
  *(registered ? update.add_registered() : update.add_released()) = entry;
  core_->journal.After([this, update = std::move(update), nodes = *nodes] {
    core_->sessions.ForEachControl([&](ControlSession* session) {
      if (nodes.contains(session->member->node_id())) session->SendRoutes(update);
    });
  });
}

void NameTable::Subscribe(const std::string& name, uint32_t node_id) {
  std::optional<std::string> untold = interests_.Add(name, node_id);
  if (!untold) return;
  internal::v1::RouteUpdate update;
  update.add_released()->set_name(*std::move(untold));
  update.mutable_released(0)->set_reg_version(std::numeric_limits<uint64_t>::max());
  core_->journal.AfterUnlessFull([this, update = std::move(update), node_id] {
    core_->sessions.ForEachControl([&](ControlSession* session) {
      if (session->member->node_id() == node_id) session->SendRoutes(update);
    });
  });
}

}  // namespace banyan

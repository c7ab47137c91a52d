#include "server/behaviours/pg_scope.h"

#include <map>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/base/target.h"
#include "server/behaviours/pg.h"

namespace banyan {
namespace {

using Kind = GroupChange::Kind;

// The tables by scope, of all runtimes: OTP's named tables, which outlive no process either.
class Tables {
 public:
  static Tables& Get() {
    static auto* const tables = new Tables;
    return *tables;
  }
  using Key = std::pair<const Runtime*, std::string>;
  void Put(Key key, std::shared_ptr<PgTable> table) {
    MutexLock lock(&mu_);
    tables_[std::move(key)] = std::move(table);
  }
  // Unless a later process of the scope has put its own.
  void Remove(const Key& key, const PgTable* table) {
    MutexLock lock(&mu_);
    const auto it = tables_.find(key);
    if (it != tables_.end() && it->second.get() == table) tables_.erase(it);
  }
  std::shared_ptr<const PgTable> Find(const Key& key) const {
    MutexLock lock(&mu_);
    const auto it = tables_.find(key);
    return it == tables_.end() ? nullptr : it->second;
  }

 private:
  mutable Mutex mu_;
  std::map<Key, std::shared_ptr<PgTable>> tables_ ABSL_GUARDED_BY(mu_);
};

absl::Status CheckLocal(const std::vector<Pid>& pids) {
  for (const Pid& pid : pids) {
    if (pid.local()) continue;
    return MakeError(
        "NOT_LOCAL",
        fmt::format("{} is no process of this node, whose groups it may join", FormatPid(pid)),
        {{"pid", FormatPid(pid)}});
  }
  return absl::OkStatus();
}

absl::StatusOr<Payload> Empty(absl::Status status) {
  if (!status.ok()) return status;
  return Payload();
}

}  // namespace

std::shared_ptr<const PgTable> PgTable::Find(const Runtime& runtime, const std::string& scope) {
  return Tables::Get().Find({&runtime, scope});
}

PgScope::~PgScope() {
  if (runtime_ != nullptr) Tables::Get().Remove({runtime_, scope_}, table_.get());
}

Task<Initialised> PgScope::OnInit(std::vector<Payload>) {
  runtime_ = &self().runtime();
  Tables::Get().Put({runtime_, scope_}, table_);
  return Initialised::Ok();
}

Task<Next> PgScope::OnMessage(Message message) {
  if (message.is_call()) {
    const auto* request = message.payload().As<PgRequest>();
    if (request == nullptr) {
      self().Refuse(message.call_from(),
                    MakeError("CALL_NOT_HANDLED", "a scope answers the functions of pg only"));
      return Next::Wait();
    }
    absl::StatusOr<Payload> answer = Serve(*request, message.from());
    if (answer.ok()) {
      self().Answer(message.call_from(), *std::move(answer));
    } else {
      self().Refuse(message.call_from(), answer.status());
    }
  } else if (message.is_down()) {
    OnDown(message.ref(), message.from());
  } else if (const auto* news = message.payload().As<PgNews>()) {
    OnNews(*news);
  }
  return Next::Wait();
}

absl::StatusOr<Payload> PgScope::Serve(const PgRequest& request, Pid caller) {
  switch (request.op) {
    case PgRequest::Op::kJoin:
      return Empty(Join(request.group, request.pids));
    case PgRequest::Op::kLeave:
      return Empty(Leave(request.group, request.pids));
    case PgRequest::Op::kMonitor: {
      pg::GroupMonitor monitor;
      monitor.ref = Subscribe(caller, request.group);
      monitor.members = table_->Read([&](const GroupTable& t) { return t.Members(request.group); });
      return Payload::Local(std::move(monitor));
    }
    case PgRequest::Op::kMonitorScope: {
      pg::ScopeMonitor monitor;
      monitor.ref = Subscribe(caller, std::nullopt);
      monitor.groups = table_->Read([](const GroupTable& t) { return t.All(); });
      return Payload::Local(std::move(monitor));
    }
    case PgRequest::Op::kDemonitor:
      return Payload::Local(Unsubscribe(request.ref));
  }
  return Payload();
}

// ------------------------------------------------------------------- members

absl::Status PgScope::Join(const std::string& group, const std::vector<Pid>& pids) {
  if (auto problem = NameProblem(group)) {
    return MakeFieldError("TARGET_INVALID", {{"group", *problem}});
  }
  if (absl::Status local = CheckLocal(pids); !local.ok()) return local;
  if (pids.empty()) return absl::OkStatus();
  table_->Write([&](GroupTable& t) { t.Join(group, pids); });
  TellLocal({Kind::kJoin, group, pids});
  for (const Pid& pid : pids) {
    Ref& monitor = members_[pid];
    if (monitor == 0) monitor = self().Monitor(pid);  // of a dead one: noproc, soon
  }
  return absl::OkStatus();
}

absl::Status PgScope::Leave(const std::string& group, const std::vector<Pid>& pids) {
  if (absl::Status local = CheckLocal(pids); !local.ok()) return local;
  std::vector<Pid> left = table_->Write([&](GroupTable& t) { return t.Leave(group, pids); });
  if (left.empty()) {
    return MakeError("NOT_JOINED", fmt::format("none of them is in the group \"{}\"", group),
                     {{"group", group}});
  }
  for (const Pid& pid : left) {
    if (table_->Read([&](const GroupTable& t) { return t.Contains(pid); })) continue;
    const auto member = members_.find(pid);
    if (member == members_.end()) continue;  // it was there twice
    self().Demonitor(member->second);
    members_.erase(member);
  }
  TellLocal({Kind::kLeave, group, std::move(left)});
  return absl::OkStatus();
}

void PgScope::OnNews(const PgNews& news) {
  const GroupTable::Changes changes = table_->Write([&](GroupTable& t) -> GroupTable::Changes {
    switch (news.kind) {
      case PgNews::Kind::kJoined:
        t.Join(news.group, news.pids);
        if (news.pids.empty()) return {};
        return {{Kind::kJoin, news.group, news.pids}};
      case PgNews::Kind::kLeft: {
        std::vector<Pid> left = t.Leave(news.group, news.pids);
        if (left.empty()) return {};
        return {{Kind::kLeave, news.group, std::move(left)}};
      }
      case PgNews::Kind::kMembers:
        return t.Replace(news.node_id, news.incarnation, news.group, news.pids);
      case PgNews::Kind::kNodeGone:
        return t.ForgetNode(news.node_id, news.incarnation);
    }
    return {};
  });
  for (const GroupChange& change : changes) Tell(change);
}

void PgScope::OnDown(Ref monitor, Pid pid) {
  if (subscribers_.erase(monitor) > 0) return;
  const auto member = members_.find(pid);
  if (member == members_.end() || member->second != monitor) return;
  members_.erase(member);
  const GroupTable::Changes changes = table_->Write([&](GroupTable& t) { return t.Forget(pid); });
  for (const GroupChange& change : changes) TellLocal(change);
}

// --------------------------------------------------------------- subscribers

Ref PgScope::Subscribe(Pid caller, std::optional<std::string> group) {
  // The monitor's own number is unique in the runtime, so it names the subscription too.
  const Ref monitor = self().Monitor(caller);
  subscribers_[monitor] = {caller, std::move(group)};
  return monitor;
}

bool PgScope::Unsubscribe(Ref ref) {
  if (subscribers_.erase(ref) == 0) return false;
  self().Demonitor(ref);
  return true;
}

void PgScope::TellLocal(const GroupChange& change) {
  if (on_local_) on_local_(change);
  Tell(change);
}

void PgScope::Tell(const GroupChange& change) {
  for (const auto& [ref, subscriber] : subscribers_) {
    if (subscriber.group && *subscriber.group != change.group) continue;
    self().Send(subscriber.pid, Payload::Local(GroupNotice{ref, change}));
  }
}

absl::StatusOr<Payload> PgScope::GetState() {
  return Payload::Local(table_->Read([](const GroupTable& t) { return t.All(); }));
}

}  // namespace banyan

#include "server/behaviours/pg.h"

#include <memory>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/behaviours/module.h"
#include "server/behaviours/pg_scope.h"

namespace banyan::pg {
namespace {

using Op = PgRequest::Op;

Task<absl::StatusOr<Payload>> Ask(Self& self, const std::string& scope, PgRequest request) {
  const std::optional<Pid> pid = self.runtime().Whereis(scope);
  if (!pid) {
    co_return MakeError("NOPROC", fmt::format("the scope \"{}\" is not running", scope),
                        {{"target", scope}});
  }
  co_return co_await self.Call(*pid, Payload::Local(std::move(request)), absl::InfiniteDuration());
}

template <typename T>
Task<absl::StatusOr<T>> AskFor(Self& self, std::string scope, PgRequest request) {
  absl::StatusOr<Payload> answer = co_await Ask(self, scope, std::move(request));
  if (!answer.ok()) co_return answer.status();
  const T* value = answer->As<T>();
  if (!value) co_return MakeError("CALL_NOT_HANDLED", "the process is no scope");
  co_return *value;
}

Task<StartResult> StartScope(Self& self, std::string scope, bool link) {
  StartOptions options;
  options.link = link;
  options.name = scope;
  options.module = "pg";
  options.max_messages = kPgMailboxMax;
  return StartBehaviour(
      self, [scope] { return std::make_unique<PgScope>(scope); }, {}, std::move(options));
}

// What `read` makes of the scope's groups; nothing without the scope.
template <typename F>
auto Read(const Self& self, const std::string& scope, F read) -> decltype(read(GroupTable())) {
  const std::shared_ptr<const PgTable> table = PgTable::Find(self.runtime(), scope);
  if (!table) return {};
  return table->Read(read);
}

}  // namespace

Task<StartResult> StartLink(Self& self, std::string scope) {
  return StartScope(self, std::move(scope), true);
}
Task<StartResult> Start(Self& self, std::string scope) {
  return StartScope(self, std::move(scope), false);
}

Task<absl::Status> Join(Self& self, std::string scope, std::string group, std::vector<Pid> pids) {
  co_return (co_await Ask(self, scope, {Op::kJoin, std::move(group), std::move(pids)})).status();
}
Task<absl::Status> Leave(Self& self, std::string scope, std::string group, std::vector<Pid> pids) {
  co_return (co_await Ask(self, scope, {Op::kLeave, std::move(group), std::move(pids)})).status();
}

std::vector<Pid> GetMembers(const Self& self, const std::string& scope, const std::string& group) {
  return Read(self, scope, [&](const GroupTable& t) { return t.Members(group); });
}
std::vector<Pid> GetLocalMembers(const Self& self, const std::string& scope,
                                 const std::string& group) {
  return Read(self, scope, [&](const GroupTable& t) { return t.LocalMembers(group); });
}
std::vector<std::string> WhichGroups(const Self& self, const std::string& scope) {
  return Read(self, scope, [](const GroupTable& t) { return t.WhichGroups(); });
}
std::vector<std::string> WhichLocalGroups(const Self& self, const std::string& scope) {
  return Read(self, scope, [](const GroupTable& t) { return t.WhichLocalGroups(); });
}

Task<absl::StatusOr<GroupMonitor>> Monitor(Self& self, std::string scope, std::string group) {
  return AskFor<GroupMonitor>(self, std::move(scope), {Op::kMonitor, std::move(group)});
}
Task<absl::StatusOr<ScopeMonitor>> MonitorScope(Self& self, std::string scope) {
  return AskFor<ScopeMonitor>(self, std::move(scope), {Op::kMonitorScope});
}

Task<absl::StatusOr<bool>> Demonitor(Self& self, std::string scope, Ref ref) {
  absl::StatusOr<bool> found =
      co_await AskFor<bool>(self, std::move(scope), {.op = Op::kDemonitor, .ref = ref});
  const auto is_notice = [ref](const Message& m) {
    const auto* notice = m.payload().As<GroupNotice>();
    return notice != nullptr && notice->ref == ref;
  };
  if (found.ok() && *found) {
    while (self.TakeIf(is_notice)) {
    }
  }
  co_return found;
}

}  // namespace banyan::pg

#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "server/behaviours/start.h"
#include "server/core/group_table.h"
#include "server/runtime/self.h"

// Process groups: OTP's pg. A *scope* is a set of groups with a process on each node that keeps
// them, registered under the scope's name. Scopes know nothing of each other. A node starts the
// default scope, whose groups are those of the whole cluster; any other is its runtime's own.
//
// A group is there while it has members. Who joined k times is a member k times and leaves k times;
// who ends has left.

namespace banyan {

// What a subscriber gets for each change: a plain message with this as local payload.
// {Ref, join | leave, Group, Pids}
struct GroupNotice {
  Ref ref = 0;  // of the subscription
  GroupChange change;
};

namespace pg {

inline constexpr char kDefaultScope[] = "pg";

// Starts the process of a scope, with `start_link` linked to the caller. Fails with
// already_started.
Task<StartResult> StartLink(Self& self, std::string scope = kDefaultScope);
Task<StartResult> Start(Self& self, std::string scope = kDefaultScope);

// Each of `pids` joins once, together; they are members when this returns, on other nodes a moment
// later. A process that has ended joins and leaves at once. A group's name is text, as any name.
// Errors: TARGET_INVALID for one that is not (proto/banyan/v1/types.proto); NOT_LOCAL if one of
// them is of another node (metadata pid), and then nobody has joined; NOPROC if the scope is not
// running.
Task<absl::Status> Join(Self& self, std::string scope, std::string group, std::vector<Pid> pids);
// Each of `pids` leaves once. Those that are no members do not count, unless none is: NOT_JOINED.
// Other errors as Join.
Task<absl::Status> Leave(Self& self, std::string scope, std::string group, std::vector<Pid> pids);

// Read here and now, without asking any process. Empty if there is no such group, or scope.
std::vector<Pid> GetMembers(const Self& self, const std::string& scope, const std::string& group);
std::vector<Pid> GetLocalMembers(const Self& self, const std::string& scope,
                                 const std::string& group);
// Sorted; local ones are those with a member of this node.
std::vector<std::string> WhichGroups(const Self& self, const std::string& scope);
std::vector<std::string> WhichLocalGroups(const Self& self, const std::string& scope);

// Who is a member now; the caller gets a GroupNotice for every change after that, till it ends or
// calls Demonitor(). Error: NOPROC if the scope is not running. A subscription ends with its
// scope's process, silently: monitor that.
struct GroupMonitor {
  Ref ref = 0;
  std::vector<Pid> members;  // the group need not exist
};
struct ScopeMonitor {
  Ref ref = 0;
  GroupTable::Groups groups;
};
Task<absl::StatusOr<GroupMonitor>> Monitor(Self& self, std::string scope, std::string group);
Task<absl::StatusOr<ScopeMonitor>> MonitorScope(Self& self, std::string scope);
// Ends a subscription; its notices that the caller has not received yet are dropped. False: the
// scope has no such subscription. Error: NOPROC.
Task<absl::StatusOr<bool>> Demonitor(Self& self, std::string scope, Ref ref);

}  // namespace pg
}  // namespace banyan

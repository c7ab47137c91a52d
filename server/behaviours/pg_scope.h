#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "server/behaviours/behaviour.h"
#include "server/core/group_table.h"

namespace banyan {

// A scope's groups, written by its process alone and read by everybody. Any thread.
class PgTable {
 public:
  template <typename F>
  auto Read(F f) const {
    MutexLock lock(&mu_);
    return f(table_);
  }
  template <typename F>
  auto Write(F f) {
    MutexLock lock(&mu_);
    return f(table_);
  }

  // The table of a scope that runs in `runtime`; null: none does.
  static std::shared_ptr<const PgTable> Find(const Runtime& runtime, const std::string& scope);

 private:
  mutable Mutex mu_;
  GroupTable table_ ABSL_GUARDED_BY(mu_);
};

// Most messages that wait for a scope's process: news that was dropped would be missed for ever.
inline constexpr uint32_t kPgMailboxMax = 0xFFFFFFFF;

// What the functions of pg ask of a scope's process, as the local payload of a call.
struct PgRequest {
  enum class Op : uint8_t {
    kJoin,          // `group`, `pids`; no data
    kLeave,         // the same
    kMonitor,       // `group`; pg::GroupMonitor
    kMonitorScope,  // pg::ScopeMonitor
    kDemonitor,     // `ref`; bool
  };
  Op op = Op::kJoin;
  std::string group;
  std::vector<Pid> pids;
  Ref ref = 0;
};

// What a scope's process is told of other nodes, as the local payload of a plain message: `pids`
// are of one life of one node.
struct PgNews {
  enum class Kind : uint8_t {
    kJoined,    // `group`, `pids`
    kLeft,      // `group`, `pids`
    kMembers,   // the node's members of `group` are `pids`; the difference is told
    kNodeGone,  // all of the node's have left
  };
  Kind kind = Kind::kJoined;
  uint32_t node_id = 0;
  uint32_t incarnation = 0;
  std::string group;
  std::vector<Pid> pids;
};

// The process of one scope. Its state, for sys, is its groups (GroupTable::Groups).
class PgScope final : public Behaviour {
 public:
  // Hears of every change of this node's own members, in order, on the process's turns; must not
  // block.
  using LocalChanges = std::function<void(const GroupChange&)>;

  explicit PgScope(std::string scope, LocalChanges on_local = {})
      : scope_(std::move(scope)), on_local_(std::move(on_local)) {}
  ~PgScope() override;

  Task<Initialised> OnInit(std::vector<Payload> args) override;
  Task<Next> OnMessage(Message message) override;
  absl::StatusOr<Payload> GetState() override;
  std::string_view engine() const override { return "process group scope"; }

 private:
  struct Subscriber {
    Pid pid;
    std::optional<std::string> group;  // of all groups without one
  };

  absl::StatusOr<Payload> Serve(const PgRequest& request, Pid caller);
  absl::Status Join(const std::string& group, const std::vector<Pid>& pids);
  absl::Status Leave(const std::string& group, const std::vector<Pid>& pids);
  Ref Subscribe(Pid caller, std::optional<std::string> group);
  bool Unsubscribe(Ref ref);
  void OnNews(const PgNews& news);
  void OnDown(Ref monitor, Pid pid);
  // A change of this node's members, or of another's.
  void TellLocal(const GroupChange& change);
  void Tell(const GroupChange& change);

  const std::string scope_;
  const LocalChanges on_local_;
  Runtime* runtime_ = nullptr;  // set once the table is known there
  const std::shared_ptr<PgTable> table_ = std::make_shared<PgTable>();
  std::map<Pid, Ref> members_;             // local ones, and the monitor of each
  std::map<Ref, Subscriber> subscribers_;  // by the monitor of each, which names the subscription
};

}  // namespace banyan

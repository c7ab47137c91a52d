#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "common/base/payload.h"

namespace banyan {

// Child and supervisor specifications as data. Field meanings, defaults and limits are those of
// banyan.v1.ChildSpec and SupervisorSpec (proto/banyan/v1/types.proto); server/wire converts and
// validates what comes from outside, ValidateSpec() what comes from code.

enum class Strategy : uint8_t {
  kOneForOne = 1,
  kOneForAll = 2,
  kRestForOne = 3,
  kSimpleOneForOne = 4,
  kDynamic = 5,  // Elixir's DynamicSupervisor
};
enum class AutoShutdown : uint8_t { kNever = 1, kAnySignificant = 2, kAllSignificant = 3 };
enum class RestartType : uint8_t { kPermanent = 1, kTransient = 2, kTemporary = 3 };
enum class ChildType : uint8_t { kWorker = 1, kSupervisor = 2 };
enum class Exclusivity : uint8_t { kExclusive = 1, kAvailable = 2, kStrict = 3 };
enum class Overrun : uint8_t { kAbort = 1, kReport = 2 };
enum class Reconcile : uint8_t { kNewest = 1, kLongestRunning = 2 };

// How a supervisor ends a child: kill at once, or ask with `shutdown` and wait this long (infinite:
// OTP's infinity), then kill.
struct ShutdownPolicy {
  bool brutal_kill = false;
  absl::Duration timeout = absl::Seconds(5);
  static ShutdownPolicy BrutalKill() { return {true, absl::ZeroDuration()}; }
  static ShutdownPolicy Infinity() { return {false, absl::InfiniteDuration()}; }
  static ShutdownPolicy Timeout(absl::Duration d) { return {false, d}; }
  friend bool operator==(const ShutdownPolicy&, const ShutdownPolicy&) = default;
};

struct MailboxSpec {
  enum class Overflow : uint8_t { kSuspend = 1, kReject = 2, kKill = 3 };
  std::optional<uint32_t> max_messages;  // unset: the node's default, 65536
  Overflow overflow = Overflow::kSuspend;
};

// How a process is started: a module registered with the node, and its arguments in order.
struct StartSpec {
  std::string module;
  std::vector<Payload> args;
  std::string name;                                         // registered before init; empty: none
  absl::Duration start_timeout = absl::InfiniteDuration();  // how long init may take
  MailboxSpec mailbox;
};

struct Constraint {
  enum class Op : uint8_t { kIn = 1, kNotIn = 2, kExists = 3, kNotExists = 4 };
  std::string key;
  Op op = Op::kIn;
  std::vector<std::string> values;
};
struct Preference {
  Constraint constraint;
  uint32_t weight = 1;  // 1 to 100
};
struct Spread {
  std::string key;  // node label, or "banyan/node"
  uint32_t max_skew = 1;
  bool required = false;
};

struct Placement {
  enum class Mode : uint8_t { kUnspecified = 0, kLocal = 1, kBalanced = 2, kHash = 3 };
  Mode mode = Mode::kUnspecified;
  std::vector<Constraint> constraints;
  std::vector<Preference> preferences;
  std::vector<Spread> spread;
  std::string node;           // pinned to this node; empty: not pinned
  uint32_t max_per_node = 0;  // 0: no limit
  std::string max_per_node_key;
  absl::Duration lost_after = absl::Seconds(5);
  int32_t priority = 0;
};

struct RestartBackoff {
  absl::Duration initial =
      absl::Milliseconds(100);  // delay of the second restart; the first has none
  absl::Duration max = absl::Seconds(30);
  double multiplier = 2;
  absl::Duration reset_after = absl::Seconds(60);
};

struct SupervisorSpec;

struct ChildSpec {
  std::string id;  // unique among the supervisor's children; ignored in a template
  StartSpec start;
  std::shared_ptr<const SupervisorSpec>
      supervisor;  // a nested supervisor stated in place; else null
  RestartType restart = RestartType::kPermanent;
  std::optional<ShutdownPolicy> shutdown;  // unset: 5 s for workers, infinity for supervisors
  ChildType type = ChildType::kWorker;     // kSupervisor whenever `supervisor` is set
  bool significant = false;
  Placement placement;
  bool has_placement = false;  // false: the supervisor's default_placement
  std::map<std::string, std::string> labels;
  std::optional<RestartBackoff> restart_backoff;  // unset: none locally, the defaults cluster-wide
  Exclusivity exclusivity = Exclusivity::kExclusive;
  Overrun overrun = Overrun::kAbort;
  Reconcile reconcile = Reconcile::kNewest;
  bool movable = false;
  bool hand_off = false;
  std::map<std::string, int64_t> resources;  // empty: weight 1

  ShutdownPolicy shutdown_or_default() const {
    if (shutdown) return *shutdown;
    return type == ChildType::kSupervisor ? ShutdownPolicy::Infinity()
                                          : ShutdownPolicy::Timeout(absl::Seconds(5));
  }
};

struct SupervisorFlags {
  Strategy strategy = Strategy::kOneForOne;
  uint32_t intensity = 1;
  absl::Duration period = absl::Seconds(5);  // whole seconds, at least 1
  AutoShutdown auto_shutdown = AutoShutdown::kNever;
  std::optional<uint64_t> max_children;  // dynamic() only; unset: no limit

  // Any number of children, started one by one and told apart by pid.
  bool dynamic() const {
    return strategy == Strategy::kSimpleOneForOne || strategy == Strategy::kDynamic;
  }
};

struct SupervisorSpec {
  SupervisorFlags flags;
  std::vector<ChildSpec> children;          // start order; empty where flags.dynamic()
  std::optional<ChildSpec> child_template;  // kSimpleOneForOne only
  std::vector<Payload> extra_arguments;     // kDynamic only: before each child's own arguments
  Placement default_placement;
  bool has_default_placement = false;
  Placement placement;  // where the supervisor process itself runs
  std::map<std::string, std::string> labels;
  std::optional<uint32_t> max_unavailable;
  bool parallel_stop = false;
};

}  // namespace banyan

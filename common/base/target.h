#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

#include "common/base/pid.h"

namespace banyan {

// Whom a message is for; banyan.v1.Target as data. All but a pid are resolved anew at every send.
struct Target {
  struct ByPid {
    Pid pid;
    // The node as the text form named it, for whoever knows the nodes to put its number into `pid`;
    // empty if the number is there already.
    std::string node;
    friend bool operator==(const ByPid&, const ByPid&) = default;
  };
  struct Name {
    std::string name;
    friend bool operator==(const Name&, const Name&) = default;
  };
  struct LocalName {
    std::string node;  // a node's name or number
    std::string name;
    friend bool operator==(const LocalName&, const LocalName&) = default;
  };
  struct Group {
    // Values are those of banyan.v1.GroupTarget.Selection.
    enum class Selection : uint8_t { kNearest = 1, kRandom = 2, kLeastLoaded = 3, kHash = 4 };
    std::string group;
    Selection selection = Selection::kNearest;
    std::string hash_key;  // for kHash only
    friend bool operator==(const Group&, const Group&) = default;
  };
  struct ChildPath {
    std::string supervisor;              // registered name of the supervisor at the top
    std::vector<std::string> child_ids;  // from there down, at least one
    friend bool operator==(const ChildPath&, const ChildPath&) = default;
  };

  std::variant<ByPid, Name, LocalName, Group, ChildPath> kind;

  static Target Of(Pid pid) { return {ByPid{pid, {}}}; }
  static Target Named(std::string name) { return {Name{std::move(name)}}; }
  const Pid* pid() const {
    const ByPid* by = std::get_if<ByPid>(&kind);
    return by && by->node.empty() ? &by->pid : nullptr;
  }
  friend bool operator==(const Target&, const Target&) = default;
};

// What is wrong with a name, a child id or a node's name, as half a sentence; nullopt if it is
// legal (the rules are in proto/banyan/v1/types.proto).
std::optional<std::string> NameProblem(std::string_view name);
std::optional<std::string> ChildIdProblem(std::string_view id);
std::optional<std::string> NodeNameProblem(std::string_view name);

// Reads `n1:3:4711.2`, `pid:..`, `name:x`, `name:x@node`, a bare name, `group:g[#random|#nearest|
// #least|#hash=KEY]`, `child:sup/a/b` (a '/' in the supervisor's own name is written %2F).
// Errors: TARGET_INVALID with the field "target".
absl::StatusOr<Target> ParseTarget(std::string_view text);
// NODE:INCARNATION:SLOT[.GENERATION]. Errors: TARGET_INVALID.
absl::StatusOr<Target::ByPid> ParsePid(std::string_view text);
// The text form, which ParseTarget reads back.
std::string FormatTarget(const Target& target);
// OK, or TARGET_INVALID for what ParseTarget would not have made; `field` names it in the error.
absl::Status CheckTarget(const Target& target, std::string_view field = "target");

}  // namespace banyan

#include "client/transport/target.h"

#include <utility>
#include <variant>

#include <fmt/format.h>

#include "common/base/error.h"
#include "common/base/pid.h"
#include "common/base/target.h"

namespace banyan::client {
namespace {

// "TARGET_INVALID: target: .." reads badly where the text itself was typed: only the sentences are
// kept.
absl::Status Wrong(std::string_view text, const absl::Status& status) {
  std::string problems;
  if (auto info = GetErrorInfo(status)) {
    for (const auto& field : info->fields) {
      problems += fmt::format("{}{}", problems.empty() ? "" : "; ", field.description);
    }
  }
  if (problems.empty()) problems = std::string(status.message());
  return absl::InvalidArgumentError(fmt::format("target \"{}\": {}", text, problems));
}

absl::StatusOr<v1::Pid> ToProto(const banyan::Target::ByPid& by, const NodeResolver& resolve) {
  v1::Pid pid;
  pid.set_node_id(by.pid.node_id);
  pid.set_incarnation(by.pid.incarnation);
  pid.set_id(by.pid.id);
  if (by.node.empty()) return pid;
  absl::StatusOr<uint32_t> number = resolve(by.node);
  if (!number.ok()) return number.status();
  pid.set_node_id(*number);
  return pid;
}

absl::StatusOr<v1::Target> ToProto(const banyan::Target& from, const NodeResolver& resolve) {
  v1::Target target;
  if (const auto* by = std::get_if<banyan::Target::ByPid>(&from.kind)) {
    absl::StatusOr<v1::Pid> pid = ToProto(*by, resolve);
    if (!pid.ok()) return pid.status();
    *target.mutable_pid() = *pid;
  } else if (const auto* name = std::get_if<banyan::Target::Name>(&from.kind)) {
    target.set_name(name->name);
  } else if (const auto* local = std::get_if<banyan::Target::LocalName>(&from.kind)) {
    target.mutable_local_name()->set_node(local->node);
    target.mutable_local_name()->set_name(local->name);
  } else if (const auto* group = std::get_if<banyan::Target::Group>(&from.kind)) {
    target.mutable_group()->set_group(group->group);
    target.mutable_group()->set_selection(
        static_cast<v1::GroupTarget::Selection>(group->selection));
    target.mutable_group()->set_hash_key(group->hash_key);
  } else if (const auto* path = std::get_if<banyan::Target::ChildPath>(&from.kind)) {
    target.mutable_child()->set_supervisor(path->supervisor);
    for (const std::string& id : path->child_ids) target.mutable_child()->add_child_ids(id);
  }
  return target;
}

}  // namespace

absl::Status CheckName(std::string_view name, std::string_view what) {
  const std::optional<std::string> problem = NameProblem(name);
  return problem ? absl::InvalidArgumentError(fmt::format("{}: {}", what, *problem))
                 : absl::OkStatus();
}

absl::StatusOr<v1::Pid> ParsePid(std::string_view text, const NodeResolver& resolve) {
  auto by = banyan::ParsePid(text);
  if (!by.ok()) return Wrong(text, by.status());
  return ToProto(*by, resolve);
}

absl::StatusOr<v1::Target> ParseTarget(std::string_view text, const NodeResolver& resolve) {
  auto target = banyan::ParseTarget(text);
  if (!target.ok()) return Wrong(text, target.status());
  return ToProto(*target, resolve);
}

absl::StatusOr<v1::Target> ParseSupervisor(std::string_view text, const NodeResolver& resolve) {
  const bool bare_path = text.find('/') != std::string_view::npos &&
                         text.find_first_of(":@") == std::string_view::npos;
  return ParseTarget(bare_path ? fmt::format("child:{}", text) : std::string(text), resolve);
}

std::string FormatPid(const v1::Pid& pid, const NodeNamer& name) {
  if (pid.id() == 0) return "-";
  const banyan::Pid plain{
      .node_id = pid.node_id(), .incarnation = pid.incarnation(), .id = pid.id()};
  return banyan::FormatPid(plain, name ? name(pid.node_id()) : "");
}

}  // namespace banyan::client

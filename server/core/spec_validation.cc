#include "server/core/spec_validation.h"

#include <cmath>
#include <set>
#include <utility>

#include "fmt/format.h"

namespace banyan {
namespace {

std::string Join(const std::string& path, std::string_view field) {
  return path.empty() ? std::string(field) : fmt::format("{}.{}", path, field);
}

template <typename E>
bool InRange(E value, E last) {
  return static_cast<int>(value) >= 1 && value <= last;
}

void Append(std::vector<SpecProblem>* to, std::vector<SpecProblem> from) {
  for (SpecProblem& p : from) to->push_back(std::move(p));
}

// OTP's rules for significant children, in its order: the first that applies.
void CheckSignificant(const ChildSpec& child, const AutoShutdown* auto_shutdown,
                      const std::string& path, std::vector<SpecProblem>* problems) {
  if (!child.significant) return;
  if (auto_shutdown != nullptr && *auto_shutdown == AutoShutdown::kNever) {
    problems->push_back(
        {Join(path, "significant"),
         "a significant child needs a supervisor whose auto_shutdown is any_significant "
         "or all_significant",
         "bad_combination"});
  } else if (child.restart == RestartType::kPermanent) {
    problems->push_back(
        {Join(path, "significant"),
         "a permanent child is always restarted, so it cannot be significant; make it "
         "transient or temporary",
         "bad_combination"});
  }
}

void CheckShutdown(const ChildSpec& child, const std::string& path,
                   std::vector<SpecProblem>* problems) {
  if (!child.shutdown || child.shutdown->brutal_kill) return;
  if (child.shutdown->timeout < absl::ZeroDuration()) {
    problems->push_back(
        {Join(path, "shutdown.timeout"), "must not be negative", "invalid_shutdown"});
  }
}

void CheckBackoff(const ChildSpec& child, const std::string& path,
                  std::vector<SpecProblem>* problems) {
  if (!child.restart_backoff) return;
  const RestartBackoff& b = *child.restart_backoff;
  const std::string at = Join(path, "restart_backoff");
  if (b.initial < absl::ZeroDuration()) {
    problems->push_back({Join(at, "initial"), "must not be negative", "invalid_restart_backoff"});
  }
  if (b.max < b.initial) {
    problems->push_back({Join(at, "max"), "must be at least initial", "invalid_restart_backoff"});
  }
  if (!(b.multiplier >= 1) || std::isinf(b.multiplier)) {
    problems->push_back({Join(at, "multiplier"), "must be 1 or more", "invalid_restart_backoff"});
  }
  if (b.reset_after < absl::ZeroDuration()) {
    problems->push_back(
        {Join(at, "reset_after"), "must not be negative", "invalid_restart_backoff"});
  }
}

// A dynamic supervisor starts with no child and knows no template.
void CheckDynamic(const SupervisorSpec& spec, std::vector<SpecProblem>* problems) {
  if (!spec.children.empty()) {
    problems->push_back(
        {"children", "must be empty for dynamic; start them one by one", "bad_start_spec"});
  }
  if (spec.child_template) {
    problems->push_back({"child_template", "is only for simple_one_for_one", "bad_start_spec"});
  }
}

}  // namespace

std::vector<SpecProblem> ValidateFlags(const SupervisorFlags& flags, const std::string& path) {
  std::vector<SpecProblem> problems;
  if (!InRange(flags.strategy, Strategy::kDynamic)) {
    problems.push_back({Join(path, "strategy"),
                        "must be one_for_one, one_for_all, rest_for_one, simple_one_for_one or "
                        "dynamic",
                        "invalid_strategy"});
  }
  if (flags.period < absl::Seconds(1) || flags.period == absl::InfiniteDuration() ||
      absl::Trunc(flags.period, absl::Seconds(1)) != flags.period) {
    problems.push_back(
        {Join(path, "period"), "must be whole seconds, at least 1", "invalid_period"});
  }
  if (flags.max_children && !flags.dynamic()) {
    problems.push_back({Join(path, "max_children"), "is only for simple_one_for_one and dynamic",
                        "invalid_max_children"});
  }
  if (!InRange(flags.auto_shutdown, AutoShutdown::kAllSignificant)) {
    problems.push_back({Join(path, "auto_shutdown"),
                        "must be never, any_significant or all_significant",
                        "invalid_auto_shutdown"});
  } else if (flags.strategy == Strategy::kDynamic && flags.auto_shutdown != AutoShutdown::kNever) {
    problems.push_back({Join(path, "auto_shutdown"),
                        "must be never: children of a dynamic supervisor are not significant",
                        "invalid_auto_shutdown"});
  }
  return problems;
}

std::vector<SpecProblem> ValidateChildSpec(const ChildSpec& child,
                                           const AutoShutdown* auto_shutdown,
                                           const std::string& path) {
  std::vector<SpecProblem> problems;
  if (child.id.empty()) {
    problems.push_back({Join(path, "id"), "must not be empty", "missing_id"});
  }
  if (child.supervisor == nullptr && child.start.module.empty()) {
    problems.push_back({Join(path, "start.module"),
                        "name the module to start, or state a supervisor", "missing_start"});
  }
  if (child.start.start_timeout <= absl::ZeroDuration()) {
    problems.push_back({Join(path, "start.start_timeout"),
                        "must be positive; leave it out for none", "invalid_start_timeout"});
  }
  if (!InRange(child.restart, RestartType::kTemporary)) {
    problems.push_back({Join(path, "restart"), "must be permanent, transient or temporary",
                        "invalid_restart_type"});
  }
  CheckSignificant(child, auto_shutdown, path, &problems);
  if (!InRange(child.type, ChildType::kSupervisor)) {
    problems.push_back({Join(path, "type"), "must be worker or supervisor", "invalid_child_type"});
  } else if (child.supervisor != nullptr && child.type != ChildType::kSupervisor) {
    problems.push_back({Join(path, "type"), "must be supervisor where a supervisor is stated",
                        "invalid_child_type"});
  }
  CheckShutdown(child, path, &problems);
  CheckBackoff(child, path, &problems);
  if (child.supervisor != nullptr) {
    const std::string at = Join(path, "supervisor");
    for (SpecProblem& p : ValidateSpec(*child.supervisor)) {
      p.field = Join(at, p.field);
      problems.push_back(std::move(p));
    }
  }
  return problems;
}

std::vector<SpecProblem> ValidateDynamicChildSpec(const ChildSpec& child, const std::string& path) {
  std::vector<SpecProblem> problems = ValidateChildSpec(child, nullptr, path);
  std::erase_if(problems, [](const SpecProblem& p) { return p.otp_error == "bad_combination"; });
  for (SpecProblem& p : problems) {
    if (p.otp_error.starts_with("missing_")) p.otp_error = "invalid_child_spec";
  }
  if (child.significant) {
    problems.push_back({Join(path, "significant"),
                        "children of a dynamic supervisor cannot be significant",
                        "invalid_significant"});
  }
  return problems;
}

std::vector<SpecProblem> ValidateSpec(const SupervisorSpec& spec) {
  std::vector<SpecProblem> problems = ValidateFlags(spec.flags);
  const AutoShutdown* auto_shutdown = &spec.flags.auto_shutdown;
  if (spec.flags.strategy != Strategy::kDynamic && !spec.extra_arguments.empty()) {
    problems.push_back(
        {"extra_arguments", "are only for dynamic supervisors", "invalid_extra_arguments"});
  }
  if (spec.flags.strategy == Strategy::kDynamic) {
    CheckDynamic(spec, &problems);
    return problems;
  }
  if (spec.flags.strategy == Strategy::kSimpleOneForOne) {
    if (!spec.children.empty()) {
      problems.push_back({"children", "must be empty for simple_one_for_one; use child_template",
                          "bad_start_spec"});
    }
    if (!spec.child_template) {
      problems.push_back({"child_template",
                          "simple_one_for_one needs the one spec of all its children",
                          "bad_start_spec"});
    } else {
      // The template's id names nothing, so it may be left out.
      ChildSpec named = *spec.child_template;
      if (named.id.empty()) named.id = "template";
      Append(&problems, ValidateChildSpec(named, auto_shutdown, "child_template"));
    }
    return problems;
  }
  if (spec.child_template) {
    problems.push_back({"child_template", "is only for simple_one_for_one", "bad_start_spec"});
  }
  for (size_t i = 0; i < spec.children.size(); ++i) {
    Append(&problems,
           ValidateChildSpec(spec.children[i], auto_shutdown, fmt::format("children[{}]", i)));
  }
  std::set<std::string_view> ids;
  for (size_t i = 0; i < spec.children.size(); ++i) {
    const std::string& id = spec.children[i].id;
    if (id.empty() || ids.insert(id).second) continue;
    problems.push_back({fmt::format("children[{}].id", i),
                        fmt::format("\"{}\" is the id of an earlier child", id),
                        "duplicate_child_name"});
  }
  return problems;
}

}  // namespace banyan

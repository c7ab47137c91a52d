#include <cmath>
#include <memory>
#include <unordered_set>
#include <utility>

#include "fmt/format.h"

#include "common/base/target.h"
#include "common/wire/payload.h"
#include "common/wire/time.h"
#include "common/wire/utf8.h"
#include "server/wire/child_spec.h"
#include "server/wire/placement.h"
#include "server/wire/spec_problems.h"

namespace banyan::wire {
namespace {

constexpr size_t kModuleMax = 255;

SupervisorSpec DecodeSupervisor(const v1::SupervisorSpec& in, const std::string& field, int depth,
                                SpecProblems* problems);

MailboxSpec DecodeMailbox(const v1::MailboxSpec& in, const std::string& field,
                          SpecProblems* problems) {
  MailboxSpec out;
  if (in.has_max_messages()) out.max_messages = in.max_messages();
  if (in.has_max_messages() && in.max_messages() == 0) {
    problems->Add(field + ".max_messages", "is 0; it must be at least 1");
  }
  if (in.overflow() == v1::MailboxSpec::OVERFLOW_REJECT)
    out.overflow = MailboxSpec::Overflow::kReject;
  if (in.overflow() == v1::MailboxSpec::OVERFLOW_KILL) out.overflow = MailboxSpec::Overflow::kKill;
  return out;
}

std::vector<Payload> DecodeArgs(const google::protobuf::RepeatedPtrField<v1::Payload>& in,
                                const std::string& field, SpecProblems* problems) {
  std::vector<Payload> out;
  const bool had_room = problems->args_bytes <= kSpecArgsBytesMax;
  for (int i = 0; i < in.size(); ++i) {
    problems->args_bytes += in.Get(i).ByteSizeLong();
    std::vector<ErrorInfo::FieldViolation> found;
    CheckPayload(in.Get(i), fmt::format("{}[{}]", field, i), &found);
    for (auto& [at, what] : found) problems->Add(std::move(at), std::move(what));
    out.push_back(FromProto(in.Get(i)));
  }
  if (had_room && problems->args_bytes > kSpecArgsBytesMax) {
    problems->Add(field, fmt::format("the arguments of the whole specification exceed {} bytes",
                                     kSpecArgsBytesMax));
  }
  return out;
}

StartSpec DecodeStart(const v1::StartSpec& in, const std::string& field, SpecProblems* problems) {
  StartSpec out{.module = in.module()};
  if (in.module().empty()) {
    problems->Add(field + ".module", "is empty; it names the module to start");
  } else if (in.module().size() > kModuleMax) {
    problems->Add(field + ".module", fmt::format("has {} bytes; at most {} are allowed",
                                                 in.module().size(), kModuleMax));
  }
  out.args = DecodeArgs(in.args(), field + ".args", problems);
  if (!in.name().empty()) problems->AddIf(field + ".name", NameProblem(in.name()));
  out.name = in.name();
  out.start_timeout =
      DecodeDuration(in.has_start_timeout(), in.start_timeout(), absl::InfiniteDuration(),
                     absl::Milliseconds(1), field + ".start_timeout", problems);
  out.mailbox = DecodeMailbox(in.mailbox(), field + ".mailbox", problems);
  return out;
}

std::optional<ShutdownPolicy> DecodeShutdown(const v1::ShutdownPolicy& in, const std::string& field,
                                             SpecProblems* problems) {
  switch (in.policy_case()) {
    case v1::ShutdownPolicy::kBrutalKill:
      return ShutdownPolicy::BrutalKill();
    case v1::ShutdownPolicy::kInfinity:
      return ShutdownPolicy::Infinity();
    case v1::ShutdownPolicy::kTimeout:
      return ShutdownPolicy::Timeout(DecodeDuration(true, in.timeout(), absl::ZeroDuration(),
                                                    absl::ZeroDuration(), field + ".timeout",
                                                    problems));
    case v1::ShutdownPolicy::POLICY_NOT_SET:
      break;
  }
  return std::nullopt;
}

RestartBackoff DecodeBackoff(const v1::RestartBackoff& in, const std::string& field,
                             SpecProblems* problems) {
  RestartBackoff out;
  const absl::Duration zero = absl::ZeroDuration();
  out.initial = DecodeDuration(in.has_initial(), in.initial(), out.initial, zero,
                               field + ".initial", problems);
  out.max = DecodeDuration(in.has_max(), in.max(), std::max(out.max, out.initial), zero,
                           field + ".max", problems);
  out.reset_after = DecodeDuration(in.has_reset_after(), in.reset_after(), out.reset_after, zero,
                                   field + ".reset_after", problems);
  if (in.has_multiplier()) out.multiplier = in.multiplier();
  if (!std::isfinite(out.multiplier) || out.multiplier < 1) {
    problems->Add(field + ".multiplier",
                  fmt::format("is {}; it must be a number from 1", out.multiplier));
  }
  if (out.max < out.initial) {
    problems->Add(field + ".max",
                  fmt::format("is {}; it must not be less than initial, {}",
                              absl::FormatDuration(out.max), absl::FormatDuration(out.initial)));
  }
  return out;
}

RestartType DecodeRestart(v1::RestartType in) {
  switch (in) {
    case v1::RESTART_TYPE_TRANSIENT:
      return RestartType::kTransient;
    case v1::RESTART_TYPE_TEMPORARY:
      return RestartType::kTemporary;
    default:
      return RestartType::kPermanent;
  }
}

void DecodeBody(const v1::ChildSpec& in, const std::string& field, int depth, ChildSpec& out,
                SpecProblems* problems) {
  out.type = in.type() == v1::CHILD_TYPE_SUPERVISOR ? ChildType::kSupervisor : ChildType::kWorker;
  switch (in.body_case()) {
    case v1::ChildSpec::kStart:
      out.start = DecodeStart(in.start(), field + ".start", problems);
      break;
    case v1::ChildSpec::kSupervisor:
      if (in.type() == v1::CHILD_TYPE_WORKER) {
        problems->Add(field + ".type", "is WORKER, but the child is a supervisor");
      }
      out.type = ChildType::kSupervisor;
      out.supervisor = std::make_shared<const SupervisorSpec>(
          DecodeSupervisor(in.supervisor(), field + ".supervisor", depth + 1, problems));
      break;
    case v1::ChildSpec::BODY_NOT_SET:
      problems->Add(field, "says not what to start; set one of start and supervisor");
  }
}

// What only children of cluster-wide supervisors use.
void DecodeClusterPart(const v1::ChildSpec& in, const std::string& field, ChildSpec& out,
                       SpecProblems* problems) {
  if (in.exclusivity() == v1::EXCLUSIVITY_AVAILABLE) out.exclusivity = Exclusivity::kAvailable;
  if (in.exclusivity() == v1::EXCLUSIVITY_STRICT) out.exclusivity = Exclusivity::kStrict;
  if (in.overrun() == v1::OVERRUN_REPORT) out.overrun = Overrun::kReport;
  if (in.reconcile() == v1::RECONCILE_LONGEST_RUNNING) out.reconcile = Reconcile::kLongestRunning;
  out.movable = in.movable();
  out.hand_off = in.hand_off();
  out.resources = {in.resources().begin(), in.resources().end()};
  for (const auto& [name, amount] : out.resources) {
    problems->AddIf(field + ".resources", LabelKeyProblem(name));
    if (amount < 0) {
      problems->Add(field + ".resources",
                    fmt::format("'{}' is {}; it must not be negative", Utf8(name, 100), amount));
    }
  }
}

ChildSpec DecodeChild(const v1::ChildSpec& in, const std::string& field, int depth,
                      bool is_template, SpecProblems* problems) {
  ChildSpec out;
  out.id = in.id();
  if (!is_template) problems->AddIf(field + ".id", ChildIdProblem(in.id()));
  DecodeBody(in, field, depth, out, problems);
  out.restart = DecodeRestart(in.restart());
  out.shutdown = DecodeShutdown(in.shutdown(), field + ".shutdown", problems);
  out.significant = in.significant();
  if (out.significant && out.restart == RestartType::kPermanent) {
    problems->Add(field + ".significant",
                  "a significant child must be TRANSIENT or TEMPORARY, not PERMANENT");
  }
  out.has_placement = in.has_placement();
  if (in.has_placement()) {
    out.placement = DecodePlacement(in.placement(), field + ".placement", problems);
  }
  out.labels = DecodeLabels(in.labels(), field + ".labels", problems);
  if (in.has_restart_backoff()) {
    out.restart_backoff = DecodeBackoff(in.restart_backoff(), field + ".restart_backoff", problems);
  }
  DecodeClusterPart(in, field, out, problems);
  return out;
}

SupervisorFlags DecodeFlags(const v1::SupervisorSpec& in, const std::string& field,
                            SpecProblems* problems) {
  SupervisorFlags out;
  switch (in.strategy()) {
    case v1::SupervisorSpec::STRATEGY_ONE_FOR_ALL:
      out.strategy = Strategy::kOneForAll;
      break;
    case v1::SupervisorSpec::STRATEGY_REST_FOR_ONE:
      out.strategy = Strategy::kRestForOne;
      break;
    case v1::SupervisorSpec::STRATEGY_SIMPLE_ONE_FOR_ONE:
      out.strategy = Strategy::kSimpleOneForOne;
      break;
    case v1::SupervisorSpec::STRATEGY_DYNAMIC:
      out.strategy = Strategy::kDynamic;
      break;
    default:
      break;
  }
  if (in.auto_shutdown() == v1::SupervisorSpec::AUTO_SHUTDOWN_ANY_SIGNIFICANT) {
    out.auto_shutdown = AutoShutdown::kAnySignificant;
  }
  if (in.auto_shutdown() == v1::SupervisorSpec::AUTO_SHUTDOWN_ALL_SIGNIFICANT) {
    out.auto_shutdown = AutoShutdown::kAllSignificant;
  }
  if (out.strategy == Strategy::kDynamic && out.auto_shutdown != AutoShutdown::kNever) {
    problems->Add(field + ".auto_shutdown", "must be NEVER for the strategy DYNAMIC");
  }
  if (in.has_max_children()) out.max_children = in.max_children();
  if (in.has_max_children() && !out.dynamic()) {
    problems->Add(field + ".max_children",
                  "is only for the strategies SIMPLE_ONE_FOR_ONE and DYNAMIC");
  }
  if (in.has_intensity()) out.intensity = in.intensity();
  out.period = DecodeDuration(in.has_period(), in.period(), out.period, absl::Seconds(1),
                              field + ".period", problems);
  if (in.has_period() && in.period().nanos() != 0) {
    problems->Add(field + ".period", "must be whole seconds");
  }
  return out;
}

void CheckSignificant(const ChildSpec& child, AutoShutdown auto_shutdown, const std::string& field,
                      SpecProblems* problems) {
  if (child.significant && auto_shutdown == AutoShutdown::kNever) {
    problems->Add(field + ".significant",
                  "a child can be significant only if the supervisor's auto_shutdown isn't NEVER");
  }
}

void DecodeTemplate(const v1::SupervisorSpec& in, const std::string& field, int depth,
                    SupervisorSpec& out, SpecProblems* problems) {
  const bool simple = out.flags.strategy == Strategy::kSimpleOneForOne;
  if (!simple && in.has_child_template()) {
    problems->Add(field + ".child_template", "is only for the strategy SIMPLE_ONE_FOR_ONE");
  }
  if (out.flags.dynamic() && in.children_size() > 0) {
    problems->Add(field + ".children",
                  simple ? "must be empty for SIMPLE_ONE_FOR_ONE, whose children are made from the "
                           "template"
                         : "must be empty for DYNAMIC, whose children are started one by one");
  }
  if (simple && !in.has_child_template()) {
    problems->Add(field + ".child_template", "is unset; SIMPLE_ONE_FOR_ONE needs it");
  }
  if (!in.has_child_template()) return;
  const std::string at = field + ".child_template";
  out.child_template = DecodeChild(in.child_template(), at, depth, true, problems);
  CheckSignificant(*out.child_template, out.flags.auto_shutdown, at, problems);
}

void DecodeChildren(const v1::SupervisorSpec& in, const std::string& field, int depth,
                    SupervisorSpec& out, SpecProblems* problems) {
  const bool had_room = problems->children <= kSpecChildrenMax;
  problems->children += in.children_size();
  if (problems->children > kSpecChildrenMax) {
    if (had_room) {
      problems->Add(field + ".children", fmt::format("the whole specification has more than {} "
                                                     "children",
                                                     kSpecChildrenMax));
    }
    return;
  }
  std::unordered_set<std::string_view> ids;
  out.children.reserve(static_cast<size_t>(in.children_size()));
  for (int i = 0; i < in.children_size(); ++i) {
    const std::string at = fmt::format("{}.children[{}]", field, i);
    const v1::ChildSpec& child = in.children(i);
    out.children.push_back(DecodeChild(child, at, depth, false, problems));
    CheckSignificant(out.children.back(), out.flags.auto_shutdown, at, problems);
    if (!child.id().empty() && !ids.insert(child.id()).second) {
      problems->Add(at + ".id", fmt::format("'{}' is the id of an earlier child too; ids must be "
                                            "unique",
                                            Utf8(child.id(), 255)));
    }
  }
}

void DecodeExtraArguments(const v1::SupervisorSpec& in, const std::string& field,
                          SupervisorSpec& out, SpecProblems* problems) {
  if (in.extra_arguments_size() > 0 && out.flags.strategy != Strategy::kDynamic) {
    problems->Add(field + ".extra_arguments", "is only for the strategy DYNAMIC");
  }
  out.extra_arguments = DecodeArgs(in.extra_arguments(), field + ".extra_arguments", problems);
}

SupervisorSpec DecodeSupervisor(const v1::SupervisorSpec& in, const std::string& field, int depth,
                                SpecProblems* problems) {
  SupervisorSpec out;
  if (depth > kSpecDepthMax) {
    problems->Add(field, fmt::format("is nested more than {} supervisors deep", kSpecDepthMax));
    return out;
  }
  out.flags = DecodeFlags(in, field, problems);
  DecodeTemplate(in, field, depth, out, problems);
  DecodeExtraArguments(in, field, out, problems);
  DecodeChildren(in, field, depth, out, problems);
  out.has_default_placement = in.has_default_placement();
  if (in.has_default_placement()) {
    out.default_placement =
        DecodePlacement(in.default_placement(), field + ".default_placement", problems);
  }
  if (in.has_placement()) {
    out.placement = DecodePlacement(in.placement(), field + ".placement", problems);
  }
  out.labels = DecodeLabels(in.labels(), field + ".labels", problems);
  if (in.has_max_unavailable()) out.max_unavailable = in.max_unavailable();
  if (in.has_max_unavailable() && in.max_unavailable() == 0) {
    problems->Add(field + ".max_unavailable", "is 0; it must be at least 1");
  }
  out.parallel_stop = in.parallel_stop();
  return out;
}

}  // namespace

absl::StatusOr<ChildSpec> DecodeChildSpec(const v1::ChildSpec& in, std::string_view field) {
  SpecProblems problems;
  ChildSpec out = DecodeChild(in, std::string(field), 0, false, &problems);
  if (!problems.empty()) return std::move(problems).ToStatus();
  return out;
}

absl::StatusOr<SupervisorSpec> DecodeSupervisorSpec(const v1::SupervisorSpec& in,
                                                    std::string_view field) {
  SpecProblems problems;
  SupervisorSpec out = DecodeSupervisor(in, std::string(field), 0, &problems);
  if (!problems.empty()) return std::move(problems).ToStatus();
  return out;
}

absl::StatusOr<StartSpec> DecodeStartSpec(const v1::StartSpec& in, std::string_view field) {
  SpecProblems problems;
  StartSpec out = DecodeStart(in, std::string(field), &problems);
  if (!problems.empty()) return std::move(problems).ToStatus();
  return out;
}

}  // namespace banyan::wire

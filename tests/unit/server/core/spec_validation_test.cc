#include "server/core/spec_validation.h"

#include <gtest/gtest.h>

namespace banyan {
namespace {

ChildSpec Child(std::string id) {
  ChildSpec c;
  c.id = std::move(id);
  c.start.module = "m";
  return c;
}

std::string Errors(const std::vector<SpecProblem>& problems) {
  std::string text;
  for (const SpecProblem& p : problems)
    text += (text.empty() ? "" : " ") + p.field + "=" + p.otp_error;
  return text;
}

TEST(ValidateSpec, SUP013DefaultsAreValid) {
  SupervisorSpec s;
  s.children = {Child("a"), Child("b")};
  EXPECT_EQ(Errors(ValidateSpec(s)), "");
}

TEST(ValidateSpec, SUP015NamesWhatIsMissing) {
  SupervisorSpec s;
  s.children = {ChildSpec()};
  EXPECT_EQ(Errors(ValidateSpec(s)),
            "children[0].id=missing_id children[0].start.module=missing_start");
}

TEST(ValidateSpec, SUP028Flags) {
  SupervisorFlags f;
  f.strategy = static_cast<Strategy>(9);
  f.period = absl::ZeroDuration();
  f.auto_shutdown = static_cast<AutoShutdown>(0);
  EXPECT_EQ(Errors(ValidateFlags(f)),
            "strategy=invalid_strategy period=invalid_period auto_shutdown=invalid_auto_shutdown");
  for (absl::Duration bad :
       {absl::Milliseconds(1500), absl::InfiniteDuration(), -absl::Seconds(1)}) {
    f = SupervisorFlags();
    f.period = bad;
    EXPECT_EQ(Errors(ValidateFlags(f, "flags")), "flags.period=invalid_period");
  }
}

TEST(ValidateSpec, SUP026DuplicatesAndTemplates) {
  SupervisorSpec s;
  s.children = {Child("a"), Child("b"), Child("a")};
  EXPECT_EQ(Errors(ValidateSpec(s)), "children[2].id=duplicate_child_name");
  s.flags.strategy = Strategy::kSimpleOneForOne;
  EXPECT_EQ(Errors(ValidateSpec(s)), "children=bad_start_spec child_template=bad_start_spec");
  s.children.clear();
  s.child_template = Child("");
  EXPECT_EQ(Errors(ValidateSpec(s)), "");
  s.flags.strategy = Strategy::kOneForAll;
  EXPECT_EQ(Errors(ValidateSpec(s)), "child_template=bad_start_spec");
}

TEST(ValidateSpec, DYN005DynamicSupervisors) {
  SupervisorSpec s;
  s.flags.strategy = Strategy::kDynamic;
  s.flags.max_children = 0;
  s.extra_arguments = {Payload::Any("t", "")};
  EXPECT_EQ(Errors(ValidateSpec(s)), "");
  s.children = {Child("a")};
  s.child_template = Child("");
  s.flags.auto_shutdown = AutoShutdown::kAllSignificant;
  EXPECT_EQ(Errors(ValidateSpec(s)),
            "auto_shutdown=invalid_auto_shutdown children=bad_start_spec "
            "child_template=bad_start_spec");
  s = {};
  s.flags.max_children = 1;
  s.extra_arguments = {Payload::Any("t", "")};
  EXPECT_EQ(Errors(ValidateSpec(s)),
            "max_children=invalid_max_children extra_arguments=invalid_extra_arguments");
}

TEST(ValidateSpec, DYN012ChildrenOfDynamicSupervisors) {
  EXPECT_EQ(Errors(ValidateDynamicChildSpec(ChildSpec())),
            "id=invalid_child_spec start.module=invalid_child_spec");
  ChildSpec c = Child("a");
  c.significant = true;
  EXPECT_EQ(Errors(ValidateDynamicChildSpec(c)), "significant=invalid_significant");
}

TEST(ValidateSpec, SUP027SignificantCombinations) {
  const AutoShutdown never = AutoShutdown::kNever;
  const AutoShutdown any = AutoShutdown::kAnySignificant;
  const AutoShutdown all = AutoShutdown::kAllSignificant;
  for (const AutoShutdown* auto_shutdown :
       {static_cast<const AutoShutdown*>(nullptr), &never, &any, &all}) {
    for (RestartType restart :
         {RestartType::kPermanent, RestartType::kTransient, RestartType::kTemporary}) {
      for (bool significant : {false, true}) {
        ChildSpec c = Child("a");
        c.restart = restart;
        c.significant = significant;
        const bool bad =
            significant && (restart == RestartType::kPermanent || auto_shutdown == &never);
        EXPECT_EQ(Errors(ValidateChildSpec(c, auto_shutdown)),
                  bad ? "significant=bad_combination" : "");
      }
    }
  }
}

TEST(ValidateSpec, ValuesOutOfRange) {
  ChildSpec c = Child("a");
  c.restart = static_cast<RestartType>(7);
  c.type = static_cast<ChildType>(0);
  c.shutdown = ShutdownPolicy::Timeout(-absl::Milliseconds(10));
  c.restart_backoff = RestartBackoff{absl::Seconds(2), absl::Seconds(1), 0.5, -absl::Seconds(1)};
  EXPECT_EQ(
      Errors(ValidateChildSpec(c, nullptr, "spec")),
      "spec.restart=invalid_restart_type spec.type=invalid_child_type "
      "spec.shutdown.timeout=invalid_shutdown spec.restart_backoff.max=invalid_restart_backoff "
      "spec.restart_backoff.multiplier=invalid_restart_backoff "
      "spec.restart_backoff.reset_after=invalid_restart_backoff");
  for (const ShutdownPolicy& ok : {ShutdownPolicy::BrutalKill(), ShutdownPolicy::Infinity(),
                                   ShutdownPolicy::Timeout(absl::ZeroDuration())}) {
    c = Child("a");
    c.shutdown = ok;
    EXPECT_EQ(Errors(ValidateChildSpec(c, nullptr)), "");
  }
}

TEST(ValidateSpec, NestedSupervisorsAreCheckedWithTheirPath) {
  SupervisorSpec inner;
  inner.children = {Child("x"), Child("x")};
  ChildSpec c = Child("sup");
  c.type = ChildType::kSupervisor;
  c.supervisor = std::make_shared<const SupervisorSpec>(inner);
  SupervisorSpec s;
  s.children = {c};
  EXPECT_EQ(Errors(ValidateSpec(s)), "children[0].supervisor.children[1].id=duplicate_child_name");
}

}  // namespace
}  // namespace banyan

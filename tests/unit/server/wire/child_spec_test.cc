#include "server/wire/child_spec.h"

#include <limits>

#include "gmock/gmock.h"

namespace banyan::wire {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

v1::ChildSpec Worker(const std::string& id) {
  v1::ChildSpec out;
  out.set_id(id);
  out.mutable_start()->set_module("counter");
  return out;
}

std::vector<std::string> Fields(const absl::Status& status) {
  std::vector<std::string> out;
  EXPECT_EQ(ErrorReason(status), "SPEC_INVALID") << status;
  const std::optional<ErrorInfo> info = GetErrorInfo(status);
  if (!info) return out;
  for (const auto& field : info->fields) out.push_back(field.field);
  return out;
}

TEST(DecodeChildSpec, PutsInTheDefaults) {
  absl::StatusOr<ChildSpec> spec = DecodeChildSpec(Worker("a"));
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->restart, RestartType::kPermanent);
  EXPECT_EQ(spec->type, ChildType::kWorker);
  EXPECT_FALSE(spec->shutdown);
  EXPECT_EQ(spec->shutdown_or_default(), ShutdownPolicy::Timeout(absl::Seconds(5)));
  EXPECT_EQ(spec->start.start_timeout, absl::InfiniteDuration());
  EXPECT_EQ(spec->exclusivity, Exclusivity::kExclusive);
  EXPECT_FALSE(spec->has_placement);
  EXPECT_FALSE(spec->restart_backoff);
}

TEST(DecodeChildSpec, ANestedSupervisorIsASupervisor) {
  v1::ChildSpec in;
  in.set_id("sub");
  *in.mutable_supervisor()->add_children() = Worker("a");
  absl::StatusOr<ChildSpec> spec = DecodeChildSpec(in);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->type, ChildType::kSupervisor);
  EXPECT_EQ(spec->shutdown_or_default(), ShutdownPolicy::Infinity());
  EXPECT_EQ(spec->supervisor->children[0].id, "a");
  in.set_type(v1::CHILD_TYPE_WORKER);
  EXPECT_THAT(Fields(DecodeChildSpec(in).status()), ElementsAre("spec.type"));
}

TEST(DecodeChildSpec, ListsAllThatIsWrong) {
  v1::ChildSpec in;
  in.set_id("a/b");
  in.mutable_start()->set_name("no spaces");
  in.mutable_start()->mutable_start_timeout()->set_seconds(-1);
  in.mutable_start()->mutable_mailbox()->set_max_messages(0);
  in.mutable_start()->add_args()->mutable_value()->set_type_url("bad");
  in.mutable_shutdown()->mutable_timeout()->set_nanos(-5);
  in.set_significant(true);
  (*in.mutable_labels())["banyan/x"] = "1";
  in.mutable_restart_backoff()->set_multiplier(std::numeric_limits<double>::quiet_NaN());
  (*in.mutable_resources())["cpu"] = -1;
  in.mutable_placement()->set_node("12");
  in.mutable_placement()->add_constraints()->set_key("zone");
  in.mutable_placement()->add_preferences()->mutable_constraint()->set_key("zone");
  in.mutable_placement()->add_spread()->set_max_skew(0);
  EXPECT_THAT(Fields(DecodeChildSpec(in).status()),
              UnorderedElementsAre(
                  "spec.id", "spec.start.module", "spec.start.name", "spec.start.start_timeout",
                  "spec.start.mailbox.max_messages", "spec.start.args[0].value.type_url",
                  "spec.shutdown.timeout", "spec.significant", "spec.labels",
                  "spec.restart_backoff.multiplier", "spec.resources", "spec.placement.node",
                  "spec.placement.constraints[0].values", "spec.placement.preferences[0].weight",
                  "spec.placement.preferences[0].constraint.values", "spec.placement.spread[0].key",
                  "spec.placement.spread[0].max_skew"));
}

TEST(DecodeChildSpec, NeedsABody) {
  v1::ChildSpec in;
  in.set_id("a");
  EXPECT_THAT(Fields(DecodeChildSpec(in).status()), ElementsAre("spec"));
}

TEST(DecodeSupervisorSpec, PutsInTheDefaults) {
  absl::StatusOr<SupervisorSpec> spec = DecodeSupervisorSpec({});
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->flags.strategy, Strategy::kOneForOne);
  EXPECT_EQ(spec->flags.intensity, 1u);
  EXPECT_EQ(spec->flags.period, absl::Seconds(5));
  EXPECT_EQ(spec->flags.auto_shutdown, AutoShutdown::kNever);
  v1::SupervisorSpec zero;
  zero.set_intensity(0);
  EXPECT_EQ(DecodeSupervisorSpec(zero)->flags.intensity, 0u);
}

TEST(DecodeSupervisorSpec, NamesTheChild) {
  v1::SupervisorSpec in;
  in.mutable_period()->set_nanos(500'000'000);
  *in.add_children() = Worker("a");
  *in.add_children() = Worker("b");
  *in.add_children() = Worker("a");
  in.mutable_children(1)->set_restart(v1::RESTART_TYPE_TRANSIENT);
  in.mutable_children(1)->set_significant(true);
  in.mutable_children(2)->mutable_shutdown()->mutable_timeout()->set_seconds(-1);
  EXPECT_THAT(
      Fields(DecodeSupervisorSpec(in).status()),
      UnorderedElementsAre("spec.period", "spec.period", "spec.children[2].shutdown.timeout",
                           "spec.children[1].significant", "spec.children[2].id"));
}

TEST(DecodeSupervisorSpec, TemplatesAreForSimpleOneForOneOnly) {
  v1::SupervisorSpec in;
  *in.mutable_child_template() = Worker("");
  EXPECT_THAT(Fields(DecodeSupervisorSpec(in).status()), ElementsAre("spec.child_template"));
  in.set_strategy(v1::SupervisorSpec::STRATEGY_SIMPLE_ONE_FOR_ONE);
  EXPECT_TRUE(DecodeSupervisorSpec(in).ok());
  *in.add_children() = Worker("a");
  EXPECT_THAT(Fields(DecodeSupervisorSpec(in).status()), ElementsAre("spec.children"));
  in.clear_children();
  in.clear_child_template();
  EXPECT_THAT(Fields(DecodeSupervisorSpec(in).status()), ElementsAre("spec.child_template"));
}

TEST(DecodeSupervisorSpec, DynamicSupervisors) {
  v1::SupervisorSpec in;
  in.set_strategy(v1::SupervisorSpec::STRATEGY_DYNAMIC);
  in.set_max_children(0);
  in.add_extra_arguments()->mutable_value()->set_type_url("type.googleapis.com/x.Y");
  absl::StatusOr<SupervisorSpec> spec = DecodeSupervisorSpec(in);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->flags.strategy, Strategy::kDynamic);
  EXPECT_EQ(spec->flags.max_children, 0u);
  EXPECT_EQ(spec->extra_arguments.size(), 1u);
  v1::SupervisorSpec again;
  EncodeSupervisorSpec(*spec, &again);
  EXPECT_EQ(again.strategy(), v1::SupervisorSpec::STRATEGY_DYNAMIC);
  EXPECT_TRUE(again.has_max_children());
  EXPECT_EQ(again.extra_arguments(0).value().type_url(), "type.googleapis.com/x.Y");

  *in.add_children() = Worker("a");
  *in.mutable_child_template() = Worker("");
  in.set_auto_shutdown(v1::SupervisorSpec::AUTO_SHUTDOWN_ANY_SIGNIFICANT);
  EXPECT_THAT(Fields(DecodeSupervisorSpec(in).status()),
              UnorderedElementsAre("spec.children", "spec.child_template", "spec.auto_shutdown"));
  in.clear_children();
  in.clear_child_template();
  in.clear_auto_shutdown();
  in.set_strategy(v1::SupervisorSpec::STRATEGY_ONE_FOR_ALL);
  EXPECT_THAT(Fields(DecodeSupervisorSpec(in).status()),
              UnorderedElementsAre("spec.max_children", "spec.extra_arguments"));
  in.clear_extra_arguments();
  in.set_strategy(v1::SupervisorSpec::STRATEGY_SIMPLE_ONE_FOR_ONE);
  *in.mutable_child_template() = Worker("");
  EXPECT_EQ(DecodeSupervisorSpec(in)->flags.max_children, 0u);
}

TEST(DecodeSupervisorSpec, HasLimits) {
  v1::SupervisorSpec many;
  for (int i = 0; i <= kSpecChildrenMax; ++i) many.add_children();
  EXPECT_THAT(Fields(DecodeSupervisorSpec(many).status()), ElementsAre("spec.children"));

  v1::SupervisorSpec wrong;
  for (int i = 0; i < kSpecChildrenMax; ++i) wrong.add_children();
  EXPECT_LE(Fields(DecodeSupervisorSpec(wrong).status()).size(), 1001u);

  v1::SupervisorSpec large;
  *large.add_children() = Worker("a");
  auto* any = large.mutable_children(0)->mutable_start()->add_args()->mutable_value();
  any->set_type_url("type.googleapis.com/x.Y");
  any->set_value(std::string(kSpecArgsBytesMax, 'x'));
  EXPECT_THAT(Fields(DecodeSupervisorSpec(large).status()),
              ElementsAre("spec.children[0].start.args"));

  v1::SupervisorSpec deep;
  v1::SupervisorSpec* at = &deep;
  for (int i = 0; i < kSpecDepthMax + 1; ++i) {
    v1::ChildSpec* child = at->add_children();
    child->set_id("s");
    at = child->mutable_supervisor();
  }
  EXPECT_EQ(Fields(DecodeSupervisorSpec(deep).status()).size(), 1u);
}

TEST(Encode, RoundTrips) {
  v1::SupervisorSpec in;
  in.set_strategy(v1::SupervisorSpec::STRATEGY_REST_FOR_ONE);
  in.set_intensity(0);
  in.set_auto_shutdown(v1::SupervisorSpec::AUTO_SHUTDOWN_ANY_SIGNIFICANT);
  in.set_max_unavailable(3);
  v1::ChildSpec* child = in.add_children();
  *child = Worker("a");
  child->set_restart(v1::RESTART_TYPE_TRANSIENT);
  child->set_significant(true);
  child->mutable_shutdown()->mutable_brutal_kill();
  child->mutable_placement()->set_mode(v1::Placement::MODE_HASH);
  child->mutable_placement()->set_priority(-3);
  child->mutable_restart_backoff();
  (*child->mutable_labels())["tier"] = "gold";
  child->mutable_start()->mutable_mailbox()->set_max_messages(10);
  child->mutable_start()->add_args()->mutable_value()->set_type_url("type.googleapis.com/x.Y");
  absl::StatusOr<SupervisorSpec> spec = DecodeSupervisorSpec(in);
  ASSERT_TRUE(spec.ok()) << spec.status();
  v1::SupervisorSpec once, twice;
  EncodeSupervisorSpec(*spec, &once);
  absl::StatusOr<SupervisorSpec> again = DecodeSupervisorSpec(once);
  ASSERT_TRUE(again.ok()) << again.status();
  EncodeSupervisorSpec(*again, &twice);
  EXPECT_EQ(once.DebugString(), twice.DebugString());
  EXPECT_EQ(once.children(0).shutdown().policy_case(), v1::ShutdownPolicy::kBrutalKill);
  EXPECT_EQ(once.intensity(), 0u);
  EXPECT_TRUE(once.has_intensity());
  EXPECT_EQ(once.max_unavailable(), 3u);
}

}  // namespace
}  // namespace banyan::wire

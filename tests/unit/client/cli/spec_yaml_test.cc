#include "client/cli/spec_yaml.h"

#include "client/transport/payload.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace banyan::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

SpecFile Read(const std::string& text) {
  client::TypeRegistry types;
  return ReadSpecYaml(text, &types);
}

TEST(SpecYaml, ReadsTheSampleOfTheDocs) {
  const SpecFile file = Read(R"(
name: shop
annotations: {commit: 9f31c2e}
spec:
  strategy: one_for_one
  intensity: 3
  period: 5s
  children:
  - id: catalog
    start: {module: kv, args: [{'@type': type.googleapis.com/banyan.modules.v1.KvArgs, name: de}, [1, "2"]]}
  - id: payments
    supervisor:
      strategy: rest_for_one
      children:
      - {id: ledger,  start: {module: Ledger, name: ledger}, shutdown: 30s}
      - {id: gateway, start: {module: Gateway}, exclusivity: available, restart_backoff: {initial: 1s}}
      - id: settlement
        start: {module: Settlement}
        placement: {constraints: [{key: zone, op: in, values: [eu-3]}]}
  - id: carts
    supervisor:
      strategy: simple_one_for_one
      child_template:
        start: {module: Cart}
        restart: transient
        shutdown: brutal_kill
        placement: {max_per_node: 200, spread: [{key: zone}]}
)");
  ASSERT_THAT(file.problems, SizeIs(0)) << file.problems[0];
  EXPECT_EQ(file.name, "shop");
  const v1::SupervisorSpec& spec = file.spec;
  EXPECT_EQ(spec.strategy(), v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE);
  EXPECT_EQ(spec.intensity(), 3u);
  EXPECT_EQ(spec.period().seconds(), 5);
  ASSERT_EQ(spec.children_size(), 3);
  client::TypeRegistry types;
  EXPECT_EQ(client::PayloadToJson(spec.children(0).start().args(1), &types, false), "[1,\"2\"]");
  const v1::SupervisorSpec& payments = spec.children(1).supervisor();
  EXPECT_EQ(payments.children(0).shutdown().timeout().seconds(), 30);
  EXPECT_EQ(payments.children(1).exclusivity(), v1::EXCLUSIVITY_AVAILABLE);
  EXPECT_EQ(payments.children(2).placement().constraints(0).op(), v1::Constraint::OPERATOR_IN);
  const v1::ChildSpec& cart = spec.children(2).supervisor().child_template();
  EXPECT_TRUE(cart.shutdown().has_brutal_kill());
  EXPECT_EQ(cart.placement().max_per_node(), 200u);
}

TEST(SpecYaml, ListsEveryProblemWithLineAndField) {
  const SpecFile file = Read(R"(strategy: one_for_none
intensity: -1
colour: red
children:
- id: a
  id: b
  start: {module: x}
  supervisor: {}
  shutdown: never
- id: [c]
  start: {args: 5}
)");
  EXPECT_THAT(
      file.problems,
      ElementsAre(HasSubstr("line 1: strategy: \"one_for_none\" is not one of one_for_one"),
                  HasSubstr("line 2: intensity: \"-1\" is not a whole number"),
                  HasSubstr("line 3: colour: there is no such field"),
                  HasSubstr("line 6: children[0].id: is given twice"),
                  HasSubstr("line 8: children[0].supervisor: can't be given together with start"),
                  HasSubstr("line 9: children[0].shutdown: \"never\" is not a shutdown policy"),
                  HasSubstr("line 10: children[1].id: must be a single value"),
                  HasSubstr("line 11: children[1].start.args: must be a list")));
}

TEST(SpecYaml, SurvivesWhatIsNotYaml) {
  for (const char* text :
       {"", "[", "a: [1", "- 1", "5", "{a: b", "\t- x", "a: &x *x", "? [a]\n: b", "%FOO\n---\nx"}) {
    EXPECT_THAT(Read(text).problems, testing::Not(SizeIs(0))) << text;
  }
}

}  // namespace
}  // namespace banyan::cli

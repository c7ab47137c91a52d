// Commands against a server with canned answers, flags included.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "banyan/modules/v1/kv.pb.h"
#include "tests/unit/client/cli/fake_server.h"

namespace banyan::cli {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class Commands : public testing::Test {
 protected:
  Ran Banyan(std::vector<std::string> args, const std::string& input = "", bool terminal = false) {
    return RunBanyan(server_.address(), std::move(args), input, terminal);
  }
  FakeServer server_;
};

TEST_F(Commands, StatusShowsClusterAndNodes) {
  const Ran ran = Banyan({"status"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("Cluster   dev  (2 nodes, coordinator coord-0, epoch 4)"));
  EXPECT_THAT(ran.out, HasSubstr("NODE  STATE "));
  EXPECT_THAT(ran.out, HasSubstr("n2    active"));
}

TEST_F(Commands, StatusCheckAnswersWithItsExitCode) {
  EXPECT_EQ(Banyan({"status", "--check"}).code, 0);
  server_.all_well = false;
  const Ran ran = Banyan({"status", "--check"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.out, "not ok: n2 is suspect\n");
}

TEST_F(Commands, ListsComeInEveryFormat) {
  EXPECT_EQ(Banyan({"node", "list", "-q"}).out, "n1\nn2\n");
  EXPECT_EQ(Banyan({"node", "ls", "-o", "name"}).out, "n1\nn2\n");
  EXPECT_EQ(json::parse(Banyan({"node", "list", "-o", "json"}).out)["nodes"][1]["state"],
            "NODE_STATE_ACTIVE");
  const std::string lines = Banyan({"-o", "jsonl", "node", "list"}).out;
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2);
  EXPECT_THAT(Banyan({"node", "list", "-o", "yaml"}).out, HasSubstr("name: n1"));
  EXPECT_THAT(Banyan({"node", "list", "--no-headers"}).out, StartsWith("n1"));
  EXPECT_THAT(Banyan({"node", "list", "-o", "wide"}).out, HasSubstr("INCARNATION"));
}

TEST_F(Commands, SupStartSendsWhatTheFlagsSay) {
  const Ran ran = Banyan({"sup", "start", "workers", "--strategy", "simple_one_for_one",
                          "--cluster-wide", "--intensity", "0", "--period", "10s", "--module", "kv",
                          "--restart", "transient", "--shutdown", "brutal_kill", "--args",
                          R"([{"@type": "banyan.modules.v1.KvArgs", "name": "x"}])"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "started workers, kept by the coordinator\n");
  const v1::StartSupervisorRequest& sent = server_.started_supervisor;
  EXPECT_EQ(sent.name(), "workers");
  EXPECT_TRUE(sent.cluster_wide());
  EXPECT_EQ(sent.request_id().size(), 36u);
  EXPECT_TRUE(sent.spec().has_intensity());
  EXPECT_EQ(sent.spec().period().seconds(), 10);
  EXPECT_EQ(sent.spec().child_template().start().module(), "kv");
  EXPECT_EQ(sent.spec().child_template().restart(), v1::RESTART_TYPE_TRANSIENT);
  EXPECT_TRUE(sent.spec().child_template().shutdown().has_brutal_kill());
  modules::v1::KvArgs args;
  ASSERT_EQ(sent.spec().child_template().start().args_size(), 1);
  ASSERT_TRUE(sent.spec().child_template().start().args(0).value().UnpackTo(&args));
  EXPECT_EQ(args.name(), "x");
}

TEST_F(Commands, SupStartTakesAFile) {
  const Ran ran =
      Banyan({"sup", "start", "-f", "-"}, "name: shop\nspec:\n  strategy: rest_for_one\n");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(server_.started_supervisor.name(), "shop");
  EXPECT_EQ(server_.started_supervisor.spec().strategy(),
            v1::SupervisorSpec::STRATEGY_REST_FOR_ONE);
  const Ran bad =
      Banyan({"sup", "start", "x", "-f", "-"}, "strategy: some_for_one\nintensity: many\n");
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.err, HasSubstr("2 problems"));
  EXPECT_THAT(bad.err, HasSubstr("line 1: strategy"));
  EXPECT_THAT(bad.err, HasSubstr("line 2: intensity"));
}

TEST_F(Commands, DestructiveOnesAskOrRefuse) {
  const Ran refused = Banyan({"sup", "stop", "shop"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--yes"));
  EXPECT_EQ(Banyan({"sup", "stop", "shop"}, "n\n", true).code, 1);
  EXPECT_EQ(server_.stops, 0);
  EXPECT_EQ(Banyan({"sup", "stop", "shop"}, "y\n", true).code, 0);
  EXPECT_EQ(Banyan({"sup", "stop", "shop", "--yes"}).out, "shop stopped: shutdown\n");
  EXPECT_EQ(server_.stops, 2);
  EXPECT_EQ(Banyan({"kill", "counter"}).code, 2);
  EXPECT_EQ(server_.exits, 0);
  EXPECT_EQ(Banyan({"kill", "counter", "-y"}).out, "sent kill to n2:3:81\n");
  EXPECT_EQ(Banyan({"kill", "counter", "-y", "--reason", "boredom"}).code, 2);
}

TEST_F(Commands, ChildStartBuildsASpecOrExtraArgs) {
  const Ran ran =
      Banyan({"child", "start", "shop", "--id", "cart", "--module", "kv", "--name", "cart/1",
              "--node", "n2", "--available", "--significant", "--restart", "temporary"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "started n2:3:101\n");
  const v1::ChildSpec& spec = server_.started_child.spec();
  EXPECT_EQ(spec.id(), "cart");
  EXPECT_EQ(spec.start().name(), "cart/1");
  EXPECT_EQ(spec.placement().node(), "n2");
  EXPECT_EQ(spec.exclusivity(), v1::EXCLUSIVITY_AVAILABLE);
  EXPECT_TRUE(spec.significant());

  EXPECT_EQ(
      Banyan({"child", "start", "shop/carts", "--args", R"([{"user": 17}])", "-o", "name"}).out,
      "n2:3:101\n");
  EXPECT_EQ(server_.started_child.extra_args().args_size(), 1);
  EXPECT_EQ(server_.started_child.supervisor().child().child_ids(0), "carts");
  EXPECT_EQ(Banyan({"child", "start", "shop", "--id", "x"}).code, 2);
}

TEST_F(Commands, ErrorsTellReasonAndHint) {
  const Ran ran = Banyan({"child", "start", "shop", "--id", "taken", "--module", "kv"});
  EXPECT_EQ(ran.code, 6);
  EXPECT_EQ(ran.err,
            "error: already exists: child \"taken\" is running as n1:3:9\n"
            "  reason  CHILD_ALREADY_STARTED\n"
            "  hint    banyan child list shop\n");
  EXPECT_THAT(ran.out, IsEmpty());
  const Ran unknown = Banyan({"call", "counter/us", "banyan.modules.v1.Size", "{}"});
  EXPECT_EQ(unknown.code, 4);
  EXPECT_EQ(unknown.err,
            "error: not found: no process is registered as \"counter/us\"\n"
            "  reason  NAME_NOT_REGISTERED; the call did not run\n"
            "  hint    banyan name list counter/; a name of one node is counter/us@NODE\n");
  const Ran local = Banyan({"call", "counter/us@n2", "banyan.modules.v1.Size", "{}"});
  EXPECT_THAT(local.err, ::testing::EndsWith("  hint    banyan name list counter/\n"));
}

TEST_F(Commands, CallPrintsTheReplyItself) {
  const Ran ran = Banyan({"call", "counter/eu", "banyan.modules.v1.Get", R"({"key": "a"})"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(json::parse(ran.out), json::parse(R"({"found": true, "value": "aGk="})"));
  modules::v1::Get get;
  ASSERT_TRUE(server_.called.payload().value().UnpackTo(&get));
  EXPECT_EQ(get.key(), "a");
  EXPECT_EQ(server_.called.timeout().seconds(), 10);

  const Ran whole = Banyan({"call", "counter/eu", "banyan.modules.v1.Size", "-o", "json"});
  EXPECT_EQ(json::parse(whole.out)["payload"]["value"]["@type"],
            "type.googleapis.com/banyan.modules.v1.GetReply");
  EXPECT_EQ(Banyan({"call", "counter/eu", "-"}, "{\"by\": 5}").code, 0);
  EXPECT_EQ(server_.called.payload().value().type_url(),
            "type.googleapis.com/google.protobuf.Value");
  EXPECT_EQ(Banyan({"call", "counter/eu", "banyan.modules.v1.Get", R"({"nokey": 1})"}).code, 2);
  EXPECT_EQ(Banyan({"call", "counter/eu", "acme.v1.Service/Method", "{}"}).code, 2);
}

TEST_F(Commands, ActorSpawnSendsWhatTheFlagsSay) {
  const Ran ran = Banyan({"actor", "spawn", "kv", "--args", "[1]", "--name", "x", "--node", "n2",
                          "--link", "n2:3:90"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "started n2:3:81\n");
  EXPECT_EQ(server_.spawned.start().module(), "kv");
  EXPECT_EQ(server_.spawned.start().args_size(), 1);
  EXPECT_EQ(server_.spawned.start().name(), "x");
  EXPECT_EQ(server_.spawned.placement().node(), "n2");
  EXPECT_EQ(server_.spawned.link_to().node_id(), 2u);
  EXPECT_EQ(server_.spawned.link_to().id(), 90u);
  EXPECT_FALSE(server_.spawned.request_id().empty());
  EXPECT_THAT(Banyan({"actor", "spawn", "kv", "--name", "none"}).out, HasSubstr("ignore"));
  EXPECT_FALSE(server_.spawned.has_link_to());
  EXPECT_EQ(Banyan({"actor", "spawn", "kv", "--link", "counter/eu"}).code, 2);
}

TEST_F(Commands, LinesOfStdinAreSentInOrder) {
  std::string input;
  for (int i = 1; i <= 1500; ++i) input += "{\"key\": \"" + std::to_string(i) + "\"}\n\n";
  const Ran ran = Banyan({"cast", "counter/eu", "banyan.modules.v1.Get", "--lines"}, input);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "1500 of 1500 in the mailbox of counter/eu\n");
  ASSERT_EQ(server_.streamed.size(), 1500u);
  for (size_t i = 0; i < 1500; ++i) {
    modules::v1::Get get;
    ASSERT_EQ(server_.streamed[i].seq(), i + 1);
    ASSERT_TRUE(server_.streamed[i].payload().value().UnpackTo(&get));
    ASSERT_EQ(get.key(), std::to_string(i + 1));
    ASSERT_TRUE(server_.streamed[i].cast());
  }
  server_.streamed.clear();
  EXPECT_EQ(Banyan({"send", "counter/eu", "--lines"}, "1").code, 0);
  ASSERT_EQ(server_.streamed.size(), 1u);
  EXPECT_FALSE(server_.streamed[0].cast());
}

TEST_F(Commands, LinesThatDoNotArriveAreTold) {
  const Ran full = Banyan({"send", "full", "--lines"}, "1\n\n2\n");
  EXPECT_EQ(full.code, 1);
  EXPECT_EQ(full.out, "0 of 2 in the mailbox of full\n");
  EXPECT_EQ(full.err, "line 1: MAILBOX_FULL\nline 3: MAILBOX_FULL\n");

  const Ran bad = Banyan({"send", "counter/eu", "--lines"}, "1\n{\n2\n");
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.err, HasSubstr("line 2: not sent"));
  EXPECT_EQ(bad.out, "1 of 1 in the mailbox of counter/eu\n");

  const Ran broken = Banyan({"send", "counter/us", "--lines"}, "1\n");
  EXPECT_EQ(broken.code, 7);
  EXPECT_THAT(broken.err, HasSubstr("NODE_STOPPING"));

  EXPECT_EQ(Banyan({"send", "counter/eu", "--lines", "--ack"}).code, 2);
  EXPECT_EQ(Banyan({"send", "counter/eu", "--lines", "{}"}).code, 2);
}

TEST_F(Commands, CallResolvesANodesNameInAPid) {
  ASSERT_EQ(Banyan({"call", "n2:3:81", "banyan.modules.v1.Size"}).code, 0);
  EXPECT_EQ(server_.called.target().pid().node_id(), 2u);
  EXPECT_EQ(server_.list_nodes_calls, 2);  // two pages, once
  const Ran ran = Banyan({"call", "n7:3:81", "banyan.modules.v1.Size"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_THAT(ran.err, HasSubstr("NODE_NOT_FOUND"));
}

TEST_F(Commands, ChildListShowsPidsWithNamesAndFences) {
  EXPECT_THAT(Banyan({"child", "list", "shop"}).out,
              HasSubstr("cart  worker  running  n2:3:101  kv"));
  EXPECT_THAT(Banyan({"child", "list", "shop", "-o", "wide"}).out, HasSubstr("4.17.1"));
}

TEST_F(Commands, TreeDrawsBoxes) {
  const Ran ran = Banyan({"tree", "shop"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out,
            "shop           supervisor  cluster  up       one_for_one 3/5s\n"
            "├─ payments    supervisor  n1:3:14  up       rest_for_one 1/5s\n"
            "│  └─ ledger   worker      n2:3:15  up       kv  restarts 3\n"
            "└─ settlement  worker      -        pending  no_node_fits\n");
}

TEST_F(Commands, TreeOfAllRootsAndForPrograms) {
  EXPECT_THAT(Banyan({"tree"}).out, StartsWith("shop "));
  EXPECT_EQ(
      json::parse(
          Banyan({"tree", "shop", "-o", "json"}).out)["root"]["children"][1]["child"]["state"],
      "CHILD_STATE_PENDING");
  EXPECT_EQ(json::parse(Banyan({"tree", "-o", "json"}).out).size(), 1u);
  const std::string mermaid = Banyan({"tree", "shop", "-o", "mermaid"}).out;
  EXPECT_THAT(mermaid,
              StartsWith("graph TD\n  n0[\"shop<br/>one_for_one 3/5s<br/>cluster, up\"]\n"));
  EXPECT_THAT(mermaid, HasSubstr("n0 --> n1\n"));
  EXPECT_EQ(Banyan({"status", "-o", "mermaid"}).code, 2);
}

TEST_F(Commands, EventsResumeWithTheirToken) {
  const Ran ran = Banyan({"events", "shop"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(server_.watch_tokens, ElementsAre("", "t1"));
  EXPECT_THAT(ran.out, HasSubstr("child exited          shop/cart"));
  EXPECT_THAT(ran.out, HasSubstr("killed"));
  EXPECT_THAT(ran.out, HasSubstr("child restarted"));
  EXPECT_THAT(ran.err, HasSubstr("opening it again"));
}

TEST_F(Commands, EventsForProgramsAreOnePerLine) {
  const std::string out = Banyan({"events", "-o", "jsonl"}).out;
  EXPECT_EQ(json::parse(out.substr(0, out.find('\n')))["kind"], "KIND_CHILD_EXITED");
  EXPECT_EQ(Banyan({"events", "--kind", "nonsense"}).code, 2);
}

TEST_F(Commands, MonitorAnswersWithItsExitCode) {
  EXPECT_EQ(Banyan({"monitor", "counter"}).code, 0);
  server_.monitored_end = v1::ExitReason::KIND_KILLED;
  const Ran ran = Banyan({"monitor", "counter"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.out, "counter  n2:3:81  killed\n");
}

TEST_F(Commands, HealthIsForProbes) {
  EXPECT_EQ(Banyan({"health"}).out, "serving\n");
  EXPECT_EQ(Banyan({"health", "no.such.Service"}).code, 4);
}

TEST_F(Commands, WaitGoesOnUntilItIsSo) {
  EXPECT_EQ(Banyan({"wait", "--for", "node/n2=active"}).code, 0);
  EXPECT_GE(server_.get_node_calls, 3);
  EXPECT_EQ(Banyan({"wait", "--for", "child/shop/cart=running", "--for", "name/counter"}).code, 0);
  const Ran no = Banyan({"wait", "--for", "name/nobody", "--timeout", "120ms"});
  EXPECT_EQ(no.code, 1);
  EXPECT_THAT(no.err, HasSubstr("not satisfied: name/nobody is gone, not registered"));
  EXPECT_EQ(Banyan({"wait", "--for", "name/nobody=gone"}).code, 0);
  EXPECT_EQ(Banyan({"wait", "--for", "planet/x"}).code, 2);
  EXPECT_EQ(Banyan({"wait", "--for", "node/n1=happy"}).code, 2);
  EXPECT_EQ(Banyan({"wait", "--for", "child/cart"}).code, 2);
}

TEST_F(Commands, WhatTheServerLacksIsToldAsSuch) {
  const Ran ran = Banyan({"version"});
  EXPECT_EQ(ran.code, 10);
  EXPECT_THAT(ran.out, HasSubstr("Client"));
  EXPECT_EQ(Banyan({"version", "--client"}).code, 0);
}

TEST_F(Commands, VerboseTellsTheRpcs) {
  EXPECT_THAT(Banyan({"node", "list", "-v"}).err, HasSubstr("rpc ListNodes at 127.0.0.1:"));
  EXPECT_THAT(Banyan({"node", "list"}).err, Not(HasSubstr("rpc")));
}

TEST_F(Commands, WatchedNamesGoOnWhereTheStreamBroke) {
  const Ran ran = Banyan({"name", "list", "-w"});
  EXPECT_EQ(ran.code, 5) << "what ended it";
  EXPECT_THAT(server_.watch_versions, ElementsAre(0u, 47u));
  EXPECT_THAT(ran.out, StartsWith("registered  counter"));
  EXPECT_THAT(ran.out, HasSubstr("\nreleased    counter"));
  EXPECT_THAT(ran.out, Not(HasSubstr("released    cart")));
  EXPECT_THAT(ran.err, HasSubstr("opening it again"));
}

TEST_F(Commands, RebalanceShowsTheMoves) {
  const Ran ran = Banyan({"rebalance", "--dry-run"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(server_.rebalanced.validate_only());
  EXPECT_THAT(ran.out, HasSubstr("shop/cart  n1    n2"));
  EXPECT_THAT(ran.err, HasSubstr("1 would be moved"));
  EXPECT_EQ(Banyan({"rebalance", "-q"}).out, "shop/cart\n");
  EXPECT_THAT(Banyan({"rebalance", "--max-moves", "7"}).out, HasSubstr("nothing to move"));
}

TEST_F(Commands, DrainAsksThenShowsHowFarItIs) {
  EXPECT_EQ(Banyan({"node", "drain", "n2"}).code, 2) << "no terminal, and no --yes";
  EXPECT_EQ(server_.drained.name(), "");
  const Ran ran = Banyan({"node", "drain", "n2", "--deadline", "10m", "-m", "kernel", "--yes"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(server_.drained.deadline().seconds(), 600);
  EXPECT_EQ(server_.drained.message(), "kernel");
  EXPECT_EQ(server_.drained.max_parallel(), 0u);
  EXPECT_THAT(ran.err, HasSubstr("4 moved, 1 left, 1 of them fit nowhere else (n1:3:14)"));
  EXPECT_EQ(ran.out, "n2 is drained\n");
  EXPECT_EQ(Banyan({"node", "drain", "n2", "--deadline", "ten", "--yes"}).code, 2);
}

TEST_F(Commands, WaitSeesAnOperationToItsEnd) {
  const Ran ran = Banyan({"wait", "--for", "op/op-7f2c"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "op/op-7f2c stopped_by_death\n");
}

}  // namespace
}  // namespace banyan::cli

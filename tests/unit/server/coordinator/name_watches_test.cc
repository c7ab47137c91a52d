#include <map>
#include <set>

#include "fmt/format.h"

#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class NameWatches : public ClusterTest {
 protected:
  // A client that goes on where it was.
  struct Reader {
    std::vector<std::string> seen;  // "+name", "-name", "." for the end of what was there
    uint64_t version = 0;
    absl::Status end;
    std::map<std::string, uint64_t> names;  // as registry.proto tells a client to keep them
    std::set<std::string> unchanged;
    bool caught_up = false;
  };
  std::shared_ptr<Reader> Resume(const Reader& before, const std::string& prefix = "") {
    EXPECT_TRUE(before.caught_up);
    return Read(prefix, before.version, before.names);
  }
  static std::vector<std::string> Names(const Reader& reader) {
    std::vector<std::string> out;
    for (const auto& [name, version] : reader.names) out.push_back(name);
    return out;
  }
  std::shared_ptr<Reader> Read(const std::string& prefix, uint64_t after = 0,
                               std::map<std::string, uint64_t> names = {}) {
    auto reader = std::make_shared<Reader>();
    reader->version = after;
    reader->names = std::move(names);
    auto watch = Ask<Coordinator::WatchId>(
        [&](auto done) { coordinator_->WatchNames(prefix, after, done); });
    reader->end = watch.status();
    if (watch.ok()) Pull(*watch, reader, after);
    Settle();
    return reader;
  }
  void Pull(Coordinator::WatchId watch, std::shared_ptr<Reader> reader, uint64_t after) {
    coordinator_->NextNames(watch, [=, this](absl::StatusOr<v1::WatchNamesResponse> r) {
      reader->end = r.status();
      if (!r.ok()) return;
      for (const auto& entry : r->registered()) {
        reader->seen.push_back("+" + entry.name());
        reader->version = std::max(reader->version, entry.reg_version());
        reader->names[entry.name()] = entry.reg_version();
      }
      for (const auto& entry : r->released()) {
        reader->seen.push_back("-" + entry.name());
        auto it = reader->names.find(entry.name());
        if (it != reader->names.end() && it->second == entry.reg_version()) reader->names.erase(it);
      }
      if (r->snapshot_complete()) reader->seen.push_back(".");
      reader->unchanged.insert(r->unchanged().begin(), r->unchanged().end());
      if (r->caught_up()) {
        EXPECT_FALSE(std::exchange(reader->caught_up, true));
        std::erase_if(reader->names, [&](const auto& name) {
          return name.second <= after && !reader->unchanged.contains(name.first);
        });
      }
      Pull(watch, reader, after);
    });
  }
  void Register(const std::string& node_name, const std::string& name, uint64_t process) {
    node(node_name).AskName(name,
                            {node(node_name).node_id(), node(node_name).incarnation(), process});
    Settle();
  }
  static ChildSpec NamedChild(const std::string& id, const std::string& name) {
    ChildSpec spec = Worker(id);
    spec.start.name = name;
    return spec;
  }
};

TEST_F(NameWatches, WhatIsThereThenEveryChange) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {NamedChild("a", "store/a")}).ok());
  Register("n1", "store/b", 70);
  Register("n1", "other", 71);
  auto reader = Read("store/");
  EXPECT_THAT(reader->seen, ElementsAre("+store/a", "+store/b", "."));
  reader->seen.clear();
  node("n1").NameGone("store/b");
  node("n1").NameGone("other");
  Settle();
  EXPECT_THAT(reader->seen, ElementsAre("-store/b"));
  reader->seen.clear();
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  Settle();
  EXPECT_THAT(reader->seen, ElementsAre("-store/a", "+store/a"));
}

TEST_F(NameWatches, ResumedItTellsOnlyWhatCameLater) {
  AddNode("n1");
  Register("n1", "a", 70);
  Register("n1", "b", 71);
  const uint64_t seen = Read("")->version;
  Register("n1", "c", 72);
  node("n1").NameGone("a");
  Settle();
  EXPECT_THAT(Read("", seen)->seen, ElementsAre("+c", "-a", "."));
  Register("n1", "d", 73);
  node("n1").NameGone("b");
  node("n1").NameGone("c");
  Settle();
  // What came and went meanwhile need not be told.
  EXPECT_THAT(Read("", seen)->seen, ElementsAre("+d", "-a", "-b", "-c", "."));
  EXPECT_THAT(Read("a", seen)->seen, ElementsAre("-a", "."));
}

TEST_F(NameWatches, AChangeOfTheLeaderAloneIsNoNews) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {NamedChild("x", "child")}).ok());
  Register("n1", "a", 70);
  Register("n1", "b", 71);
  auto reader = Read("");
  RestartCoordinator();
  auto next = Read("", reader->version);
  time_.RunFor(absl::Seconds(5));
  EXPECT_THAT(next->seen, ElementsAre("."));
  next->seen.clear();
  Register("n1", "c", 72);
  EXPECT_THAT(next->seen, ElementsAre("+c"));
  // What ended while there was no leader is told when the node has told it.
  CrashCoordinator();
  node("n1").NameGone("b");
  StartCoordinator();
  auto last = Read("", next->version);
  time_.RunFor(absl::Seconds(5));
  EXPECT_THAT(last->seen, ElementsAre(".", "-b"));
}

TEST_F(NameWatches, WhatALostNodeHeldIsKnownToBeReleasedUnderTheNextLeader) {
  AddNode("n1");
  AddNode("n2");
  ASSERT_TRUE(StartSupervisor("s", {NamedChild("x", "child")}).ok());
  Register("n1", "a", 70);
  Register("n2", "b", 71);
  Register("n1", "c", 72);
  auto reader = Read("");
  EXPECT_THAT(Names(*reader), ElementsAre("a", "b", "c", "child"));
  CrashCoordinator();
  KillNode("n2");
  StartCoordinator();
  auto next = Resume(*reader);
  time_.RunFor(absl::Seconds(5));
  EXPECT_FALSE(next->caught_up) << "the node may be alive";
  EXPECT_THAT(Names(*next), ElementsAre("a", "b", "c", "child"));
  time_.RunFor(absl::Minutes(2));
  EXPECT_TRUE(next->caught_up);
  EXPECT_THAT(Names(*next), ElementsAre("a", "c", "child"));
  EXPECT_THAT(next->seen, ElementsAre(".")) << "it knows no more of b";
}

TEST_F(NameWatches, WhatWasReleasedUnderAFormerLeaderIsKnownUnderTheNext) {
  AddNode("n1");
  for (int i = 0; i < 1200; ++i) Register("n1", fmt::format("many/{:04}", i), 1000 + i);
  Register("n1", "a", 70);
  auto reader = Read("");
  reader->seen.clear();
  // It does not listen meanwhile.
  const Reader away = *reader;
  node("n1").NameGone("many/0007");
  node("n1").NameGone("a");
  Register("n1", "a", 75);
  Settle();
  RestartCoordinator();
  time_.RunFor(absl::Seconds(5));
  auto next = Resume(away);
  EXPECT_TRUE(next->caught_up);
  EXPECT_THAT(next->seen, ElementsAre("+a", "."));
  EXPECT_EQ(next->names.size(), 1200u);
  EXPECT_FALSE(next->names.contains("many/0007"));
  EXPECT_EQ(next->names, Read("")->names);
  // The version is of the former term still.
  auto again = Resume(*next);
  EXPECT_TRUE(again->caught_up);
  EXPECT_EQ(again->names, next->names);
}

TEST_F(NameWatches, AVersionThatIsTooOldIsRefused) {
  options_.events_max = 3;
  RestartCoordinator();
  AddNode("n1");
  Register("n1", "a", 70);
  const uint64_t seen = Read("")->version;
  for (int i = 0; i < 5; ++i) Register("n1", "n" + std::to_string(i), 80 + i);
  EXPECT_EQ(ErrorReason(Read("", seen)->end), "RESUME_TOKEN_EXPIRED");
  EXPECT_TRUE(Read("")->end.ok());
}

// N2, and INV-14: also a child's name is given out only when no node can hold it.
TEST_F(NameWatches, WhileNodesAreUnheardOfNoChildGetsANewName) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {NamedChild("a", "known")}).ok());
  AddNode("n2");
  Register("n2", "taken", 70);
  network_.Isolate("n2-p1");
  RestartCoordinator();
  time_.RunFor(absl::Seconds(3));
  EXPECT_EQ(ErrorReason(StartChild("s", NamedChild("b", "taken"), "r1").status()), "RECOVERING");
  EXPECT_TRUE(StartChild("s", Worker("nameless")).ok());
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  Settle();
  EXPECT_TRUE(node("n1").Has("s/a")) << "its name is its own";
  // The same request again: "try later" was no answer to keep, not for the next leader either.
  RestartCoordinator();
  time_.RunFor(absl::Seconds(3));
  EXPECT_EQ(ErrorReason(StartChild("s", NamedChild("b", "taken"), "r1").status()), "RECOVERING");
  network_.Join("n2-p1");
  time_.RunFor(absl::Seconds(5));
  EXPECT_EQ(ErrorReason(StartChild("s", NamedChild("b", "taken"), "r1").status()), "NAME_TAKEN");
  EXPECT_TRUE(StartChild("s", NamedChild("c", "free"), "r2").ok());
}

TEST_F(NameWatches, AHolderWhoseNameWasTakenAwayForgetsIt) {
  AddNode("n1");
  AddNode("n2");
  Register("n2", "a", 70);
  auto gone = Ask<bool>([&](auto done) { coordinator_->Unregister({.name = "a"}, done); });
  ASSERT_TRUE(gone.ok() && *gone);
  Settle();
  ASSERT_EQ(node("n2").released().size(), 1u);
  network_.Break("n2-p1", "coord");
  time_.RunFor(absl::Seconds(3));
  auto found = Ask<v1::LookupResponse>([&](auto done) { coordinator_->Lookup("a", done); });
  EXPECT_EQ(ErrorReason(found.status()), "NAME_NOT_REGISTERED") << "it is not reported again";
}

TEST_F(NameWatches, AHolderWhoseNameWasGivenAwayMeanwhileLosesIt) {
  AddNode("n1");
  AddNode("n2");
  Register("n2", "a", 70);
  // The word that it was taken away does not arrive.
  network_.Isolate("n2-p1");
  auto gone = Ask<bool>([&](auto done) { coordinator_->Unregister({.name = "a"}, done); });
  ASSERT_TRUE(gone.ok() && *gone);
  Register("n1", "a", 80);
  network_.Break("n2-p1", "coord");
  network_.Join("n2-p1");
  time_.RunFor(absl::Seconds(5));
  ASSERT_FALSE(node("n2").name_replies().empty());
  const auto& lost = node("n2").name_replies().back();
  EXPECT_EQ(lost.request_seq(), 0u);
  EXPECT_FALSE(lost.granted());
  EXPECT_EQ(lost.entry().name(), "a");
  auto found = Ask<v1::LookupResponse>([&](auto done) { coordinator_->Lookup("a", done); });
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->entry().pid().node_id(), node("n1").node_id());
}

// --------------------------------------------------------------------- groups

class GroupNews : public ClusterTest {
 protected:
  static std::vector<std::string> Told(FakeNode& node, const std::string& group) {
    std::vector<std::string> out;
    for (const auto& delta : node.groups()) {
      if (delta.group() != group) continue;
      std::string text = delta.snapshot() ? "=" : "";
      for (uint64_t id : delta.joined()) text += "+" + std::to_string(id);
      for (uint64_t id : delta.left()) text += "-" + std::to_string(id);
      out.push_back(text);
    }
    return out;
  }
};

TEST_F(GroupNews, WhatComesWithin50MsIsToldTogether) {
  FakeNode& a = AddNode("n1");
  FakeNode& b = AddNode("n2");
  b.WantGroups();
  Settle();
  a.TellGroup("g", {1}, {});
  time_.RunFor(absl::Milliseconds(10));
  EXPECT_THAT(Told(b, "g"), ElementsAre("+1")) << "the first at once";
  a.TellGroup("g", {2}, {});
  a.TellGroup("g", {3, 3}, {1});
  a.TellGroup("g", {4}, {});
  a.TellGroup("g", {}, {4});
  time_.RunFor(absl::Milliseconds(20));
  EXPECT_THAT(Told(b, "g"), ElementsAre("+1"));
  Settle();
  EXPECT_THAT(Told(b, "g"), ElementsAre("+1", "+2+3+3-1"));
}

TEST_F(GroupNews, WhoAsksMeanwhileIsToldOnce) {
  FakeNode& a = AddNode("n1");
  FakeNode& b = AddNode("n2");
  a.TellGroup("g", {1}, {});
  a.TellGroup("g", {2}, {});
  b.WantGroups();
  Settle();
  EXPECT_THAT(Told(b, "g"), ElementsAre("=+1+2"));
}

TEST_F(GroupNews, AGapBeginsTheSessionAnew) {
  FakeNode& a = AddNode("n1");
  a.TellGroup("g", {1}, {});
  Settle();
  ASSERT_TRUE(a.joined());
  a.TellGroup("g", {2}, {}, 7);
  time_.RunFor(absl::Milliseconds(50));
  EXPECT_EQ(ErrorReason(a.last_close()), "PROTOCOL_VIOLATION");
  time_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(a.joined());
}

TEST_F(GroupNews, WhatANodeHasNoMoreWhenItResyncsIsToldToWhoKnewOfIt) {
  FakeNode& a = AddNode("n1");
  FakeNode& b = AddNode("n2");
  b.WantGroups();
  Settle();
  a.TellGroup("g", {1}, {});
  Settle();
  network_.Break("n1-p1", "coord");  // while it is away its last member leaves
  time_.RunFor(absl::Seconds(1));
  ASSERT_TRUE(a.joined());
  EXPECT_THAT(Told(b, "g"), ElementsAre("+1", "="));
}

}  // namespace
}  // namespace banyan::testing

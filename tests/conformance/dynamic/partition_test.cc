// DYN-101 to DYN-112: partitioned supervisors.
#include <set>

#include "server/behaviours/partition_supervisor.h"
#include "tests/conformance/dynamic/dynamic_test.h"

namespace banyan {
namespace {

class DynPartition : public DynamicTest {
 protected:
  static PartitionSpec OfWorkers(uint32_t partitions) {
    PartitionSpec spec;
    spec.name = "p";
    spec.child = Child("ignored", "plain");
    spec.partitions = partitions;
    return spec;
  }
  static PartitionSpec OfDynamic() {
    PartitionSpec spec;
    spec.name = "p";
    spec.child.supervisor = std::make_shared<const SupervisorSpec>(D());
    return spec;
  }
  static Task<Pid> StartP(Self& t, PartitionSpec spec) {
    return [](Self& t, PartitionSpec spec) -> Task<Pid> {
      StartResult r = co_await StartPartitionSupervisor(t, std::move(spec));
      EXPECT_TRUE(r.started()) << r.reason.ToString();
      co_return r.pid;
    }(t, std::move(spec));
  }
  static Pid At(Self& t, PartitionKey key) {
    absl::StatusOr<Pid> pid = PartitionOf(t.runtime(), "p", key);
    EXPECT_TRUE(pid.ok()) << pid.status();
    return pid.value_or(Pid{});
  }
};

TEST_F(DynPartition, DYN102KeysOverDynamicSupervisors) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartP(t, OfDynamic());
    absl::StatusOr<uint32_t> by_default = Partitions(t.runtime(), "p");
    EXPECT_EQ(by_default.value_or(0), 1u) << "one per worker, at least one";
    co_await Shutdown(t, p);

    PartitionSpec spec = OfDynamic();
    spec.partitions = 8;
    p = co_await StartP(t, spec);
    std::set<Pid> agents;
    for (int i = 0; i < 100; ++i) {
      const std::string key = "key" + std::to_string(i * 7919);
      OpResult r = co_await StartChild(t, At(t, key), Child("a", "plain", {key}, kTemp));
      EXPECT_EQ(r.code, Code::kOk);
      agents.insert(r.pid);
    }
    std::set<Pid> found;
    int used = 0;
    for (int64_t i = 0; i < 8; ++i) {
      std::vector<ChildEntry> rows = co_await Wc(t, At(t, i));
      used += rows.empty() ? 0 : 1;
      for (const ChildEntry& row : rows) found.insert(row.pid);
    }
    EXPECT_EQ(found, agents);
    EXPECT_GT(used, 4) << "the hash spreads";
  });
}

TEST_F(DynPartition, DYN103RoutingIsStable) {
  Run([&](Self& t) -> Task<void> {
    co_await StartP(t, OfWorkers(4));
    EXPECT_EQ(At(t, "a"), At(t, "a"));
    EXPECT_EQ(At(t, 5), At(t, 1));
    EXPECT_EQ(t.runtime().Whereis("p.1"), At(t, 1)) << "partitions have names of their own";
  });
}

TEST_F(DynPartition, DYN104ArgumentsOfEachPartition) {
  Run([&](Self& t) -> Task<void> {
    PartitionSpec spec = OfWorkers(3);
    spec.with_arguments = [](std::vector<Payload> args, uint32_t partition) {
      args.push_back(Word(std::to_string(partition)));
      return args;
    };
    co_await StartP(t, spec);
    for (auto& [key, value] : std::vector<std::pair<int64_t, std::string>>{
             {0, "0"}, {1, "1"}, {2, "2"}, {3, "0"}, {-1, "1"}, {INT64_MIN, "2"}}) {
      EXPECT_EQ(co_await Ask(t, At(t, key)), value) << key;
    }
  });
}

TEST_F(DynPartition, DYN105WrongArguments) {
  Run([&](Self& t) -> Task<void> {
    std::vector<PartitionSpec> wrong(6, OfWorkers(2));
    wrong[0].name = "";
    wrong[1].child.start.module = "";
    wrong[2].partitions = 0;
    wrong[3].flags.auto_shutdown = AutoShutdown::kAnySignificant;
    wrong[4].flags.strategy = Strategy::kDynamic;
    wrong[5].child.start.name = "mine";
    for (const PartitionSpec& spec : wrong) {
      StartResult r = co_await StartPartitionSupervisor(t, spec);
      EXPECT_TRUE(r.failed());
      EXPECT_EQ(r.reason.type(), "badarg") << r.reason.ToString();
    }
    EXPECT_EQ(t.mailbox_length(), 0u) << "nothing was started";
  });
}

TEST_F(DynPartition, DYN106Stop) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartP(t, OfWorkers(2));
    Pid one = At(t, 0);
    EXPECT_EQ(co_await Shutdown(t, p), ExitReason::Shutdown());
    EXPECT_FALSE(t.runtime().IsAlive(one));
    EXPECT_EQ(ErrorReason(Partitions(t.runtime(), "p").status()), "NOPROC");
    // The name may be used again, by another kind of supervisor too.
    co_await Start(t, Spec(Strategy::kOneForOne, 1, 5), "p");
    EXPECT_EQ(ErrorReason(Partitions(t.runtime(), "p").status()), "NOPROC");
  });
}

TEST_F(DynPartition, DYN107UnknownNames) {
  Run([&](Self& t) -> Task<void> {
    EXPECT_EQ(ErrorReason(Partitions(t.runtime(), "nobody").status()), "NOPROC");
    EXPECT_EQ(ErrorReason(PartitionOf(t.runtime(), "nobody", 1).status()), "NOPROC");
    absl::StatusOr<uint32_t> resized = co_await ResizePartitions(t, "nobody", 1);
    EXPECT_EQ(ErrorReason(resized.status()), "NOPROC");
  });
}

TEST_F(DynPartition, DYN108Resize) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartP(t, OfWorkers(8));
    uint32_t now = 8;
    for (uint32_t k : {8, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 3, 6, 1, 8, 0, 5}) {
      absl::StatusOr<uint32_t> before = co_await ResizePartitions(t, "p", k);
      EXPECT_EQ(before.value_or(99), now);
      now = k;
      EXPECT_EQ(Partitions(t.runtime(), "p").value_or(99), k);
      EXPECT_THAT(co_await Cc(t, p), Counts(8, k, 0, 8));
      if (k == 0) continue;
      std::set<Pid> distinct;
      for (int64_t key = 0; key < 8; ++key) distinct.insert(At(t, key));
      EXPECT_EQ(distinct.size(), k);
    }
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

TEST_F(DynPartition, DYN108TwoResizesAtATime) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartP(t, OfWorkers(8));
    int done = 0;
    for (uint32_t k : {0u, 8u, 2u, 6u}) {
      SpawnOptions options;
      absl::StatusOr<SpawnResult> spawned = t.Spawn(
          [k, &done](Self& self) -> Task<ExitReason> {
            absl::StatusOr<uint32_t> before = co_await ResizePartitions(self, "p", k);
            EXPECT_TRUE(before.ok()) << before.status();
            ++done;
            co_return ExitReason::Normal();
          },
          std::move(options));
      EXPECT_TRUE(spawned.ok());
    }
    co_await t.Sleep(absl::Seconds(1));
    EXPECT_EQ(done, 4);
    ChildCounts counts = co_await Cc(t, p);
    EXPECT_EQ(counts.active, Partitions(t.runtime(), "p").value_or(99));
  });
}

TEST_F(DynPartition, DYN109ResizeToNothing) {
  Run([&](Self& t) -> Task<void> {
    co_await StartP(t, OfWorkers(8));
    absl::StatusOr<uint32_t> before = co_await ResizePartitions(t, "p", 0);
    EXPECT_EQ(before.value_or(99), 8u);
    EXPECT_EQ(ErrorReason(PartitionOf(t.runtime(), "p", 0).status()), "NAME_NOT_REGISTERED");
    before = co_await ResizePartitions(t, "p", 8);
    EXPECT_EQ(before.value_or(99), 0u);
    EXPECT_TRUE(t.runtime().IsAlive(At(t, 0)));
  });
}

TEST_F(DynPartition, DYN110ResizeTooFar) {
  Run([&](Self& t) -> Task<void> {
    co_await StartP(t, OfWorkers(8));
    absl::StatusOr<uint32_t> r = co_await ResizePartitions(t, "p", 9);
    EXPECT_EQ(ErrorReason(r.status()), "REQUEST_INVALID");
    EXPECT_EQ(Partitions(t.runtime(), "p").value_or(99), 8u);
  });
}

TEST_F(DynPartition, DYN111RowsAndCounts) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartP(t, OfWorkers(3));
    EXPECT_EQ(co_await Show(t, p), "2 1 0");
    std::vector<ChildEntry> rows = co_await Wc(t, p);
    EXPECT_EQ(rows.at(0).pid, At(t, 2));
    EXPECT_EQ(rows.at(0).spec->start.module, "plain");
    EXPECT_THAT(co_await Cc(t, p), Counts(3, 3, 0, 3));
    co_await Shutdown(t, p);
    PartitionSpec supervisors = OfDynamic();
    supervisors.partitions = 3;
    p = co_await StartP(t, supervisors);
    EXPECT_THAT(co_await Cc(t, p), Counts(3, 3, 3, 0));
  });
}

TEST_F(DynPartition, DYN112ARestartedPartition) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartP(t, OfWorkers(3));
    Pid old = At(t, 0);
    co_await End(t, old, "kill");
    EXPECT_NE(At(t, 0), old);
    EXPECT_TRUE(t.runtime().IsAlive(At(t, 0)));
    // A code change keeps what a resize has done.
    absl::StatusOr<uint32_t> resized = co_await ResizePartitions(t, "p", 2);
    EXPECT_TRUE(resized.ok());
    absl::Status suspended = co_await sys::Suspend(t, p);
    EXPECT_TRUE(suspended.ok());
    absl::Status changed = co_await sys::ChangeCode(t, p, CodeChange{});
    EXPECT_TRUE(changed.ok()) << changed;
    absl::Status resumed = co_await sys::Resume(t, p);
    EXPECT_TRUE(resumed.ok());
    EXPECT_EQ(Partitions(t.runtime(), "p").value_or(99), 2u);
  });
}

}  // namespace
}  // namespace banyan

// A backup is put in the place of the store, and what nodes have begun since then lives on.
#include <csignal>
#include <filesystem>
#include <fstream>

#include "tests/integration/cluster_fixture.h"

namespace banyan::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace kv = ::banyan::modules::v1;

class Restore : public ClusterTest {
 protected:
  // Through any server, as people do it.
  Outcome BackUp(const std::string& through, const std::string& file) {
    Client c(through);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    auto stream = c.cluster->Backup(&context, v1::BackupRequest());
    std::ofstream out(file, std::ios::binary);
    v1::BackupResponse part;
    while (stream->Read(&part)) out << part.data();
    return OutcomeOf(stream->Finish());
  }
  Outcome StartChild(const std::string& id) {
    Client c = coordinator_client();
    v1::StartChildRequest request;
    v1::StartChildResponse response;
    *request.mutable_supervisor() = Named("stores");
    *request.mutable_spec() = KvChild(id, "store/" + id);
    return Client::Do(c.supervisors, &v1::Supervisors::Stub::StartChild, request, &response);
  }
  void Put(const std::string& id) {
    Client c = coordinator_client();
    kv::Put put;
    kv::PutReply reply;
    put.set_key("k");
    put.set_value(id);
    const Outcome outcome = c.Call(Named("store/" + id), put, &reply);
    ASSERT_TRUE(outcome.ok()) << outcome;
  }
  // What the child still knows: a restarted one knows nothing.
  std::string Get(const std::string& id) {
    Client c = coordinator_client();
    kv::Get get;
    kv::GetReply reply;
    get.set_key("k");
    const Outcome outcome = c.Call(Named("store/" + id), get, &reply);
    return outcome.ok() ? reply.value() : outcome.message;
  }
  v1::GetClusterResponse ClusterInfo() {
    Client c = coordinator_client();
    v1::GetClusterResponse response;
    Client::Do(c.cluster, &v1::Cluster::Stub::GetCluster, v1::GetClusterRequest(), &response);
    return response;
  }
  Outcome End(v1::EndSafeModeRequest::Decision decision, v1::EndSafeModeResponse* response) {
    Client c = coordinator_client();
    v1::EndSafeModeRequest request;
    request.set_decision(decision);
    return Client::Do(c.cluster, &v1::Cluster::Stub::EndSafeMode, request, response);
  }
  bool BothActive() {
    return StateOf("n1") == v1::NODE_STATE_ACTIVE && StateOf("n2") == v1::NODE_STATE_ACTIVE;
  }
};

TEST_F(Restore, F035AnOldBackupStopsNothingAndAdoptionRestartsNothing) {
  StartCluster(2);
  StartSupervisor("stores", v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE, {KvChild("a", "store/a")});
  const std::string backup = Folder("backup.db");
  const Outcome taken = BackUp(node("n2").address(), backup);
  ASSERT_TRUE(taken.ok()) << taken;
  for (const char* id : {"b", "c"}) ASSERT_TRUE(StartChild(id).ok());
  for (const char* id : {"a", "b", "c"}) Put(id);
  const auto before = Children("stores");
  ASSERT_EQ(before.size(), 3u);

  StopCoordinator();
  for (const char* file : {"banyan.db", "banyan.db-wal", "banyan.db-shm"})
    std::filesystem::remove(Folder("coordinator") + "/" + file);
  Daemon restore({"restore", "--from", backup, "--to", Folder("coordinator")});
  EXPECT_EQ(restore.WaitForExit(), 0) << restore.output();
  EXPECT_THAT(restore.output(), HasSubstr("SAFE mode"));
  RestartCoordinator();
  ASSERT_TRUE(AwaitNodes([&] { return BothActive(); }));

  const v1::GetClusterResponse safe = ClusterInfo();
  EXPECT_TRUE(safe.safe_mode());
  EXPECT_THAT(safe.alarms(), Contains(HasSubstr("restored from a backup")));
  EXPECT_EQ(StartChild("d").reason, "SAFE_MODE");
  EXPECT_EQ(Get("a"), "a") << "calls go on";

  v1::EndSafeModeResponse decided;
  const Outcome ended = End(v1::EndSafeModeRequest::DECISION_ADOPT, &decided);
  ASSERT_TRUE(ended.ok()) << ended;
  EXPECT_THAT(decided.adopted(), ElementsAre("stores/b", "stores/c"));
  ASSERT_TRUE(AwaitChildren([&] {
    const auto now = Children("stores");
    return now.size() == 3 && now.at("c").state() == v1::CHILD_STATE_RUNNING &&
           now.at("b").state() == v1::CHILD_STATE_RUNNING;
  }));
  const auto after = Children("stores");
  for (const char* id : {"a", "b", "c"}) {
    EXPECT_EQ(Get(id), id) << "restarted";
    EXPECT_EQ(after.at(id).fence(), before.at(id).fence());
    EXPECT_EQ(after.at(id).pid().id(), before.at(id).pid().id());
  }
  EXPECT_FALSE(ClusterInfo().safe_mode());
  EXPECT_TRUE(StartChild("d").ok()) << "once the last lease from before is over";
}

TEST_F(Restore, WhatIsNoBackupIsRefused) {
  std::ofstream(Folder("rubbish")) << std::string(8192, 'z');
  Daemon rubbish({"restore", "--from", Folder("rubbish"), "--to", Folder("new.db")});
  EXPECT_EQ(rubbish.WaitForExit(), 1);
  EXPECT_THAT(rubbish.output(), HasSubstr("is no backup"));
  EXPECT_FALSE(std::filesystem::exists(Folder("new.db")));
  EXPECT_FALSE(std::filesystem::exists(Folder("new.db.partial")));
  Daemon missing({"restore", "--from", Folder("nothing"), "--to", Folder("new.db")});
  EXPECT_EQ(missing.WaitForExit(), 1);
  EXPECT_THAT(missing.output(), HasSubstr("there is no file"));
  StartCoordinator();
  const std::string backup = Folder("backup.db");
  ASSERT_TRUE(BackUp(coordinator().address(), backup).ok());
  Daemon over({"restore", "--from", backup, "--to", Folder("coordinator")});
  EXPECT_EQ(over.WaitForExit(), 1);
  EXPECT_THAT(over.output(), HasSubstr("stop its coordinator and move it away"));
}

}  // namespace
}  // namespace banyan::test

#include "tests/integration/cluster_fixture.h"

namespace banyan::test {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;
namespace kv = ::banyan::modules::v1;

class Groups : public ClusterTest {
 protected:
  static v1::Target Of(const std::string& group) {
    v1::Target target;
    target.mutable_group()->set_group(group);
    return target;
  }
  static std::vector<std::string> Members(Client& c, const std::string& group) {
    v1::ListMembersRequest request;
    v1::ListMembersResponse response;
    request.set_group(group);
    const Outcome outcome =
        Client::Do(c.registry, &v1::Registry::Stub::ListMembers, request, &response);
    EXPECT_TRUE(outcome.ok()) << outcome;
    std::vector<std::string> pids;
    for (const v1::Pid& pid : response.members()) pids.push_back(pid.SerializeAsString());
    return pids;
  }
  // Reads the group's changes at that server until it has so many members.
  static bool AwaitMembers(Client& c, const std::string& group, int wanted) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    v1::WatchGroupsRequest request;
    request.add_groups(group);
    auto stream = c.registry->WatchGroups(&context, request);
    v1::WatchGroupsResponse response;
    int members = 0;
    while (stream->Read(&response)) {
      for (const v1::GroupEvent& event : response.events()) {
        members += event.joined_size() - event.left_size();
      }
      if (members == wanted) {
        context.TryCancel();
        return true;
      }
    }
    return false;
  }
};

TEST_F(Groups, AreJoinedCalledAndLeftThroughEveryServer) {
  StartCluster(2);
  StartSupervisor("stores", v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE,
                  {KvChild("a", "store/a"), KvChild("b", "store/b")});
  const std::vector<std::string> addresses = {coordinator().address(), node("n1").address(),
                                              node("n2").address()};
  Client c(addresses.front());
  v1::JoinRequest join;
  join.set_group("stores");
  std::vector<std::string> pids;
  for (const auto& [id, child] : Children("stores")) {
    *join.add_targets() = Named("store/" + id);
    pids.push_back(child.pid().SerializeAsString());
  }
  v1::JoinResponse joined;
  Outcome outcome = Client::Do(c.registry, &v1::Registry::Stub::Join, join, &joined);
  ASSERT_TRUE(outcome.ok()) << outcome;
  for (const std::string& address : addresses) {
    Client each(address);
    ASSERT_TRUE(AwaitMembers(each, "stores", static_cast<int>(pids.size())));
    EXPECT_THAT(Members(each, "stores"), UnorderedElementsAreArray(pids));
    kv::Get get;
    get.set_key("k");
    kv::GetReply reply;
    outcome = each.Call(Of("stores"), get, &reply);
    EXPECT_TRUE(outcome.ok()) << outcome;
    EXPECT_EQ(each.Call(Of("nobody"), get, &reply).reason, "GROUP_EMPTY");
    v1::ListGroupsRequest list;
    v1::ListGroupsResponse groups;
    outcome = Client::Do(each.registry, &v1::Registry::Stub::ListGroups, list, &groups);
    ASSERT_TRUE(outcome.ok()) << outcome;
    ASSERT_EQ(groups.groups_size(), 1);
    EXPECT_EQ(groups.groups(0).name(), "stores");
    EXPECT_EQ(groups.groups(0).member_count(), pids.size());
  }
  v1::LeaveRequest leave;
  v1::LeaveResponse left;
  leave.set_group("stores");
  *leave.mutable_targets() = join.targets();
  outcome = Client::Do(c.registry, &v1::Registry::Stub::Leave, leave, &left);
  ASSERT_TRUE(outcome.ok()) << outcome;
  for (const std::string& address : addresses) {
    Client each(address);
    EXPECT_TRUE(AwaitMembers(each, "stores", 0));
    EXPECT_THAT(Members(each, "stores"), IsEmpty());
  }
}

TEST_F(Groups, AWatcherIsToldOfMembersThatEnd) {
  StartCluster(2);
  StartSupervisor("stores", v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE, {KvChild("a", "store/a")});
  const v1::Pid pid = Children("stores").at("a").pid();
  Client c = client("n1");
  v1::JoinRequest join;
  v1::JoinResponse joined;
  join.set_group("g");
  *join.add_targets() = Named("store/a");
  ASSERT_TRUE(Client::Do(c.registry, &v1::Registry::Stub::Join, join, &joined).ok());
  Client other(coordinator().address());
  ASSERT_TRUE(AwaitMembers(c, "g", 1));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  auto stream = c.registry->WatchGroups(&context, v1::WatchGroupsRequest());
  v1::WatchGroupsResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_TRUE(response.snapshot_complete());
  ASSERT_EQ(response.events_size(), 1);
  EXPECT_EQ(response.events(0).joined(0).SerializeAsString(), pid.SerializeAsString());
  v1::ExitRequest exit;
  v1::ExitResponse exited;
  *exit.mutable_target() = Named("store/a");
  exit.mutable_reason()->set_kind(v1::ExitReason::KIND_KILL);
  ASSERT_TRUE(Client::Do(other.actors, &v1::Actors::Stub::Exit, exit, &exited).ok());
  ASSERT_TRUE(stream->Read(&response));
  ASSERT_EQ(response.events_size(), 1);
  EXPECT_EQ(response.events(0).left(0).SerializeAsString(), pid.SerializeAsString());
  context.TryCancel();
}

}  // namespace
}  // namespace banyan::test

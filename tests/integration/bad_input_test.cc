#include <random>

#include "google/protobuf/dynamic_message.h"
#include "grpcpp/generic/generic_stub.h"
#include <arpa/inet.h>
#include <sys/socket.h>

#include "banyan/v1/sys.pb.h"
#include "tests/integration/cluster_fixture.h"

namespace banyan::test {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class BadInput : public ClusterTest {
 protected:
  std::vector<std::string> addresses() { return {coordinator().address(), node("n1").address()}; }

  void ExpectAlive() {
    for (const std::string& address : addresses()) {
      Client c(address);
      v1::GetServerInfoResponse response;
      const Outcome outcome = Client::Do(c.cluster, &v1::Cluster::Stub::GetServerInfo,
                                         v1::GetServerInfoRequest(), &response);
      EXPECT_TRUE(outcome.ok()) << address << ": " << outcome;
    }
  }
};

std::string Noise(std::mt19937& random, size_t most) {
  std::string bytes(random() % (most + 1), '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

// Sends bytes as the only request message of a method, and reads to the end.
grpc::StatusCode SendRaw(Client& client, const std::string& method, const std::string& bytes) {
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
  grpc::Slice slice(bytes);
  grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::GenericStub stub(client.channel);
  auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return status.error_code();
}

void SendToPort(const std::string& address, const std::string& bytes) {
  const size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
  inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  (void)send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

TEST_F(BadInput, NoBytesOnThePortCrashAServer) {
  StartCluster(1);
  std::mt19937 random(1);
  for (const std::string& address : addresses()) {
    for (int i = 0; i < 50; ++i) SendToPort(address, Noise(random, 2000));
    const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (int i = 0; i < 50; ++i) SendToPort(address, preface + Noise(random, 2000));
    SendToPort(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  ExpectAlive();
}

TEST_F(BadInput, NoMessageCrashesAServer) {
  StartCluster(1);
  std::mt19937 random(2);
  std::vector<std::string> methods;
  v1::GetStateRequest::descriptor();  // or the linker would leave Sys out
  for (const char* service : {"banyan.v1.Actors", "banyan.v1.Supervisors", "banyan.v1.Cluster",
                              "banyan.v1.Registry", "banyan.v1.Sys"}) {
    const auto* type =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service);
    ASSERT_NE(type, nullptr) << service;
    for (int i = 0; i < type->method_count(); ++i) {
      methods.push_back(std::string("/") + service + "/" + type->method(i)->name());
    }
  }
  for (const char* internal : {"Membership/Lease", "Membership/Control", "Membership/Watcher",
                               "Membership/Resolve", "Membership/Relay", "Peer/Session"}) {
    methods.push_back(std::string("/banyan.internal.v1.") + internal);
  }
  for (const std::string& address : addresses()) {
    Client c(address);
    for (const std::string& method : methods) {
      SendRaw(c, method, "");
      SendRaw(c, method, Noise(random, 200));
      // Looks like a message: field numbers that exist, lengths that fit or do not.
      std::string near;
      for (int i = 0; i < 6; ++i) {
        near.push_back(static_cast<char>(((1 + random() % 8) << 3) | (random() % 6)));
        near.push_back(static_cast<char>(random() % 6));
        near += Noise(random, 5);
      }
      SendRaw(c, method, near);
    }
  }
  ExpectAlive();
  EXPECT_EQ(StateOf("n1"), v1::NODE_STATE_ACTIVE);
}

TEST_F(BadInput, ErrorsNameTheField) {
  StartCluster(1);
  for (const std::string& address : addresses()) {
    SCOPED_TRACE(address);
    Client c(address);

    v1::CallRequest call;
    v1::CallResponse called;
    Outcome outcome = Client::Do(c.actors, &v1::Actors::Stub::Call, call, &called);
    EXPECT_EQ(outcome.reason, "TARGET_INVALID") << outcome;
    EXPECT_THAT(outcome.fields, Contains(HasSubstr("target")));

    call.mutable_target()->set_name("x");
    call.mutable_timeout()->set_seconds(-1);
    outcome = Client::Do(c.actors, &v1::Actors::Stub::Call, call, &called);
    EXPECT_EQ(outcome.code, grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(outcome.fields, Contains("timeout"));

    call.clear_timeout();
    call.mutable_payload()->mutable_value()->set_type_url(
        "type.googleapis.com/google.protobuf.BytesValue");
    call.mutable_payload()->mutable_value()->set_value(std::string((4 << 20) + 1, 'x'));
    outcome = Client::Do(c.actors, &v1::Actors::Stub::Call, call, &called);
    EXPECT_EQ(outcome.reason, "PAYLOAD_TOO_LARGE") << outcome;
    EXPECT_EQ(outcome.metadata["limitBytes"], "4194304");

    call.mutable_payload()->mutable_value()->set_type_url("no slash");
    call.mutable_payload()->mutable_value()->set_value("x");
    outcome = Client::Do(c.actors, &v1::Actors::Stub::Call, call, &called);
    EXPECT_EQ(outcome.reason, "PAYLOAD_INVALID") << outcome;

    v1::StartSupervisorRequest start;
    v1::StartSupervisorResponse started;
    start.set_cluster_wide(true);
    start.set_name("bad");
    start.set_request_id(std::string(65, 'r'));
    start.mutable_spec();
    outcome = Client::Do(c.supervisors, &v1::Supervisors::Stub::StartSupervisor, start, &started);
    EXPECT_THAT(outcome.fields, Contains("request_id")) << outcome;
    start.clear_request_id();
    start.mutable_spec()->add_children()->set_id("a/b");
    start.mutable_spec()->add_children()->mutable_shutdown()->mutable_timeout()->set_seconds(-5);
    outcome = Client::Do(c.supervisors, &v1::Supervisors::Stub::StartSupervisor, start, &started);
    EXPECT_EQ(outcome.reason, "SPEC_INVALID") << outcome;
    EXPECT_THAT(outcome.fields, Contains("spec.children[0].id"));
    EXPECT_THAT(outcome.fields, Contains(HasSubstr("spec.children[1].shutdown")));

    v1::ListActorsRequest list;
    v1::ListActorsResponse listed;
    list.set_page_token("nonsense");
    outcome = Client::Do(c.actors, &v1::Actors::Stub::ListActors, list, &listed);
    EXPECT_EQ(outcome.reason, "PAGE_TOKEN_INVALID") << outcome;
    list.clear_page_token();
    list.set_page_size(-1);
    list.set_filter("mailbox_length > many");
    list.set_order_by("nonsense");
    outcome = Client::Do(c.actors, &v1::Actors::Stub::ListActors, list, &listed);
    EXPECT_THAT(outcome.fields, ::testing::UnorderedElementsAre("page_size", "filter", "order_by"))
        << outcome;

    v1::ListChildrenRequest children;
    v1::ListChildrenResponse children_out;
    outcome =
        Client::Do(c.supervisors, &v1::Supervisors::Stub::ListChildren, children, &children_out);
    EXPECT_EQ(outcome.reason, "TARGET_INVALID") << outcome;
    EXPECT_THAT(outcome.fields, Contains("supervisor"));

    v1::CordonRequest cordon;
    v1::CordonResponse cordoned;
    cordon.set_name("1");
    outcome = Client::Do(c.cluster, &v1::Cluster::Stub::Cordon, cordon, &cordoned);
    EXPECT_THAT(outcome.fields, Contains("name")) << outcome;
    cordon.set_name("nobody");
    outcome = Client::Do(c.cluster, &v1::Cluster::Stub::Cordon, cordon, &cordoned);
    EXPECT_EQ(outcome.reason, "NODE_NOT_FOUND") << outcome;

    v1::RegisterRequest reg;
    v1::RegisterResponse registered;
    reg.set_name("bad name");
    outcome = Client::Do(c.registry, &v1::Registry::Stub::Register, reg, &registered);
    EXPECT_THAT(outcome.fields, Contains("name")) << outcome;
    EXPECT_THAT(outcome.fields, Contains("target"));
  }
}

TEST_F(BadInput, WhatIsNotServedIsUnimplemented) {
  StartCluster(1);
  Client c = client("n1");
  EXPECT_EQ(SendRaw(c, "/banyan.v1.Supervisors/Apply", ""), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(SendRaw(c, "/banyan.v1.Nothing/AtAll", ""), grpc::StatusCode::UNIMPLEMENTED);
}

TEST(CommandLine, SaysWhatIsWrongAndEndsWithTwo) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"node", "--bogus"}, "--bogus"},
      {{"node", "--listen", "nowhere"}, "flag --listen"},
      {{"node", "--listen", "0.0.0.0:0"}, "--insecure"},
      {{"node", "--name", "a/b"}, "name (flag --name)"},
      {{"node", "--label", "x"}, "KEY=VALUE"},
      {{"node", "--workers", "-1"}, "flag --workers"},
      {{"node", "--log-level", "loud"}, "debug"},
      {{"node", "--lease-scale", "0"}, "lease-scale"},
      {{"coordinator", "--config", "/nonexistent"}, "/nonexistent"},
      {{}, "subcommand"},
  };
  for (const auto& [args, expected] : cases) {
    Daemon daemon(args);
    EXPECT_EQ(daemon.WaitForExit(), 2) << expected;
    EXPECT_TRUE(daemon.WaitForOutput(expected)) << daemon.output();
  }
}

TEST(CommandLine, ShowsWhereEachValueComesFrom) {
  Daemon daemon({"config", "node", "--effective", "--workers", "3"});
  EXPECT_EQ(daemon.WaitForExit(), 0);
  EXPECT_TRUE(daemon.WaitForOutput("workers: 3  # flag --workers")) << daemon.output();
  EXPECT_TRUE(daemon.WaitForOutput("log-level: info  # default"));
}

}  // namespace
}  // namespace banyan::test

#include "client/transport/session.h"

#include "client/transport/request_id.h"
#include "gtest/gtest.h"

#include "banyan/v1/cluster.grpc.pb.h"

namespace banyan::client {
namespace {

TEST(ParseAddresses, SplitsAndChecks) {
  EXPECT_EQ(*ParseAddresses("n1:7400,n2:7400"), (std::vector<std::string>{"n1:7400", "n2:7400"}));
  EXPECT_EQ(*ParseAddresses("unix:/run/banyan"), std::vector<std::string>{"unix:/run/banyan"});
  for (const char* text : {"", "n1", "n1:7400,", ":7400", "n1:"})
    EXPECT_FALSE(ParseAddresses(text).ok()) << text;
}

TEST(NewRequestId, IsAUuidOfVersion7) {
  const std::string id = NewRequestId();
  ASSERT_EQ(id.size(), 36u) << id;
  EXPECT_EQ(id[14], '7');
  EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos) << id;
  EXPECT_NE(id, NewRequestId());
}

TEST(Session, TellsThatNobodyAnswers) {
  // Port 1 of the loopback refuses.
  Session session({.addresses = {"127.0.0.1:1"}, .timeout = absl::Seconds(5)});
  v1::GetClusterResponse response;
  const ApiError error = session.Invoke<v1::Cluster>(&v1::Cluster::Stub::GetCluster,
                                                     v1::GetClusterRequest(), &response);
  EXPECT_EQ(error.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(error.connected);
  EXPECT_NE(error.message.find("127.0.0.1:1"), std::string::npos) << error.message;
}

// Answers UNAVAILABLE `failures` times, then well.
class Flaky : public v1::Cluster::Service {
 public:
  grpc::Status GetCluster(grpc::ServerContext* context, const v1::GetClusterRequest*,
                          v1::GetClusterResponse* response) override {
    ++calls;
    if (calls <= failures) {
      if (forbid_retry) context->AddTrailingMetadata("grpc-retry-pushback-ms", "-1");
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now");
    }
    response->set_name("dev");
    return grpc::Status::OK;
  }
  int failures = 0;
  int calls = 0;
  bool forbid_retry = false;
};

class SessionTest : public testing::Test {
 protected:
  void SetUp() override {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
  }
  ApiError Ask(Session* session, Retry retry) {
    v1::GetClusterResponse response;
    return session->Invoke<v1::Cluster>(&v1::Cluster::Stub::GetCluster, v1::GetClusterRequest(),
                                        &response, {.retry = retry});
  }

  Flaky service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

TEST_F(SessionTest, TakesTheNextAddressIfOneRefuses) {
  Session session({.addresses = {"127.0.0.1:1", address_}});
  EXPECT_TRUE(Ask(&session, Retry::kNever).ok());
  EXPECT_EQ(session.address(), address_);
}

TEST_F(SessionTest, RepeatsOnlyWhatMayBeRepeated) {
  service_.failures = 2;
  Session session({.addresses = {address_}});
  EXPECT_EQ(Ask(&session, Retry::kNever).code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(service_.calls, 1);
  EXPECT_TRUE(Ask(&session, Retry::kUnavailable).ok());
  EXPECT_EQ(service_.calls, 3);
}

TEST_F(SessionTest, ObeysAServerThatForbidsRepetition) {
  service_.failures = 2;
  service_.forbid_retry = true;
  Session session({.addresses = {address_}});
  EXPECT_EQ(Ask(&session, Retry::kUnavailable).code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(service_.calls, 1);
}

}  // namespace
}  // namespace banyan::client

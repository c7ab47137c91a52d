#include "server/node/watcher/report.h"

#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"

#include "banyan/internal/v1/membership.grpc.pb.h"

namespace banyan {
namespace {

using internal::v1::WatcherRequest;
using internal::v1::WatcherResponse;

// Takes one report at a time; may refuse as a replica that does not lead.
class FakeCoordinator : public internal::v1::Membership::Service {
 public:
  explicit FakeCoordinator(bool leads) : leads_(leads) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeCoordinator() override { server_->Shutdown(); }

  grpc::Status Watcher(grpc::ServerContext*,
                       grpc::ServerReaderWriter<WatcherResponse, WatcherRequest>* stream) override {
    if (!leads_) return {grpc::StatusCode::FAILED_PRECONDITION, "NOT_LEADER"};
    WatcherRequest request;
    while (stream->Read(&request)) {
      requests.push_back(request);
      if (!request.has_exited()) continue;
      WatcherResponse response;
      response.set_recorded(true);
      stream->Write(response);
    }
    return grpc::Status::OK;
  }
  std::string address() const { return fmt::format("127.0.0.1:{}", port_); }

  std::vector<WatcherRequest> requests;  // read it when ReportNodeEnd has returned

 private:
  const bool leads_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST(ReportNodeEnd, TheLeaderRecordsItAlsoBehindOthers) {
  FakeCoordinator standby(false);
  FakeCoordinator leader(true);
  WatchPage* page = WatchPage::Map();
  page->SetProcessId("0123456789abcdef");
  page->SetIdentity(3, 9);
  page->SetCoordinators({"127.0.0.1:1", standby.address(), leader.address()});
  const absl::Status status = ReportNodeEnd(*page, {.wait_status = 9, .killed = true}, {});
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(leader.requests.size(), 2u);
  EXPECT_EQ(leader.requests[0].watching().node_id(), 3u);
  EXPECT_EQ(leader.requests[0].watching().incarnation(), 9u);
  EXPECT_EQ(leader.requests[0].watching().process_id(), "0123456789abcdef");
  EXPECT_EQ(leader.requests[1].exited().status(), 9);
  EXPECT_TRUE(leader.requests[1].exited().killed());
}

TEST(ReportNodeEnd, GivesUpAndSaysWhy) {
  FakeCoordinator standby(false);
  WatchPage* page = WatchPage::Map();
  page->SetIdentity(3, 9);
  EXPECT_EQ(ReportNodeEnd(*page, {}, {}).code(), absl::StatusCode::kFailedPrecondition);
  page->SetCoordinators({standby.address()});
  const absl::Status status = ReportNodeEnd(*page, {}, {.limit = absl::Milliseconds(300)});
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("NOT_LEADER"));
}

}  // namespace
}  // namespace banyan

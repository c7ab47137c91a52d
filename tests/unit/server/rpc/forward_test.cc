// What becomes of a request that one server passes on to another, and of a client that goes away.
#include "server/rpc/forward.h"

#include <condition_variable>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "banyan/v1/actors.grpc.pb.h"
#include "common/base/error.h"
#include "common/time/system_clock.h"
#include "server/rpc/method_names.h"

namespace banyan::rpc {
namespace {

// Something that happens once, on another thread.
template <typename T>
class Once {
 public:
  void Happen(T value) {
    MutexLock lock(&mu_);
    value_ = std::move(value);
    cv_.notify_all();
  }
  std::optional<T> Wait() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock<Mutex> lock(mu_);
    cv_.wait_for(lock, std::chrono::seconds(10),
                 [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return value_.has_value(); });
    return value_;
  }

 private:
  Mutex mu_;
  std::condition_variable_any cv_;
  std::optional<T> value_ ABSL_GUARDED_BY(mu_);
};

// Takes calls, and keeps them.
class Keeping : public v1::Actors::CallbackService {
 public:
  grpc::ServerUnaryReactor* Call(grpc::CallbackServerContext* context, const v1::CallRequest*,
                                 v1::CallResponse* response) override {
    auto* pending = new PendingCall<v1::CallResponse>(context, response);
    taken.Happen(Answer<v1::CallResponse>(pending));
    return pending;
  }
  Once<Answer<v1::CallResponse>> taken;
};

// Accepts one connection as a server of gRPC does, and breaks it once a request has come.
class Breaking {
 public:
  Breaking() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(::listen(socket_, 1), 0);
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    address = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
    thread_ = std::thread([this] { Serve(); });
  }
  ~Breaking() {
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    ::close(socket_);
  }
  std::string address;

 private:
  void Serve() {
    const int peer = ::accept(socket_, nullptr, nullptr);
    if (peer < 0) return;
    const char settings[9] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    ::send(peer, settings, sizeof(settings), MSG_NOSIGNAL);
    std::string read;
    char buffer[4096];
    while (read.find("request to be lost") == std::string::npos) {
      const ssize_t n = ::recv(peer, buffer, sizeof(buffer), 0);
      if (n <= 0) break;
      read.append(buffer, static_cast<size_t>(n));
    }
    ::close(peer);
  }
  const int socket_;
  std::thread thread_;
};

// As programs have them, see there.
Channels& TheChannels() {
  static auto* channels = new Channels(grpc::InsecureChannelCredentials());
  return *channels;
}

// A client's call, until it has ended.
struct OpenCall {
  explicit OpenCall(const std::string& to) : stub(v1::Actors::NewStub(TheChannels().Get(to))) {
    stub->async()->Call(&context, &request, &response,
                        [this](const grpc::Status& s) { ended.Happen(s.error_code()); });
  }

  std::unique_ptr<v1::Actors::Stub> stub;
  grpc::ClientContext context;
  v1::CallRequest request;
  v1::CallResponse response;
  Once<grpc::StatusCode> ended;
};

class Passing : public ::testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service);
    server = builder.BuildAndStart();
    address = "127.0.0.1:" + std::to_string(port);
  }
  // What the caller hears of a call that is passed on there.
  absl::Status Pass(const std::string& to, Hop hop, absl::Duration patience = absl::Seconds(10)) {
    CallContext context;
    context.deadline = clock.Now() + patience;
    v1::CallRequest request;
    request.mutable_payload()->mutable_value()->set_value("request to be lost");
    Once<absl::Status> heard;
    forwarder.Ask<v1::CallRequest, v1::CallResponse>(
        context, hop, to, method::kCall, std::move(request),
        [&](const grpc::Status& status, v1::CallResponse*, const grpc::ClientContext& client) {
          EXPECT_FALSE(FromServer(client));
          heard.Happen(FromGrpcStatus(status));
        });
    return heard.Wait().value_or(absl::UnknownError("nothing"));
  }
  static std::string Outcome(const absl::Status& status) {
    return GetErrorInfo(status).value_or(ErrorInfo()).metadata["outcome"];
  }

  SystemClock clock;
  Forwarder forwarder{&TheChannels(), &clock};
  Keeping service;
  std::unique_ptr<grpc::Server> server;
  std::string address;
};

TEST_F(Passing, WhoWasNotReachedHasNotRunIt) {
  server->Shutdown();
  absl::Status status = Pass(address, Hop::kNode);
  EXPECT_EQ(ErrorReason(status), "NOT_DELIVERED") << status;
  EXPECT_EQ(Outcome(status), kNotExecuted);
  status = Pass(address, Hop::kCoordinator);
  EXPECT_EQ(ErrorReason(status), "COORDINATOR_UNAVAILABLE");
  EXPECT_EQ(Outcome(status), kNotExecuted);
}

TEST_F(Passing, WhoDoesNotAnswerInTimeMayHaveRunIt) {
  for (Hop hop : {Hop::kNode, Hop::kCoordinator}) {
    const absl::Status status = Pass(address, hop, absl::Milliseconds(300));
    EXPECT_EQ(ErrorReason(status), "CALL_TIMEOUT") << status;
    EXPECT_EQ(Outcome(status), kOutcomeUnknown);
  }
}

TEST_F(Passing, AConnectionThatBreaksLeavesItOpen) {
  for (Hop hop : {Hop::kNode, Hop::kCoordinator}) {
    Breaking breaking;
    const absl::Status status = Pass(breaking.address, hop);
    EXPECT_EQ(ErrorReason(status), hop == Hop::kNode ? "NOCONNECTION" : "COORDINATOR_UNAVAILABLE")
        << status;
    EXPECT_EQ(Outcome(status), kOutcomeUnknown);
  }
}

TEST_F(Passing, AClientThatGoesAwayIsHeardOf) {
  OpenCall call(address);
  std::optional<Answer<v1::CallResponse>> answer = service.taken.Wait();
  ASSERT_TRUE(answer);
  Once<bool> given_up;
  answer->OnGivenUp([&] { given_up.Happen(true); });
  call.context.TryCancel();
  EXPECT_TRUE(given_up.Wait());
  EXPECT_TRUE(answer->closed());
  bool later = false;
  answer->OnGivenUp([&] { later = true; });
  EXPECT_TRUE(later);
  EXPECT_EQ(call.ended.Wait(), grpc::StatusCode::CANCELLED);
}

TEST_F(Passing, AnAnswerIsNoGivingUp) {
  OpenCall call(address);
  std::optional<Answer<v1::CallResponse>> answer = service.taken.Wait();
  ASSERT_TRUE(answer);
  bool given_up = false;
  answer->OnGivenUp([&] { given_up = true; });
  answer->Done({});
  EXPECT_EQ(call.ended.Wait(), grpc::StatusCode::OK);
  EXPECT_FALSE(given_up);
}

}  // namespace
}  // namespace banyan::rpc

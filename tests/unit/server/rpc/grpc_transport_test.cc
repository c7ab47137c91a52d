#include "server/rpc/grpc_transport.h"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "banyan/internal/v1/membership.grpc.pb.h"
#include "common/base/error.h"
#include "common/time/thread_executor.h"
#include "server/rpc/internal_services.h"
#include "server/rpc/server.h"

namespace banyan::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Records what a stream brings and wakes the test.
class Recorder : public StreamHandler {
 public:
  void OnFrame(std::string bytes) override {
    MutexLock lock(&mu_);
    frames_.push_back(bytes);
    if (echo) stream->Write(std::move(bytes));
    changed_.notify_all();
  }
  void OnClose(absl::Status status) override {
    MutexLock lock(&mu_);
    closed_ = status;
    changed_.notify_all();
  }
  void OnWritable() override {
    MutexLock lock(&mu_);
    ++writable_;
    changed_.notify_all();
  }

  std::vector<std::string> WaitForFrames(size_t count) {
    std::unique_lock<Mutex> lock(mu_);
    Wait(lock, [&] { return frames_.size() >= count; });
    return frames_;
  }
  absl::Status WaitForClose() {
    std::unique_lock<Mutex> lock(mu_);
    Wait(lock, [&] { return closed_.has_value(); });
    return closed_.value_or(absl::InternalError("the stream was not closed in time"));
  }
  void WaitForWritable() {
    std::unique_lock<Mutex> lock(mu_);
    Wait(lock, [&] { return writable_ > 0; });
  }

  std::unique_ptr<Stream> stream;  // on the executor only
  bool echo = false;

 private:
  void Wait(std::unique_lock<Mutex>& lock,
            const std::function<bool()>& until) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(10), until));
  }
  Mutex mu_;
  std::condition_variable_any changed_;
  std::vector<std::string> frames_;
  std::optional<absl::Status> closed_;
  int writable_ = 0;
};

class GrpcTransportTest : public ::testing::Test {
 protected:
  GrpcTransportTest() { StartServer("127.0.0.1:0"); }
  ~GrpcTransportTest() override {
    Run([this] {
      client_end_.stream.reset();
      server_end_.stream.reset();
    });
    client_.Stop();
    serving_.Stop();
    if (server_) server_->Shutdown(absl::Seconds(5));
  }

  void StartServer(const std::string& listen) {
    RpcServer::Options options;
    options.listen = listen;
    options.services = {peer_service_.get(), membership_service_.get()};
    auto server = RpcServer::Start(std::move(options));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  void Accept(StreamKind kind) {
    serving_.Listen(kind, [this](std::unique_ptr<Stream> stream) {
      server_end_.stream = std::move(stream);
      return &server_end_;
    });
  }
  void Dial(StreamKind kind) {
    Run([&] { client_end_.stream = client_.Dial(server_->address(), kind, &client_end_); });
  }
  // Runs `fn` on the executor and waits for it.
  void Run(const std::function<void()>& fn) {
    Mutex mu;
    std::condition_variable_any done;
    bool ran = false;
    executor_.Post([&] {
      fn();
      MutexLock lock(&mu);
      ran = true;
      done.notify_all();
    });
    std::unique_lock<Mutex> lock(mu);
    done.wait(lock, [&] { return ran; });
  }

  ThreadExecutor executor_;
  Channels channels_{grpc::InsecureChannelCredentials()};
  GrpcTransport client_{&executor_, &channels_};
  GrpcTransport serving_{&executor_, &channels_};
  std::unique_ptr<grpc::Service> peer_service_ = MakePeerService(&serving_);
  std::unique_ptr<grpc::Service> membership_service_ =
      MakeMembershipService(&serving_, [](internal::v1::ResolveRequest request, uint32_t,
                                          Answer<internal::v1::ResolveResponse> answer) {
        answer.Fail(MakeError("NAME_NOT_REGISTERED", "nobody has it", {{"name", request.name()}}));
      });
  Recorder client_end_;
  Recorder server_end_;
  std::unique_ptr<RpcServer> server_;
};

TEST_F(GrpcTransportTest, CarriesFramesBothWaysInOrder) {
  for (StreamKind kind : {StreamKind::kLease, StreamKind::kControl, StreamKind::kWatcher,
                          StreamKind::kPeer, StreamKind::kRelay}) {
    Recorder client_end;
    Recorder server_end;
    server_end.echo = true;
    serving_.Listen(kind, [&](std::unique_ptr<Stream> stream) {
      server_end.stream = std::move(stream);
      return &server_end;
    });
    Run([&] {
      client_end.stream = client_.Dial(server_->address(), kind, &client_end);
      for (const char* frame : {"a", "", "c"}) client_end.stream->Write(frame);
    });
    EXPECT_THAT(client_end.WaitForFrames(3), ElementsAre("a", "", "c"));
    client_end.WaitForWritable();
    Run([&] { client_end.stream->Close(absl::OkStatus()); });
    EXPECT_TRUE(server_end.WaitForClose().ok());
    EXPECT_TRUE(client_end.WaitForClose().ok());
    Run([&] {
      client_end.stream.reset();
      server_end.stream.reset();
    });
  }
}

TEST_F(GrpcTransportTest, SendsWhatIsQueuedBeforeItsOwnClose) {
  Accept(StreamKind::kPeer);
  Dial(StreamKind::kPeer);
  std::vector<std::string> sent;
  for (int i = 0; i < 500; ++i) sent.push_back(std::string(1000, static_cast<char>('a' + i % 26)));
  Run([&] {
    for (const std::string& frame : sent) client_end_.stream->Write(frame);
    client_end_.stream.reset();
  });
  EXPECT_EQ(server_end_.WaitForFrames(sent.size()), sent);
  EXPECT_TRUE(server_end_.WaitForClose().ok());
}

TEST_F(GrpcTransportTest, BringsTheServersErrorWithItsReason) {
  Accept(StreamKind::kControl);
  Dial(StreamKind::kControl);
  Run([&] { client_end_.stream->Write("hello"); });
  server_end_.WaitForFrames(1);
  Run([&] {
    server_end_.stream->Close(MakeError("NAME_IN_USE", "the name n1 is in use", {{"node", "n1"}}));
  });
  const absl::Status status = client_end_.WaitForClose();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorReason(status), "NAME_IN_USE");
}

TEST_F(GrpcTransportTest, AbortReachesTheOtherSide) {
  Accept(StreamKind::kPeer);
  Dial(StreamKind::kPeer);
  Run([&] { client_end_.stream->Write("hello"); });
  server_end_.WaitForFrames(1);
  Run([&] { client_end_.stream->Abort(); });
  EXPECT_FALSE(client_end_.WaitForClose().ok());
  EXPECT_FALSE(server_end_.WaitForClose().ok());
}

TEST_F(GrpcTransportTest, AbortByTheServerReachesTheClient) {
  Accept(StreamKind::kPeer);
  Dial(StreamKind::kPeer);
  Run([&] { client_end_.stream->Write("hello"); });
  server_end_.WaitForFrames(1);
  Run([&] { server_end_.stream->Abort(); });
  EXPECT_FALSE(client_end_.WaitForClose().ok());
}

TEST_F(GrpcTransportTest, NobodyListensThere) {
  Run([&] { client_end_.stream = client_.Dial("127.0.0.1:1", StreamKind::kPeer, &client_end_); });
  EXPECT_EQ(client_end_.WaitForClose().code(), absl::StatusCode::kUnavailable);
}

TEST_F(GrpcTransportTest, AStreamThatNobodyAcceptsIsUnimplemented) {
  Dial(StreamKind::kWatcher);
  EXPECT_EQ(client_end_.WaitForClose().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(GrpcTransportTest, ADestroyedStreamReportsNothing) {
  Accept(StreamKind::kPeer);
  auto handler = std::make_unique<Recorder>();
  Run([&] {
    handler->stream = client_.Dial(server_->address(), StreamKind::kPeer, handler.get());
    handler->stream->Write("hello");
  });
  server_end_.WaitForFrames(1);
  Run([&] {
    handler->stream.reset();
    handler.reset();  // a call on it now would be seen by the sanitizer
  });
  EXPECT_TRUE(server_end_.WaitForClose().ok());
}

TEST_F(GrpcTransportTest, AnIdleReaderHoldsTheWriterUp) {
  // Nothing is read before the acceptor has run, so blocking it makes an idle reader.
  Mutex mu;
  std::condition_variable_any go;
  bool open = false;
  Run([&] {
    client_end_.stream = client_.Dial(server_->address(), StreamKind::kPeer, &client_end_);
  });
  ThreadExecutor slow("slow");
  GrpcTransport slow_transport(&slow, &channels_);
  std::unique_ptr<grpc::Service> slow_peer = MakePeerService(&slow_transport);
  RpcServer::Options options;
  options.listen = "127.0.0.1:0";
  options.services = {slow_peer.get()};
  auto slow_server = RpcServer::Start(std::move(options));
  ASSERT_TRUE(slow_server.ok());
  Recorder reader;
  slow_transport.Listen(StreamKind::kPeer, [&](std::unique_ptr<Stream> stream) -> StreamHandler* {
    std::unique_lock<Mutex> lock(mu);
    go.wait(lock, [&] { return open; });
    reader.stream = std::move(stream);
    return &reader;
  });
  constexpr int kFrames = 64;
  Recorder writer;
  Run([&] {
    writer.stream = client_.Dial((*slow_server)->address(), StreamKind::kPeer, &writer);
    for (int i = 0; i < kFrames; ++i) writer.stream->Write(std::string(1 << 20, 'x'));
    EXPECT_GT(writer.stream->queued(), 1u);
  });
  {
    MutexLock lock(&mu);
    open = true;
    go.notify_all();
  }
  EXPECT_EQ(reader.WaitForFrames(kFrames).size(), static_cast<size_t>(kFrames));
  writer.WaitForWritable();
  Run([&] { writer.stream.reset(); });
  EXPECT_TRUE(reader.WaitForClose().ok());
  slow_transport.Stop();
  (*slow_server)->Shutdown(absl::Seconds(5));
  slow.Post([&] { reader.stream.reset(); });
}

TEST_F(GrpcTransportTest, StopCutsWhatIsOpen) {
  Accept(StreamKind::kPeer);
  Dial(StreamKind::kPeer);
  Run([&] { client_end_.stream->Write("hello"); });
  server_end_.WaitForFrames(1);
  serving_.Stop();
  EXPECT_FALSE(client_end_.WaitForClose().ok());
  EXPECT_FALSE(server_end_.WaitForClose().ok());
  Recorder late;
  Run([&] { late.stream = client_.Dial(server_->address(), StreamKind::kPeer, &late); });
  EXPECT_EQ(late.WaitForClose().code(), absl::StatusCode::kUnavailable);
  Run([&] { late.stream.reset(); });
}

// A component that has not heard of the end yet writes on; the sanitizer sees a write on a freed
// call.
TEST_F(GrpcTransportTest, WritesGoOnWhileTheCallBreaks) {
  Accept(StreamKind::kLease);
  for (int round = 0; round < 30; ++round) {
    Recorder writer;
    Run([&] {
      writer.stream = client_.Dial(server_->address(), StreamKind::kLease, &writer);
      writer.stream->Write("hello");
    });
    Run([&] {
      if (server_end_.stream != nullptr) server_end_.stream->Abort();
    });
    std::atomic<bool> closed{false};
    std::thread busy([&] {
      while (!closed) Run([&] { writer.stream->Write("x"); });
    });
    if (round % 2 == 0) Run([&] { writer.stream->Abort(); });
    Run([&] {
      if (server_end_.stream != nullptr) server_end_.stream->Abort();
    });
    if (round % 2 != 0) Run([&] { writer.stream->Close(absl::OkStatus()); });
    EXPECT_NE(writer.WaitForClose().code(), absl::StatusCode::kInternal);
    closed = true;
    busy.join();
    Run([&] {
      writer.stream.reset();
      server_end_.stream.reset();
    });
  }
}

TEST_F(GrpcTransportTest, AUnaryErrorCarriesDetailsAndTrailers) {
  auto stub = internal::v1::Membership::NewStub(channels_.Get(server_->address()));
  grpc::ClientContext context;
  internal::v1::ResolveRequest request;
  internal::v1::ResolveResponse response;
  request.set_name("x");
  const absl::Status status = FromGrpcStatus(stub->Resolve(&context, request, &response));
  EXPECT_EQ(ErrorReason(status), "NAME_NOT_REGISTERED");
  const auto& trailers = context.GetServerTrailingMetadata();
  ASSERT_NE(trailers.find("banyan-origin"), trailers.end());
  EXPECT_EQ(trailers.find("banyan-origin")->second, "node");
}

TEST_F(GrpcTransportTest, ABusyPortIsSaid) {
  RpcServer::Options options;
  options.listen = server_->address();
  auto second = RpcServer::Start(std::move(options));
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("Address already in use"));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(server_->address()));
}

TEST(HostPort, SaysWhatIsWrong) {
  for (const char* bad : {"", "localhost", ":80", "a:b", "a:-1", "a:70000", "::1:80", "a:80x"}) {
    EXPECT_FALSE(ParseHostPort(bad).ok()) << bad;
  }
  EXPECT_EQ(ParseHostPort("[::1]:80")->ToString(), "[::1]:80");
  EXPECT_TRUE(ParseHostPort("127.1.2.3:0")->loopback());
  EXPECT_FALSE(ParseHostPort("0.0.0.0:0")->loopback());
}

}  // namespace
}  // namespace banyan::rpc

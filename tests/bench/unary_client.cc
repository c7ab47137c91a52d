// The client of unary_call_64: keeps 64 calls of one actor in flight on one channel, for our server
// and for the bare echo alike. Prints calls a second.
//
// usage: bench_unary ADDRESS NAME CALLS      (NAME: of a kv actor that holds the key "bench")
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <memory>
#include <string>
#include <vector>

#include "grpcpp/grpcpp.h"

#include "banyan/modules/v1/kv.pb.h"
#include "banyan/v1/actors.grpc.pb.h"
#include "tests/bench/tuning.h"

namespace banyan::bench {
namespace {

constexpr int kInFlight = 64;

// Calls of one of the 64: each starts its next when the last is answered.
class Caller {
 public:
  Caller(v1::Actors::Stub* stub, const v1::CallRequest& request, std::atomic<int>* left,
         std::latch* done)
      : stub_(stub), request_(request), left_(left), done_(done) {}

  void Next() {
    if (left_->fetch_sub(1) <= 0) {
      done_->count_down();
      return;
    }
    context_ = std::make_unique<grpc::ClientContext>();
    context_->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    stub_->async()->Call(context_.get(), &request_, &response_, [this](grpc::Status status) {
      if (!status.ok()) {
        std::fprintf(stderr, "call failed: %d %s\n", status.error_code(),
                     status.error_message().c_str());
        std::_Exit(1);
      }
      Next();
    });
  }

 private:
  v1::Actors::Stub* const stub_;
  const v1::CallRequest& request_;
  std::atomic<int>* const left_;
  std::latch* const done_;
  std::unique_ptr<grpc::ClientContext> context_;
  v1::CallResponse response_;
};

double Rate(v1::Actors::Stub* stub, const v1::CallRequest& request, int calls) {
  std::atomic<int> left(calls);
  std::latch done(kInFlight);
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < kInFlight; ++i) {
    callers.push_back(std::make_unique<Caller>(stub, request, &left, &done));
  }
  auto start = std::chrono::steady_clock::now();
  for (auto& caller : callers) caller->Next();
  done.wait();
  return calls / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int Main(const char* address, const char* name, int calls) {
  TuneProcess();
  auto stub = v1::Actors::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  v1::CallRequest request;
  request.mutable_target()->set_name(name);
  modules::v1::Get get;
  get.set_key("bench");
  request.mutable_payload()->mutable_value()->PackFrom(get);
  Rate(stub.get(), request, calls / 10);  // connects, and warms both up
  std::printf("unary_call_64\t%.6g\tcall/s\n", Rate(stub.get(), request, calls));
  return 0;
}

}  // namespace
}  // namespace banyan::bench

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: bench_unary ADDRESS NAME CALLS\n");
    return 2;
  }
  return banyan::bench::Main(argv[1], argv[2], std::atoi(argv[3]));
}

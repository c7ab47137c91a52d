// Starts children of a cluster-wide supervisor, 64 requests in flight on one channel. Prints the
// rate: each answer means that the child runs and is durable.
//
// usage: bench_starts ADDRESS SUPERVISOR CHILDREN PREFIX      (children are kv actors PREFIX0, ...)
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <memory>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "grpcpp/grpcpp.h"

#include "banyan/v1/supervisors.grpc.pb.h"
#include "tests/bench/tuning.h"

namespace banyan::bench {
namespace {

constexpr int kInFlight = 64;

struct Work {
  v1::Supervisors::Stub* stub;
  std::string supervisor;
  std::string prefix;
  int children;
  std::atomic<int> next{0};
  std::latch done{kInFlight};
};

// One of the 64 callers: asks for its next child when the last one runs.
class Caller {
 public:
  explicit Caller(Work* work) : work_(work) {}

  void Next() {
    const int number = work_->next.fetch_add(1);
    if (number >= work_->children) return work_->done.count_down();
    request_.mutable_supervisor()->set_name(work_->supervisor);
    request_.set_request_id(fmt::format("{}{}", work_->prefix, number));
    request_.mutable_spec()->set_id(fmt::format("{}{}", work_->prefix, number));
    request_.mutable_spec()->mutable_start()->set_module("kv");
    context_ = std::make_unique<grpc::ClientContext>();
    context_->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    work_->stub->async()->StartChild(
        context_.get(), &request_, &response_, [this](grpc::Status status) {
          if (!status.ok()) {
            std::fprintf(stderr, "start failed: %d %s\n", status.error_code(),
                         status.error_message().c_str());
            std::_Exit(1);
          }
          Next();
        });
  }

 private:
  Work* const work_;
  std::unique_ptr<grpc::ClientContext> context_;
  v1::StartChildRequest request_;
  v1::StartChildResponse response_;
};

int Main(char** argv) {
  TuneProcess();
  auto stub =
      v1::Supervisors::NewStub(grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials()));
  Work work{stub.get(), argv[2], argv[4], std::atoi(argv[3])};
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < kInFlight; ++i) callers.push_back(std::make_unique<Caller>(&work));
  const auto start = std::chrono::steady_clock::now();
  for (auto& caller : callers) caller->Next();
  work.done.wait();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("%.6g\n", work.children / seconds.count());
  return 0;
}

}  // namespace
}  // namespace banyan::bench

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: bench_starts ADDRESS SUPERVISOR CHILDREN PREFIX\n");
    return 2;
  }
  return banyan::bench::Main(argv);
}

// The anchor of unary_call_64: bare gRPC with the same API, Actors.Call, and nothing behind it.
// Prints its port, serves until its standard input closes.
#include <cstdio>

#include "grpcpp/grpcpp.h"
#include <unistd.h>

#include "banyan/v1/actors.grpc.pb.h"
#include "tests/bench/tuning.h"

namespace banyan::bench {
namespace {

class Echo : public v1::Actors::CallbackService {
 public:
  grpc::ServerUnaryReactor* Call(grpc::CallbackServerContext* context,
                                 const v1::CallRequest* request,
                                 v1::CallResponse* response) override {
    *response->mutable_payload() = request->payload();
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

int Main() {
  TuneProcess();
  Echo echo;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterService(&echo);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) return 1;
  std::printf("%d\n", port);
  std::fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  server->Shutdown();
  return 0;
}

}  // namespace
}  // namespace banyan::bench

int main() { return banyan::bench::Main(); }

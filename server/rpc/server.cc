#include "server/rpc/server.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "fmt/format.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/server_builder.h"
#include <netdb.h>
#include <sys/socket.h>

#include "common/os/unique_fd.h"
#include "server/rpc/channels.h"

namespace banyan::rpc {
namespace {

// Why one cannot listen there; gRPC itself only says that it failed.
std::string WhyNot(const HostPort& at) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(at.host.c_str(), fmt::format("{}", at.port).c_str(), &hints, &found);
  if (error != 0) return gai_strerror(error);
  std::string why = "unknown cause";
  UniqueFd fd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (fd.valid()) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (!fd.valid() || bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      listen(fd.get(), 1) != 0) {
    why = std::strerror(errno);
  }
  freeaddrinfo(found);
  return why;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(Options options) {
  absl::StatusOr<HostPort> at = ParseHostPort(options.listen);
  if (!at.ok()) return at.status();
  static const bool plugins = [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  (void)plugins;

  grpc::ServerBuilder builder;
  SetServerArguments(&builder);
  // Only reflection uses the synchronous API: one thread that waits for it is enough.
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MAX_POLLERS, 2);
  int port = 0;
  auto credentials =
      options.credentials != nullptr ? options.credentials : grpc::InsecureServerCredentials();
  builder.AddListeningPort(at->ToString(), std::move(credentials), &port);
  for (grpc::Service* service : options.services) builder.RegisterService(service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    return absl::FailedPreconditionError(
        fmt::format("cannot listen on {}: {}", at->ToString(), WhyNot(*at)));
  }
  at->port = port;
  auto out = std::unique_ptr<RpcServer>(
      new RpcServer(std::move(server), port, at->ToString(), std::move(options.health_names)));
  out->SetServing(false);
  return out;
}

RpcServer::RpcServer(std::unique_ptr<grpc::Server> server, int port, std::string address,
                     std::vector<std::string> health_names)
    : server_(std::move(server)),
      port_(port),
      address_(std::move(address)),
      health_names_(std::move(health_names)) {}

RpcServer::~RpcServer() { Shutdown(absl::ZeroDuration()); }

void RpcServer::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  if (health == nullptr) return;
  health->SetServingStatus(serving);
  health->SetServingStatus("", serving);
  for (const std::string& name : health_names_) health->SetServingStatus(name, serving);
}

void RpcServer::Shutdown(absl::Duration grace) {
  if (server_ == nullptr) return;
  SetServing(false);
  server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(grace));
  server_->Wait();
  server_.reset();
}

}  // namespace banyan::rpc

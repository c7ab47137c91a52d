#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/impl/service_type.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"

namespace banyan::rpc {

// One listening gRPC server with services of ours, reflection (v1alpha) and grpc.health.v1.
//
// Life: Start, SetServing(true), Shutdown. The services outlive it.
class RpcServer {
 public:
  struct Options {
    std::string listen;                                    // "host:port"; port 0: any free one
    std::shared_ptr<grpc::ServerCredentials> credentials;  // null: none
    std::vector<grpc::Service*> services;
    // Full names whose health is reported besides the server's own ("").
    std::vector<std::string> health_names;
  };
  // FAILED_PRECONDITION with the reason, e.g. that the port is taken.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(Options options);
  ~RpcServer();

  int port() const { return port_; }
  // "host:port" with the real port.
  const std::string& address() const { return address_; }

  void SetServing(bool serving);

  // Takes no new calls and gives those under way this long; then they are cancelled. Returns when
  // all have ended, so cut or answer what would not end by itself first. Idempotent.
  void Shutdown(absl::Duration grace);

 private:
  RpcServer(std::unique_ptr<grpc::Server> server, int port, std::string address,
            std::vector<std::string> health_names);

  std::unique_ptr<grpc::Server> server_;
  const int port_;
  const std::string address_;
  const std::vector<std::string> health_names_;
};

struct HostPort {
  std::string host;  // without brackets
  int port = 0;
  bool loopback() const;
  std::string ToString() const;
};
// INVALID_ARGUMENT for anything but "host:port" with a port of 0 to 65535.
absl::StatusOr<HostPort> ParseHostPort(std::string_view text);

}  // namespace banyan::rpc

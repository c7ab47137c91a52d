#pragma once

#include <memory>
#include <string>
#include <vector>

#include "grpcpp/impl/service_type.h"

#include "server/rpc/backend.h"

namespace banyan::rpc {

// The public services. Each method reads the RPC's context, checks the request's own fields and
// hands it to the backend. Methods of the protos that are not in here answer UNIMPLEMENTED.
// The generated classes are seen by services.cc alone: they take a minute to compile.
class PublicServices {
 public:
  explicit PublicServices(Backend* backend);
  ~PublicServices();
  std::vector<grpc::Service*> services() const;
  static std::vector<std::string> names();

 private:
  std::vector<std::unique_ptr<grpc::Service>> owned_;
};

}  // namespace banyan::rpc

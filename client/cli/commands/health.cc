#include <ostream>

#include "client/cli/commands/commands.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace banyan::cli {

int RunHealth(Cli& cli, const HealthOptions& options) {
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(options.service);
  grpc::health::v1::HealthCheckResponse response;
  auto error = cli.session().InvokeWith("Check", {}, [&](grpc::ClientContext* context) {
    return grpc::health::v1::Health::NewStub(cli.session().channel())
        ->Check(context, request, &response);
  });
  if (!error.ok()) {
    if (error.code == grpc::StatusCode::NOT_FOUND && error.message.empty()) {
      error.message = "the server has no service \"" + options.service + "\"";
    }
    return cli.Fail(error);
  }
  const bool serving = response.status() == grpc::health::v1::HealthCheckResponse::SERVING;
  if (cli.structured()) {
    cli.out() << "{\"status\": \"" << (serving ? "SERVING" : "NOT_SERVING") << "\"}\n";
  } else if (!cli.options().quiet) {
    cli.out() << (serving ? "serving" : "not serving") << "\n";
  }
  return serving ? kDone : kNo;
}

}  // namespace banyan::cli

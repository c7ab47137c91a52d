#include <algorithm>
#include <cctype>
#include <ostream>

#include "client/cli/commands/commands.h"
#include "client/cli/output.h"
#include "client/transport/duration.h"
#include "client/transport/payload.h"
#include <fmt/format.h>

#include "banyan/v1/actors.grpc.pb.h"

namespace banyan::cli {
namespace {

constexpr client::CallOptions kMessage = {.retry = client::Retry::kNotExecuted};
// The server's own deadline error tells more than the transport's: it gets this long to arrive.
constexpr absl::Duration kDeadlineSlack = absl::Milliseconds(500);

// Whether a lone argument after TARGET is the payload rather than a type's name.
bool LooksLikeJson(const std::string& text) {
  if (text.empty()) return false;
  if (text == "true" || text == "false" || text == "null") return true;
  const char c = text[0];
  return c == '{' || c == '[' || c == '"' || c == '@' || c == '-' ||
         std::isdigit(static_cast<unsigned char>(c));
}

int BuildPayload(Cli& cli, const CallOptions& options, v1::Payload* payload) {
  std::string type = options.type_or_json;
  std::string argument = options.json;
  if (argument.empty() && LooksLikeJson(type)) std::swap(type, argument);
  if (type.find('/') != std::string::npos && type.substr(0, 5) != "type.") {
    return cli.Usage(fmt::format("\"{}\" names a gRPC method; give a message type", type),
                     "e.g. banyan call TARGET banyan.modules.v1.Get '{\"key\": \"a\"}'");
  }
  if (type.empty() && argument.empty()) return kDone;
  auto json = cli.ReadArgument(argument.empty() ? "{}" : argument);
  if (!json.ok()) return cli.Usage(std::string(json.status().message()));
  auto built = type.empty() ? client::PayloadFromJson(*json, &cli.types())
                            : client::PayloadFromTypedJson(type, *json, &cli.types());
  if (!built.ok())
    return cli.Usage(fmt::format("payload: {}", std::string(built.status().message())));
  *payload = *std::move(built);
  return kDone;
}

// Target and payload of any of the three requests.
template <typename Request>
int Fill(Cli& cli, const CallOptions& options, Request* request) {
  auto target = cli.Target(options.target);
  if (!target.ok()) return cli.FailTarget(target.status(), options.target);
  *request->mutable_target() = *target;
  v1::Payload payload;
  if (int code = BuildPayload(cli, options, &payload)) return code;
  *request->mutable_payload() = std::move(payload);
  return kDone;
}

HintContext Context(const CallOptions& options) {
  return {.target = options.target, .name = options.target};
}

}  // namespace

int RunCall(Cli& cli, const CallOptions& options) {
  v1::CallRequest request;
  if (int code = Fill(cli, options, &request)) return code;
  request.set_idempotent(options.idempotent);
  client::CallOptions call = kMessage;
  if (options.idempotent) call.retry = client::Retry::kUnavailable;
  if (const absl::Duration timeout = cli.options().timeout; timeout != absl::InfiniteDuration()) {
    *request.mutable_timeout() = client::ToProto(timeout);
    call.timeout = timeout + kDeadlineSlack;
  }
  v1::CallResponse response;
  auto error = cli.session().Invoke<v1::Actors>(&v1::Actors::Stub::Call, request, &response, call);
  if (!error.ok()) return cli.Fail(error, Context(options));
  return PrintOne(cli, response, response.has_pid() ? cli.Pid(response.pid()) : "", [&] {
    cli.out() << client::PayloadToJson(response.payload(), &cli.types(), true) << "\n";
  });
}

int RunCast(Cli& cli, const CallOptions& options) {
  v1::CastRequest request;
  if (int code = Fill(cli, options, &request)) return code;
  if (options.ack) request.set_ack(v1::ACK_ENQUEUED);
  v1::CastResponse response;
  auto error =
      cli.session().Invoke<v1::Actors>(&v1::Actors::Stub::Cast, request, &response, kMessage);
  if (!error.ok()) return cli.Fail(error, Context(options));
  return PrintOne(cli, response, "", [&] {
    cli.out() << (options.ack ? "in the mailbox of " : "accepted for ") << options.target << "\n";
  });
}

int RunSend(Cli& cli, const CallOptions& options) {
  v1::SendRequest request;
  if (int code = Fill(cli, options, &request)) return code;
  if (options.ack) request.set_ack(v1::ACK_ENQUEUED);
  if (!options.delay.empty()) {
    auto delay = client::ParseDuration(options.delay);
    if (!delay.ok())
      return cli.Usage(fmt::format("--delay: {}", std::string(delay.status().message())));
    *request.mutable_delay() = client::ToProto(*delay);
  }
  v1::SendResponse response;
  auto error =
      cli.session().Invoke<v1::Actors>(&v1::Actors::Stub::Send, request, &response, kMessage);
  if (!error.ok()) return cli.Fail(error, Context(options));
  return PrintOne(cli, response, "", [&] {
    if (!options.delay.empty()) {
      cli.out() << fmt::format("will be sent to {} in {}\n", options.target, options.delay);
    } else {
      cli.out() << (options.ack ? "in the mailbox of " : "accepted for ") << options.target << "\n";
    }
  });
}

}  // namespace banyan::cli

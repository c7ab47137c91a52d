#include <algorithm>
#include <cctype>
#include <istream>
#include <ostream>
#include <string>
#include <vector>

#include "client/cli/commands/commands.h"
#include "client/cli/output.h"
#include "client/transport/duration.h"
#include "client/transport/payload.h"
#include "client/transport/send_stream.h"
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

int PackJson(Cli& cli, const std::string& type, const std::string& json, v1::Payload* payload) {
  auto built = type.empty() ? client::PayloadFromJson(json, &cli.types())
                            : client::PayloadFromTypedJson(type, json, &cli.types());
  if (!built.ok())
    return cli.Usage(fmt::format("payload: {}", std::string(built.status().message())));
  *payload = *std::move(built);
  return kDone;
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
  return PackJson(cli, type, *json, payload);
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

// One message a line of stdin, over one stream: all arrive in order, and what does not is told.
int SendLines(Cli& cli, const CallOptions& options, bool cast) {
  if (options.ack || !options.delay.empty()) {
    return cli.Usage("--lines goes without --ack and --delay",
                     "each message is confirmed when it is in the mailbox");
  }
  if (!options.json.empty() || LooksLikeJson(options.type_or_json))
    return cli.Usage("--lines takes the messages from stdin", "leave JSON out");
  auto target = cli.Target(options.target);
  if (!target.ok()) return cli.FailTarget(target.status(), options.target);
  client::SendStream stream(&cli.session());
  // A pipe may last: without --timeout there is no end to it.
  const absl::Duration timeout =
      cli.options().timeout_given ? cli.options().timeout : absl::InfiniteDuration();
  if (auto error = stream.Open(timeout); !error.ok()) return cli.Fail(error, Context(options));
  int bad = kDone;
  std::vector<size_t> lines;  // of each message
  std::string text;
  for (size_t line = 1; std::getline(cli.env().in, text); ++line) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    v1::SendStreamRequest message;
    *message.mutable_target() = *target;
    message.set_cast(cast);
    bad = PackJson(cli, options.type_or_json, text, message.mutable_payload());
    if (bad != kDone) {
      cli.err() << fmt::format("line {}: not sent, nor what follows\n", line);
      break;
    }
    lines.push_back(line);
    if (!stream.Send(std::move(message))) break;
  }
  const client::ApiError end = stream.Close();
  for (const v1::SendFailure& failure : stream.failures()) {
    if (failure.seq() <= lines.size())
      cli.err() << fmt::format("line {}: {}\n", lines[failure.seq() - 1], failure.reason());
  }
  v1::SendStreamResponse summary;
  summary.set_accepted_seq(stream.accepted());
  summary.mutable_failures()->Assign(stream.failures().begin(), stream.failures().end());
  const int printed = PrintOne(cli, summary, "", [&] {
    cli.out() << fmt::format(
        "{} of {} in the mailbox of {}\n",
        stream.accepted() - std::min<uint64_t>(stream.accepted(), stream.failures().size()),
        lines.size(), options.target);
  });
  if (!end.ok()) return cli.Fail(end, Context(options));
  if (bad != kDone) return bad;
  return stream.failures().empty() ? printed : kNo;
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
  if (options.lines) return SendLines(cli, options, true);
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
  if (options.lines) return SendLines(cli, options, false);
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

#include "client/cli/cli.h"

#include <fstream>
#include <iostream>
#include <iterator>

#include "client/transport/reflection.h"
#include <fmt/format.h>

namespace banyan::cli {

std::string_view Version() { return BANYAN_VERSION; }

Cli::Cli(Environment env, GlobalOptions options)
    : env_(std::move(env)), options_(std::move(options)) {
  client::SessionOptions session;
  session.addresses = options_.addresses;
  session.timeout = options_.timeout;
  session.probe = std::min(session.probe, options_.timeout);
  if (options_.verbose > 0) {
    session.trace = [this](std::string_view rpc, absl::Duration took,
                           const client::ApiError& error) {
      err() << fmt::format("rpc {} at {}: {} in {:.1f} ms\n", rpc, session_->address(),
                           client::CodeWords(error.code), absl::ToDoubleMilliseconds(took));
      if (options_.verbose < 2) return;
      for (const auto& [key, value] : error.metadata)
        err() << fmt::format("    {}: {}\n", key, value);
    };
  }
  session_ = std::make_unique<client::Session>(std::move(session));
  types_ = std::make_unique<client::TypeRegistry>([this](const std::string& symbol) {
    if (!session_->Connect().ok()) return std::vector<google::protobuf::FileDescriptorProto>{};
    return client::FetchFilesOf(session_->channel(), symbol,
                                std::min(options_.timeout, absl::Seconds(5)));
  });
}

int Cli::LoadProtoFiles() {
  for (const std::string& file : options_.proto_files) {
    if (absl::Status bad = types_->AddProtoFile(file); !bad.ok()) {
      return Usage(fmt::format("--proto: {}", std::string(bad.message())));
    }
  }
  return kDone;
}

bool Cli::structured() const {
  return !names_only() && options_.output != Format::kTable && options_.output != Format::kWide;
}

std::string Cli::Pid(const v1::Pid& pid) {
  return pid.id() == 0 ? "-" : client::FormatPid(pid, session_->node_namer());
}

absl::StatusOr<v1::Target> Cli::Target(const std::string& text) {
  return client::ParseTarget(text, session_->node_resolver());
}

absl::StatusOr<v1::Target> Cli::Supervisor(const std::string& text) {
  return client::ParseSupervisor(text, session_->node_resolver());
}

int Cli::Fail(const client::ApiError& error, const HintContext& context) {
  PrintError(err(), error, context, options_.color);
  return ExitCodeOf(error);
}

int Cli::Usage(const std::string& message, const std::string& hint) {
  err() << fmt::format("error: {}\n", message);
  if (!hint.empty()) err() << fmt::format("  hint    {}\n", hint);
  return kUsage;
}

int Cli::FailTarget(const absl::Status& status, const std::string& text) {
  if (status.code() == absl::StatusCode::kInvalidArgument)
    return Usage(std::string(status.message()));
  client::ApiError error = client::LocalError(status);
  if (error.code == grpc::StatusCode::NOT_FOUND) error.reason = "NODE_NOT_FOUND";
  error.connected = error.code != grpc::StatusCode::UNAVAILABLE;
  return Fail(error, {.target = text});
}

bool Cli::Confirm(const std::string& what, bool yes, int* code) {
  if (yes) return true;
  if (!env_.in_is_terminal) {
    *code = Usage(fmt::format("{}; refused without a terminal to ask on", what),
                  "--yes says yes beforehand");
    return false;
  }
  err() << what << ". Go on? [y/N] " << std::flush;
  std::string answer;
  std::getline(env_.in, answer);
  if (answer == "y" || answer == "Y" || answer == "yes") return true;
  err() << "nothing was done\n";
  *code = kNo;
  return false;
}

absl::StatusOr<std::string> Cli::ReadArgument(const std::string& argument) {
  if (argument == "-") return std::string(std::istreambuf_iterator<char>(env_.in), {});
  if (argument.empty() || argument[0] != '@') return argument;
  std::ifstream file(argument.substr(1), std::ios::binary);
  if (!file)
    return absl::InvalidArgumentError(fmt::format("file \"{}\" can't be read", argument.substr(1)));
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace banyan::cli

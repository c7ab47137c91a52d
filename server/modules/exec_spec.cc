#include "server/modules/exec_spec.h"

#include <algorithm>
#include <map>
#include <utility>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "google/protobuf/wrappers.pb.h"
#include <signal.h>
#include <unistd.h>

#include "common/wire/payload.h"

namespace banyan {
namespace {

constexpr std::pair<std::string_view, int> kSignals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"KILL", SIGKILL}, {"USR1", SIGUSR1},
    {"USR2", SIGUSR2}, {"TERM", SIGTERM}, {"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"SEGV", SIGSEGV},
    {"PIPE", SIGPIPE}, {"FPE", SIGFPE},   {"ILL", SIGILL},   {"BUS", SIGBUS},   {"TRAP", SIGTRAP},
    {"SYS", SIGSYS},   {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}};

// Signals that may ask a program to stop.
constexpr std::string_view kStopSignals[] = {"TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL"};

bool HasNul(const std::string& s) { return s.find('\0') != std::string::npos; }

void CheckEnv(const modules::v1::ExecArgs& args, std::vector<std::string>* problems) {
  for (const auto& [key, value] : args.env()) {
    if (key.empty() || key.find('=') != std::string::npos || HasNul(key)) {
      problems->push_back(fmt::format(
          "env: \"{}\" is no name of a variable: it must not be empty or contain '='", key));
    }
    if (HasNul(value))
      problems->push_back(fmt::format("env[\"{}\"]: must not contain a NUL byte", key));
  }
}

std::vector<std::string> Problems(const modules::v1::ExecArgs& args) {
  std::vector<std::string> problems;
  if (args.argv().empty()) {
    problems.push_back("argv: must have at least the program");
  } else if (args.argv(0).empty()) {
    problems.push_back("argv[0]: the program must not be empty");
  }
  for (int i = 0; i < args.argv_size(); ++i) {
    if (HasNul(args.argv(i)))
      problems.push_back(fmt::format("argv[{}]: must not contain a NUL byte", i));
  }
  CheckEnv(args, &problems);
  if (HasNul(args.cwd())) problems.push_back("cwd: must not contain a NUL byte");
  if (HasNul(args.output())) problems.push_back("output: must not contain a NUL byte");
  const int signal = SignalByName(args.stop_signal());
  const bool stops =
      std::any_of(std::begin(kStopSignals), std::end(kStopSignals),
                  [&](std::string_view s) { return signal != 0 && SignalByName(s) == signal; });
  if (!args.stop_signal().empty() && !stops) {
    problems.push_back(fmt::format("stop_signal: \"{}\" is none of {}", args.stop_signal(),
                                   fmt::join(kStopSignals, ", ")));
  }
  return problems;
}

}  // namespace

int SignalByName(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return std::toupper(c); });
  std::string_view bare = upper;
  if (bare.starts_with("SIG")) bare.remove_prefix(3);
  for (const auto& [known, signal] : kSignals) {
    if (known == bare) return signal;
  }
  return 0;
}

std::string SignalName(int signal) {
  for (const auto& [known, number] : kSignals) {
    if (number == signal) return fmt::format("SIG{}", known);
  }
  return fmt::format("{}", signal);
}

absl::StatusOr<ExecSpec> ParseExecSpec(const std::vector<Payload>& args) {
  if (args.size() != 1) {
    return absl::InvalidArgumentError(fmt::format(
        "exec takes exactly one argument, a banyan.modules.v1.ExecArgs; got {}", args.size()));
  }
  absl::StatusOr<modules::v1::ExecArgs> parsed =
      wire::UnpackOrError<modules::v1::ExecArgs>(args[0]);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("args[0]: {}", std::string(parsed.status().message())));
  }
  std::vector<std::string> problems = Problems(*parsed);
  if (!problems.empty())
    return absl::InvalidArgumentError(fmt::format("args[0]: {}", fmt::join(problems, "; ")));
  const int signal = parsed->stop_signal().empty() ? SIGTERM : SignalByName(parsed->stop_signal());
  return ExecSpec{*std::move(parsed), signal};
}

std::vector<std::string> MergedEnvironment(const std::map<std::string, std::string>& added) {
  std::map<std::string, std::string> all;
  for (char** e = environ; e && *e; ++e) {
    std::string_view entry(*e);
    size_t eq = entry.find('=');
    if (eq != std::string_view::npos) all.emplace(entry.substr(0, eq), entry.substr(eq + 1));
  }
  for (const auto& [key, value] : added) all[key] = value;
  std::vector<std::string> out;
  out.reserve(all.size());
  for (const auto& [key, value] : all) out.push_back(fmt::format("{}={}", key, value));
  return out;
}

ExitReason ReasonOfExit(const ChildExit& exit) {
  if (!exit.signaled && exit.code == 0) return ExitReason::Normal();
  google::protobuf::Int32Value number;
  number.set_value(exit.code);
  Payload detail = wire::MessagePayload(number);
  if (exit.signaled) {
    return ExitReason::Error("signal",
                             fmt::format("the program was ended by {}", SignalName(exit.code)),
                             std::move(detail));
  }
  return ExitReason::Error("exit_status",
                           fmt::format("the program exited with status {}", exit.code),
                           std::move(detail));
}

}  // namespace banyan

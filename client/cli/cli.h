#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/errors.h"
#include "client/transport/session.h"
#include "client/transport/types.h"

namespace banyan::cli {

enum class Format { kTable, kWide, kJson, kJsonl, kYaml, kName };

// Exit codes (docs/cli.md).
enum ExitCode : int {
  kDone = 0,
  kNo = 1,
  kUsage = 2,
  kRefused = 3,
  kNotFound = 4,
  kForbidden = 5,
  kConflict = 6,
  kUnavailable = 7,
  kDeadline = 8,
  kExhausted = 9,
  kUnimplemented = 10,
  kInterrupted = 130,
};

// What is outside the program; tests put their own.
struct Environment {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  // The value of an environment variable, or null.
  std::function<const char*(const char*)> get_env = [](const char*) -> const char* {
    return nullptr;
  };
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  int width = 0;  // of the terminal, in characters; 0: unknown
  // Sets what Ctrl-C does from now on; an empty function ends the program. May be empty itself.
  std::function<void(std::function<void()>)> on_interrupt;
};

struct GlobalOptions {
  std::vector<std::string> addresses = {"localhost:7400"};
  Format output = Format::kTable;
  bool mermaid = false;  // `tree` only
  bool no_headers = false;
  bool quiet = false;  // names only
  absl::Duration timeout = absl::Seconds(10);
  bool timeout_given = false;
  bool color = false;
  int verbose = 0;
  std::vector<std::string> proto_files;
};

// What the commands share: streams, the connection, types, and how errors are told.
class Cli {
 public:
  Cli(Environment env, GlobalOptions options);
  Cli(const Cli&) = delete;
  Cli& operator=(const Cli&) = delete;

  std::ostream& out() { return env_.out; }
  std::ostream& err() { return env_.err; }
  const Environment& env() const { return env_; }
  const GlobalOptions& options() const { return options_; }
  client::Session& session() { return *session_; }
  client::TypeRegistry& types() { return *types_; }

  // Loads the --proto files. Anything but kDone has been told already.
  int LoadProtoFiles();

  bool names_only() const { return options_.quiet || options_.output == Format::kName; }
  // Output for programs: everything but tables and names.
  bool structured() const;

  std::string Pid(const v1::Pid& pid);
  absl::StatusOr<v1::Target> Target(const std::string& text);
  absl::StatusOr<v1::Target> Supervisor(const std::string& text);

  // "error: .." with reason and hint on stderr; returns the exit code.
  int Fail(const client::ApiError& error, const HintContext& context = {});
  // A mistake in what was typed; nothing was sent.
  int Usage(const std::string& message, const std::string& hint = "");
  // For a failed Target or Supervisor: wrong text is usage, an unknown node is what the server
  // said.
  int FailTarget(const absl::Status& status, const std::string& text);

  // Principle 6: says what will be done and asks. False: don't (already told why; exit with
  // `*code`).
  bool Confirm(const std::string& what, bool yes, int* code);
  // The argument itself, or the contents of FILE for "@FILE" and of stdin for "-".
  absl::StatusOr<std::string> ReadArgument(const std::string& argument);

 private:
  Environment env_;
  const GlobalOptions options_;
  std::unique_ptr<client::Session> session_;
  std::unique_ptr<client::TypeRegistry> types_;
};

std::string_view Version();

// The whole program: `args` without the program's name.
int Main(const std::vector<std::string>& args, const Environment& env);

}  // namespace banyan::cli

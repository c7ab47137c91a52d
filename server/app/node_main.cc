#include "server/app/node_main.h"

#include <cstdio>
#include <memory>

#include "fmt/format.h"
#include <grpc/support/log.h>

#include "common/log/log.h"
#include "common/os/process_tuning.h"
#include "server/app/announce.h"
#include "server/app/command_line.h"
#include "server/app/coordinator_host.h"
#include "server/app/node_host.h"
#include "server/app/settings.h"
#include "server/app/signals.h"
#include "server/app/version.h"
#include "server/coordinator/restore.h"
#include "server/node/watcher/report.h"
#include "server/node/watcher/watcher.h"

namespace banyan::app {
namespace {

using AddModules = std::function<void(Modules*)>;

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;
// What may still come after the drain: destructors that wait for their threads.
constexpr absl::Duration kEndLimit = absl::Seconds(10);

int Complain(const absl::Status& status, int exit_status) {
  fmt::print(stderr, "banyand: {}\n", std::string(status.message()));
  return exit_status;
}

// gRPC's own messages are for developers: what matters of them comes back as errors.
void LogOfGrpc(gpr_log_func_args* args) {
  log::Debug("grpc", {{"file", args->file}, {"line", args->line}, {"message", args->message}});
}

void Prepare(const Settings& s) {
  TuneProcess(s.tune);
  log::SetLevel(s.log_level);
  log::SetFormat(s.log_format);
  gpr_set_log_function(&LogOfGrpc);
  for (const std::string& warning : s.warnings) log::Warn("configuration", {{"warning", warning}});
}

Announcement AnnouncementOf(std::string what, std::string address, std::string state_dir,
                            const Settings& s) {
  Announcement a;
  a.what = std::move(what);
  a.address = std::move(address);
  a.state_dir = std::move(state_dir);
  a.port_file = s.port_file;
  return a;
}

int RunCoordinator(const Settings& s) {
  BlockSignals();
  Prepare(s);
  auto host = CoordinatorHost::Start(s);
  if (!host.ok()) return Complain(host.status(), kFailed);
  absl::Status told =
      Announce(AnnouncementOf("coordinator", (*host)->address(), (*host)->state_dir(), s));
  if (!told.ok()) return Complain(told, kFailed);
  WaitForSignal();
  EndAtNextSignal();
  EndAfter(kEndLimit);
  host->reset();
  log::Flush();
  return 0;
}

// The node's own process; its watcher, if it has one, is the parent.
int RunNodeProcess(const Settings& s, WatchPage* page, const AddModules& add_modules) {
  BlockSignals();
  Prepare(s);
  auto host = NodeHost::Start(s, page, add_modules);
  if (!host.ok()) return Complain(host.status(), kFailed);
  Announcement a =
      AnnouncementOf(fmt::format("node {}", s.name), (*host)->address(), (*host)->state_dir(), s);
  a.detail = fmt::format("coordinator {}", fmt::join(s.coordinators, ","));
  if (absl::Status told = Announce(a); !told.ok()) return Complain(told, kFailed);
  const int signal = WaitForSignal();
  log::Info("draining", {{"signal", signal}, {"limit_s", absl::ToDoubleSeconds(s.drain_timeout)}});
  EndAtNextSignal();
  (*host)->Drain(s.drain_timeout);
  EndAfter(kEndLimit);
  host->reset();
  log::Flush();
  return 0;
}

int RunNode(const Settings& s, const AddModules& add_modules) {
  if (!s.watch) return RunNodeProcess(s, RunUnwatched().page, add_modules);
  // Forks, so it comes before any thread and before gRPC.
  WatcherOptions options;
  options.report = [](const WatchPage& page, const NodeEnd& end) {
    absl::Status told = ReportNodeEnd(page, end, {});
    if (!told.ok()) log::Warn("end_not_reported", {{"why", told.ToString()}});
  };
  absl::StatusOr<Watched> watched = RunUnderWatcher(options);
  if (!watched.ok()) return Complain(watched.status(), kFailed);
  if (!watched->is_node) return watched->exit_status;
  return RunNodeProcess(s, watched->page, add_modules);
}

// The node listens on a port of its own beside the coordinator's.
int RunDev(Settings s, const AddModules& add_modules) {
  BlockSignals();
  Prepare(s);
  Settings c = s;
  c.name = "coordinator";
  c.state_dir = s.state_dir + "/coordinator";
  auto coordinator = CoordinatorHost::Start(c);
  if (!coordinator.ok()) return Complain(coordinator.status(), kFailed);
  s.state_dir += "/node";
  s.coordinators = {(*coordinator)->address()};
  s.listen = s.listen.substr(0, s.listen.rfind(':')) + ":0";
  auto node = NodeHost::Start(s, nullptr, add_modules);
  if (!node.ok()) return Complain(node.status(), kFailed);
  Announcement a = AnnouncementOf("dev", (*coordinator)->address(), (*coordinator)->state_dir(), s);
  a.detail = fmt::format("node {} on {}", s.name, (*node)->address());
  if (absl::Status told = Announce(a); !told.ok()) return Complain(told, kFailed);
  WaitForSignal();
  EndAtNextSignal();
  (*node)->Drain(s.drain_timeout);
  EndAfter(kEndLimit);
  node->reset();
  coordinator->reset();
  log::Flush();
  return 0;
}

int ShowConfig(const config::Options& options, bool effective) {
  for (const auto& value : options.Effective()) {
    if (effective) {
      fmt::print("{}: {}  # {}\n", value.name, value.value, value.where);
    } else {
      fmt::print("{}: {}\n", value.name, value.value);
    }
  }
  return 0;
}

int Restore(const CommandLine& line) {
  absl::StatusOr<Restored> done =
      RestoreStore({line.restore_from, line.restore_to, line.restore_min_epoch});
  if (!done.ok()) return Complain(done.status(), kFailed);
  fmt::print(
      "restored {} ({} nodes, epoch {}; the backup's was {})\n"
      "The cluster begins in SAFE mode: nothing is started or stopped until you decide.\n"
      "1. start the coordinator\n"
      "2. banyan status                 once the nodes are back\n"
      "3. banyan safe-mode adopt        what runs goes on, or: banyan safe-mode kill\n",
      done->path, done->nodes, done->epoch, done->backup_epoch);
  return 0;
}

int Main(int argc, char** argv, const AddModules& add_modules) {
  CommandLine line = ReadCommandLine(argc, argv);
  using Command = CommandLine::Command;
  if (line.command == Command::kNone) return line.exit_status;
  if (line.command == Command::kVersion) {
    fmt::print("banyand {}{}{}\n", kVersion, *kBuild != '\0' ? " " : "", kBuild);
    return 0;
  }
  if (line.command == Command::kRestore) return Restore(line);
  config::Options options;
  DeclareOptions(line.role, &options);
  config::Sources sources;
  sources.flags = std::move(line.flags);
  sources.file = std::move(line.config_file);
  if (absl::Status status = options.Load(sources); !status.ok())
    return Complain(status, kWrongUsage);
  absl::StatusOr<Settings> settings = ReadSettings(line.role, options);
  if (!settings.ok()) return Complain(settings.status(), kWrongUsage);
  switch (line.command) {
    case Command::kConfig:
      return ShowConfig(options, line.effective);
    case Command::kCoordinator:
      return RunCoordinator(*settings);
    case Command::kDev:
      return RunDev(*std::move(settings), add_modules);
    default:
      return RunNode(*settings, add_modules);
  }
}

}  // namespace
}  // namespace banyan::app

namespace banyan {

int NodeMain(int argc, char** argv, const std::function<void(Modules*)>& add_modules) {
  return app::Main(argc, argv, add_modules);
}

}  // namespace banyan

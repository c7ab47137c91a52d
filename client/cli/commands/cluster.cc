// The cluster as a whole: backups, SAFE mode, upgrades.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ostream>

#include "client/cli/commands/commands.h"
#include "client/cli/output.h"
#include "client/transport/request_id.h"
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "banyan/v1/cluster.grpc.pb.h"

namespace banyan::cli {
namespace {

// Writes all of it; false: errno says why not.
bool WriteAll(int fd, const std::string& data) {
  size_t at = 0;
  while (at < data.size()) {
    const ssize_t n = write(fd, data.data() + at, data.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    at += static_cast<size_t>(n);
  }
  return true;
}

// A new file that has its name only once all of it is on the disk.
struct NewFile {
  explicit NewFile(std::string p) : path(std::move(p)), partial(path + ".partial") {
    fd = open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  }
  ~NewFile() {
    if (fd < 0) return;
    close(fd);
    unlink(partial.c_str());
  }
  bool Finish() {
    if (fsync(fd) != 0 || link(partial.c_str(), path.c_str()) != 0) return false;
    return true;
  }
  const std::string path;
  const std::string partial;
  int fd = -1;
};

}  // namespace

int RunBackup(Cli& cli, const BackupOptions& options) {
  if (access(options.file.c_str(), F_OK) == 0)
    return cli.Usage(fmt::format("{} exists; name a new file", options.file));
  NewFile file(options.file);
  if (file.fd < 0)
    return cli.Usage(fmt::format("cannot write {}: {}", file.partial, std::strerror(errno)));
  uint64_t bytes = 0;
  int failed = 0;
  auto error = cli.session().InvokeWith(
      "Cluster.Backup",
      {.timeout = cli.options().timeout_given ? cli.options().timeout : absl::InfiniteDuration()},
      [&](grpc::ClientContext* context) {
        auto stub = v1::Cluster::NewStub(cli.session().channel());
        auto stream = stub->Backup(context, v1::BackupRequest());
        v1::BackupResponse part;
        while (stream->Read(&part)) {
          if (failed == 0 && !WriteAll(file.fd, part.data())) {
            failed = errno;
            context->TryCancel();
          }
          bytes += part.data().size();
        }
        return stream->Finish();
      });
  if (failed == 0 && !error.ok()) return cli.Fail(error);
  if (failed != 0 || !file.Finish()) {
    cli.err() << fmt::format("error: cannot write {}: {}\n", options.file,
                             std::strerror(failed != 0 ? failed : errno));
    return kRefused;
  }
  cli.out() << fmt::format("{}  {}\n", options.file, Bytes(bytes));
  return kDone;
}

int RunSafeMode(Cli& cli, const SafeModeOptions& options) {
  const bool adopt = options.decision == "adopt";
  if (!adopt && options.decision != "kill")
    return cli.Usage(fmt::format("\"{}\" is neither adopt nor kill", options.decision));
  v1::EndSafeModeRequest request;
  request.set_decision(adopt ? v1::EndSafeModeRequest::DECISION_ADOPT
                             : v1::EndSafeModeRequest::DECISION_KILL);
  request.set_validate_only(true);
  v1::EndSafeModeResponse response;
  const auto send = [&] {
    response.Clear();
    return cli.session().Invoke<v1::Cluster>(&v1::Cluster::Stub::EndSafeMode, request, &response,
                                             client::kSafe);
  };
  if (auto error = send(); !error.ok()) return cli.Fail(error);
  if (!options.dry_run) {
    std::string what = fmt::format("{} children go on, {} are stopped", response.adopted_size(),
                                   response.stopped_size());
    if (response.missing_nodes_size() > 0) {
      what += fmt::format("; not back yet, and what they run is stopped: {}",
                          fmt::join(response.missing_nodes(), ", "));
    }
    int code = kDone;
    if (!cli.Confirm("End SAFE mode: " + what, options.yes, &code)) return code;
    request.set_validate_only(false);
    request.set_request_id(client::NewRequestId());
    if (auto error = send(); !error.ok()) return cli.Fail(error);
  }
  return PrintOne(cli, response, options.decision, [&] {
    Table table({"CHILD", "DECISION"});
    for (const std::string& path : response.adopted()) table.Add({path, "adopted"});
    for (const std::string& path : response.stopped()) table.Add({path, "stopped"});
    if (!table.empty()) table.Print(cli);
    cli.err() << fmt::format("{} adopted, {} stopped{}\n", response.adopted_size(),
                             response.stopped_size(),
                             options.dry_run ? " (only told, not done)" : "");
  });
}

int RunUpgradeFinalize(Cli& cli, const UpgradeOptions& options) {
  v1::GetClusterResponse cluster;
  auto error = cli.session().Invoke<v1::Cluster>(&v1::Cluster::Stub::GetCluster,
                                                 v1::GetClusterRequest(), &cluster, client::kSafe);
  if (!error.ok()) return cli.Fail(error);
  const uint32_t level = options.level.value_or(cluster.possible_level());
  int code = kDone;
  if (level != cluster.level() &&
      !cli.Confirm(fmt::format("Raise the feature level from {} to {}: older releases can no "
                               "longer join, and it cannot be taken back",
                               cluster.level(), level),
                   options.yes, &code)) {
    return code;
  }
  v1::FinalizeUpgradeRequest request;
  request.set_level(level);
  request.set_request_id(client::NewRequestId());
  v1::FinalizeUpgradeResponse response;
  error = cli.session().Invoke<v1::Cluster>(&v1::Cluster::Stub::FinalizeUpgrade, request, &response,
                                            client::kSafe);
  if (!error.ok()) return cli.Fail(error);
  return PrintOne(cli, response, fmt::format("{}", response.level()), [&] {
    cli.out() << fmt::format("feature level {} is in force\n", response.level());
  });
}

}  // namespace banyan::cli

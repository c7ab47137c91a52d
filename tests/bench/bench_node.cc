// A node with the module `bench`, and without a watcher, so that its pid is the one to kill. Flags
// are banyand's, each as --NAME VALUE. Serves until its standard input closes.
#include <cstdio>
#include <string>

#include <signal.h>
#include <unistd.h>

#include "common/config/options.h"
#include "common/os/process_tuning.h"
#include "server/app/node_host.h"
#include "server/app/settings.h"
#include "tests/bench/bench_module.h"

namespace banyan::bench {
namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "bench_node: %s\n", status.ToString().c_str());
  return 1;
}

int Main(int argc, char** argv) {
  config::Options options;
  app::DeclareOptions(app::Role::kNode, &options);
  config::Sources sources;
  for (int i = 1; i + 1 < argc; i += 2)
    sources.flags[std::string(argv[i]).substr(2)].push_back(argv[i + 1]);
  if (absl::Status status = options.Load(sources); !status.ok()) return Fail(status);
  absl::StatusOr<app::Settings> settings = app::ReadSettings(app::Role::kNode, options);
  if (!settings.ok()) return Fail(settings.status());
  TuneProcess(true);
  log::SetLevel(settings->log_level);
  auto host = app::NodeHost::Start(*settings, WatchPage::Map(),
                                   [](Modules* m) { m->Add<BenchModule>("bench"); });
  if (!host.ok()) return Fail(host.status());
  std::printf("%s\n", (*host)->address().c_str());
  std::fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  host->reset();
  return 0;
}

}  // namespace
}  // namespace banyan::bench

int main(int argc, char** argv) { return banyan::bench::Main(argc, argv); }

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <thread>

#include "client/cli/cli.h"
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/mutex.h"

namespace {

// Ctrl-C as a call on a thread of its own, where everything is allowed. Lives as long as the
// program.
class Interrupts {
 public:
  // Before any other thread exists: they inherit the blocked signals.
  Interrupts() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    std::thread([this] { Wait(); }).detach();
  }
  void Set(std::function<void()> handler) {
    banyan::MutexLock lock(&mutex_);
    handler_ = std::move(handler);
  }

 private:
  void Wait() {
    bool asked = false;
    for (int signal = 0; sigwait(&signals_, &signal) == 0;) {
      banyan::MutexLock lock(&mutex_);
      // The second one doesn't wait for the first to be obeyed.
      if (!handler_ || asked) _exit(banyan::cli::kInterrupted);
      asked = true;
      handler_();
    }
  }

  sigset_t signals_;
  banyan::Mutex mutex_;
  std::function<void()> handler_ ABSL_GUARDED_BY(mutex_);
};

int TerminalWidth() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace

int main(int argc, char** argv) {
  // gRPC's own log lines would mix with ours; GRPC_VERBOSITY still turns them on.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  // Names are resolved as the system does it (hosts file, nsswitch), not by gRPC's own resolver.
  setenv("GRPC_DNS_RESOLVER", "native", 0);
  auto* interrupts = new Interrupts();  // its thread uses it until the process ends
  std::ios::sync_with_stdio(false);
  banyan::cli::Environment env{.in = std::cin, .out = std::cout, .err = std::cerr};
  env.get_env = [](const char* name) -> const char* { return std::getenv(name); };
  env.in_is_terminal = isatty(STDIN_FILENO) != 0;
  env.out_is_terminal = isatty(STDOUT_FILENO) != 0;
  env.width = TerminalWidth();
  env.on_interrupt = [interrupts](std::function<void()> handler) {
    interrupts->Set(std::move(handler));
  };
  const int code = banyan::cli::Main(std::vector<std::string>(argv + 1, argv + argc), env);
  std::cout.flush();
  return code;
}

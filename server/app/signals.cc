#include "server/app/signals.h"

#include <chrono>
#include <csignal>
#include <thread>

#include <signal.h>
#include <unistd.h>

#include "common/log/log.h"
#include "server/node/watcher/watcher.h"

namespace banyan::app {
namespace {

sigset_t EndingSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

[[noreturn]] void EndNow(int status) {
  log::Flush();
  _exit(status);
}

}  // namespace

void BlockSignals() {
  const sigset_t set = EndingSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

int WaitForSignal() {
  const sigset_t set = EndingSignals();
  int signal = 0;
  while (sigwait(&set, &signal) != 0) {
  }
  return signal;
}

void EndAtNextSignal() {
  std::thread([] {
    const auto first = std::chrono::steady_clock::now();
    int signal = 0;
    do {
      signal = WaitForSignal();
    } while (std::chrono::steady_clock::now() - first <
             absl::ToChronoNanoseconds(kSignalRepeatMin));
    log::Warn("stopped_at_once", {{"signal", signal}});
    EndNow(128 + signal);
  }).detach();
}

void EndAfter(absl::Duration limit) {
  std::thread([limit] {
    std::this_thread::sleep_for(absl::ToChronoMilliseconds(limit));
    log::Error("shutdown_hangs", {{"limit_s", absl::ToDoubleSeconds(limit)}});
    EndNow(1);
  }).detach();
}

}  // namespace banyan::app

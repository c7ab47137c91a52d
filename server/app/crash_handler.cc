#include "server/app/crash_handler.h"

#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>

#include "absl/strings/str_split.h"
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "common/base/check.h"
#include "server/runtime/origin.h"

namespace banyan::app {
namespace {

constexpr std::array kSignals = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL};
constexpr size_t kStackBytes = 64 * 1024;

// All that the handler reads. Set before it is installed, but for the incarnation.
std::array<char, 4096> crash_file;
WatchPage* crash_page = nullptr;
std::array<struct sigaction, kSignals.size()> before;
std::atomic<uint32_t> crash_incarnation{0};
std::atomic_flag crashing = ATOMIC_FLAG_INIT;

// Text without the heap.
class Line {
 public:
  Line& operator<<(const char* text) {
    while (*text != '\0' && size_ < text_.size()) text_[size_++] = *text++;
    return *this;
  }
  Line& operator<<(uint64_t number) {
    std::array<char, 24> digits;
    char* at = digits.data() + digits.size();
    *--at = '\0';
    do {
      *--at = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    return *this << at;
  }
  void WriteTo(int fd) const {
    for (size_t done = 0; done < size_;) {
      const ssize_t n = write(fd, text_.data() + done, size_ - done);
      if (n <= 0) return;
      done += static_cast<size_t>(n);
    }
  }

 private:
  std::array<char, 4096> text_;
  size_t size_ = 0;
};

void WriteDown(int signal, const ProcessOrigin& origin) {
  const uint32_t incarnation = crash_incarnation.load();
  if (incarnation == 0) return;
  const uint64_t fence = origin.fence.load();
  if (crash_page != nullptr) crash_page->SetCrash(signal, fence, origin.path.c_str());
  const int fd = open(crash_file.data(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) return;
  Line line;
  line << uint64_t{incarnation} << " " << fence << " " << static_cast<uint64_t>(signal) << " "
       << origin.path.c_str() << "\n";
  line.WriteTo(fd);
  fsync(fd);
  close(fd);
}

// Async-signal-safe: no locks, no heap, no library beyond system calls.
void OnCrash(int signal, siginfo_t*, void*) {
  if (!crashing.test_and_set()) {
    if (const ProcessOrigin* origin = OriginOnThisThread()) WriteDown(signal, *origin);
  } else {
    // Another thread is writing; it ends the process when it is done.
    const timespec a_second{.tv_sec = 1, .tv_nsec = 0};
    nanosleep(&a_second, nullptr);
  }
  // Then it goes its usual way. The signal is blocked in here: raised again, it comes at the
  // return.
  for (size_t i = 0; i < kSignals.size(); ++i) {
    if (kSignals[i] == signal) sigaction(signal, &before[i], nullptr);
  }
  raise(signal);
}

}  // namespace

void InstallCrashHandler(const std::string& file, WatchPage* page) {
  BANYAN_CHECK(file.size() < crash_file.size());
  std::memcpy(crash_file.data(), file.c_str(), file.size() + 1);
  crash_page = page;
  struct sigaction action = {};
  action.sa_sigaction = &OnCrash;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &before[i]);
}

void SetCrashIncarnation(uint32_t incarnation) { crash_incarnation.store(incarnation); }

void UseCrashStack() {
  stack_t present;
  // A sanitizer may have given the thread one.
  if (sigaltstack(nullptr, &present) == 0 && (present.ss_flags & SS_DISABLE) == 0) return;
  thread_local const std::unique_ptr<char[]> memory(new char[kStackBytes]);
  const stack_t mine{.ss_sp = memory.get(), .ss_flags = 0, .ss_size = kStackBytes};
  sigaltstack(&mine, nullptr);
}

std::optional<internal::v1::LastCrash> ReadCrashFile(const std::string& file) {
  std::ifstream in(file);
  uint32_t incarnation = 0;
  uint64_t fence = 0;
  int signal = 0;
  std::string path;
  if (!(in >> incarnation >> fence >> signal) || in.get() != ' ' || !std::getline(in, path)) {
    return std::nullopt;
  }
  internal::v1::LastCrash crash;
  crash.set_incarnation(incarnation);
  crash.set_fence(fence);
  crash.set_signal(signal);
  for (const auto& id : absl::StrSplit(path, '/')) crash.add_path(std::string(id));
  return crash;
}

}  // namespace banyan::app

#include "common/os/exec_child.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/os/process_tree.h"

extern char** environ;

namespace banyan {
namespace {

enum class Step : int { kSession, kDeathSignal, kDirectory, kFiles, kExec };

// What the child tells through the pipe when it cannot go on; exec closes the pipe without a word.
struct Failure {
  Step step;
  int error;
};

// All that the child needs, made before the fork: between fork and exec only system calls are safe.
struct Plan {
  const char* path;
  char* const* argv;
  char* const* env;
  const char* cwd;  // null: stay
  int input;
  int output;  // -1: inherited
  int report;
  bool new_session;
  pid_t parent;
  sigset_t mask;
};

[[noreturn]] void Fail(const Plan& plan, Step step, int error) {
  const Failure failure{step, error};
  (void)!write(plan.report, &failure, sizeof(failure));
  _exit(127);
}

void ResetSignals(const Plan& plan) {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < 32; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) sigaction(signal, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

void CloseOnExecFrom(int first) {
  constexpr unsigned kCloexec = 1U << 2;  // CLOSE_RANGE_CLOEXEC, Linux 5.11
  if (syscall(SYS_close_range, first, ~0U, kCloexec) == 0) return;
  for (int fd = first; fd < 65536; ++fd) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

// Runs in the child, which shares the parent's memory (vfork): writes to none of it.
[[noreturn]] void RunInChild(const Plan& plan) {
  if (plan.new_session ? setsid() < 0 : setpgid(0, 0) < 0) Fail(plan, Step::kSession, errno);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) Fail(plan, Step::kDeathSignal, errno);
  // The parent may have died before that call.
  if (getppid() != plan.parent) _exit(127);
  if (plan.cwd != nullptr && chdir(plan.cwd) != 0) Fail(plan, Step::kDirectory, errno);
  if (dup2(plan.input, 0) < 0) Fail(plan, Step::kFiles, errno);
  if (plan.output >= 0 && (dup2(plan.output, 1) < 0 || dup2(plan.output, 2) < 0)) {
    Fail(plan, Step::kFiles, errno);
  }
  CloseOnExecFrom(3);
  ResetSignals(plan);
  execve(plan.path, plan.argv, plan.env);
  Fail(plan, Step::kExec, errno);
}

absl::Status ToStatus(const ChildSpawn& spawn, const std::string& path, const Failure& failure) {
  const std::string why = std::strerror(failure.error);
  switch (failure.step) {
    case Step::kDirectory:
      return absl::Status(absl::ErrnoToStatusCode(failure.error),
                          fmt::format("cwd: cannot change to {}: {}", spawn.cwd, why));
    case Step::kExec:
      return absl::Status(absl::ErrnoToStatusCode(failure.error),
                          fmt::format("argv[0]: cannot run {}: {}", path, why));
    default:
      return absl::Status(absl::ErrnoToStatusCode(failure.error),
                          fmt::format("cannot start {}: {}", path, why));
  }
}

std::string_view PathVariable(const ChildSpawn& spawn) {
  constexpr std::string_view kDefault = "/usr/local/bin:/usr/bin:/bin";
  if (!spawn.env) {
    const char* path = std::getenv("PATH");
    return path == nullptr ? kDefault : path;
  }
  for (const std::string& variable : *spawn.env) {
    if (variable.rfind("PATH=", 0) == 0) return std::string_view(variable).substr(5);
  }
  return kDefault;
}

absl::StatusOr<std::string> FindProgram(const ChildSpawn& spawn) {
  const std::string& name = spawn.argv[0];
  if (name.find('/') != std::string::npos) return name;
  const std::string_view path = PathVariable(spawn);
  for (size_t begin = 0; begin <= path.size() && !name.empty();) {
    const size_t end = std::min(path.find(':', begin), path.size());
    const std::string candidate = fmt::format("{}/{}", path.substr(begin, end - begin), name);
    struct stat st;
    if (end > begin && access(candidate.c_str(), X_OK) == 0 && stat(candidate.c_str(), &st) == 0 &&
        S_ISREG(st.st_mode)) {
      return candidate;
    }
    begin = end + 1;
  }
  return absl::NotFoundError(fmt::format("argv[0]: no program '{}' in PATH={}", name, path));
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& s : strings) out.push_back(const_cast<char*>(s.c_str()));
  out.push_back(nullptr);
  return out;
}

absl::Status CheckStrings(const ChildSpawn& spawn) {
  if (spawn.argv.empty()) return absl::InvalidArgumentError("argv: is empty; name a program");
  const auto has_nul = [](const std::string& s) { return s.find('\0') != std::string::npos; };
  for (const std::string& s : spawn.argv) {
    if (has_nul(s)) return absl::InvalidArgumentError("argv: holds a NUL byte");
  }
  if (!spawn.env) return absl::OkStatus();
  for (const std::string& s : *spawn.env) {
    if (has_nul(s)) return absl::InvalidArgumentError("env: holds a NUL byte");
    const size_t equals = s.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return absl::InvalidArgumentError(fmt::format("env: '{}' is not KEY=VALUE", s));
    }
  }
  return absl::OkStatus();
}

// vfork: no copy of the page tables of a process that may hold gigabytes.
pid_t ForkAndRun(Plan* plan) {
  sigset_t all;
  sigfillset(&all);
  // A handler of ours must not run in the child, on memory that it shares.
  pthread_sigmask(SIG_SETMASK, &all, &plan->mask);
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
  const pid_t pid = vfork();
#pragma clang diagnostic pop
  if (pid == 0) RunInChild(*plan);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &plan->mask, nullptr);
  errno = error;
  return pid;
}

}  // namespace

absl::StatusOr<StartedChild> StartChild(const ChildSpawn& spawn) {
  BANYAN_RETURN_IF_ERROR(CheckStrings(spawn));
  absl::StatusOr<std::string> path = FindProgram(spawn);
  BANYAN_RETURN_IF_ERROR(path.status());
  UniqueFd input(open("/dev/null", O_RDONLY | O_CLOEXEC));
  UniqueFd output;
  if (!spawn.output.empty()) {
    output = UniqueFd(open(spawn.output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
    if (!output.valid()) {
      return absl::ErrnoToStatus(errno, fmt::format("output: cannot open {}", spawn.output));
    }
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "cannot make a pipe");
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const std::vector<char*> argv = Pointers(spawn.argv);
  const std::vector<char*> env = spawn.env ? Pointers(*spawn.env) : std::vector<char*>{};
  Plan plan{.path = path->c_str(),
            .argv = argv.data(),
            .env = spawn.env ? env.data() : environ,
            .cwd = spawn.cwd.empty() ? nullptr : spawn.cwd.c_str(),
            .input = input.get(),
            .output = output.get(),
            .report = writer.get(),
            .new_session = spawn.new_session,
            .parent = getpid()};
  StartedChild child;
  child.pid = ForkAndRun(&plan);
  if (child.pid < 0) return absl::ErrnoToStatus(errno, "cannot fork");
  writer.Reset();
  Failure failure;
  ssize_t n;
  do {
    n = read(reader.get(), &failure, sizeof(failure));
  } while (n < 0 && errno == EINTR);
  if (n == sizeof(failure)) {
    waitpid(child.pid, nullptr, 0);
    return ToStatus(spawn, *path, failure);
  }
  child.pidfd = OpenPidFd(child.pid);
  BANYAN_CHECK(child.pidfd.valid() || errno == EMFILE || errno == ENFILE);
  if (!child.pidfd.valid()) {
    kill(-child.pid, SIGKILL);
    waitpid(child.pid, nullptr, 0);
    return absl::ResourceExhaustedError("too many open files to watch another program");
  }
  return child;
}

}  // namespace banyan

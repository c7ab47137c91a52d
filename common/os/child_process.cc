#include "common/os/child_process.h"

#include <cerrno>
#include <condition_variable>
#include <utility>

#include "fmt/format.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/os/exec_child.h"
#include "common/os/process_tree.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace banyan {

std::string ChildExit::ToString() const {
  return fmt::format("{}({})", signaled ? "signaled" : "exited", code);
}

std::optional<ChildExit> ChildProcess::exit() const {
  MutexLock lock(&mu_);
  return exit_;
}

bool ChildProcess::SignalGroup(int signal) {
  MutexLock lock(&mu_);
  return !exit_ && kill(-pid_, signal) == 0;
}

bool ChildProcess::SignalTree(int signal) {
  MutexLock lock(&mu_);
  if (exit_) return false;
  banyan::SignalTree(pid_, signal);
  return true;
}

bool ChildProcess::KillTree() { return SignalTree(SIGKILL); }

ChildExit ChildProcess::Reap() {
  MutexLock lock(&mu_);
  // Until waited for, the ended program keeps its number, hence its group cannot be a stranger's.
  if (kill_group_at_end_) kill(-pid_, SIGKILL);
  siginfo_t info = {};
  int rc;
  do {
    rc = waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED);
  } while (rc != 0 && errno == EINTR);
  BANYAN_CHECK(rc == 0);
  exit_ = ChildExit{.signaled = info.si_code != CLD_EXITED, .code = info.si_status};
  return *exit_;
}

struct ProcessSpawner::Request {
  ChildSpawn spawn;
  OnExit on_exit;
  Mutex mu;
  std::condition_variable_any served;
  std::optional<absl::StatusOr<std::shared_ptr<ChildProcess>>> result ABSL_GUARDED_BY(mu);
};

ProcessSpawner::ProcessSpawner()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  BANYAN_CHECK(epoll_.valid() && wake_.valid());
  epoll_event event{.events = EPOLLIN, .data = {.fd = wake_.get()}};
  BANYAN_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) == 0);
  thread_ = std::thread([this] { Run(); });
}

ProcessSpawner::~ProcessSpawner() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  Wake();
  thread_.join();
}

void ProcessSpawner::Wake() {
  const uint64_t one = 1;
  (void)!write(wake_.get(), &one, sizeof(one));
}

absl::StatusOr<std::shared_ptr<ChildProcess>> ProcessSpawner::Spawn(ChildSpawn spawn,
                                                                    OnExit on_exit) {
  auto request = std::make_shared<Request>();
  request->spawn = std::move(spawn);
  request->on_exit = std::move(on_exit);
  {
    MutexLock lock(&mu_);
    requests_.push_back(request);
  }
  Wake();
  MutexLock lock(&request->mu);
  while (!request->result) request->served.wait(request->mu);
  return *std::move(request->result);
}

void ProcessSpawner::Run() {
  bool stopping = false;
  while (!stopping || !running_.empty()) {
    epoll_event events[64];
    const int n = epoll_wait(epoll_.get(), events, 64, -1);
    BANYAN_CHECK(n >= 0 || errno == EINTR);
    for (int i = 0; i < n; ++i) {
      if (events[i].data.fd != wake_.get()) ReapOne(events[i].data.fd);
    }
    uint64_t count;
    (void)!read(wake_.get(), &count, sizeof(count));
    std::vector<std::shared_ptr<Request>> requests;
    bool stop;
    {
      MutexLock lock(&mu_);
      requests.swap(requests_);
      stop = stopping_;
    }
    for (const std::shared_ptr<Request>& request : requests) Serve(request.get());
    if (stop && !std::exchange(stopping, true)) {
      for (auto& [fd, child] : running_) child.process->KillTree();
    }
  }
}

void ProcessSpawner::Serve(Request* request) {
  absl::StatusOr<StartedChild> child = StartChild(request->spawn);
  absl::StatusOr<std::shared_ptr<ChildProcess>> result = absl::UnknownError("");
  if (!child.ok()) {
    result = child.status();
  } else {
    const int fd = child->pidfd.get();
    std::shared_ptr<ChildProcess> process(
        new ChildProcess(child->pid, std::move(child->pidfd), request->spawn.kill_group_at_end));
    running_[fd] = {process, std::move(request->on_exit)};
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    BANYAN_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
    result = std::move(process);
  }
  MutexLock lock(&request->mu);
  request->result = std::move(result);
  request->served.notify_all();
}

void ProcessSpawner::ReapOne(int pidfd) {
  const auto it = running_.find(pidfd);
  BANYAN_CHECK(it != running_.end());
  const Running running = std::move(it->second);
  running_.erase(it);
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, pidfd, nullptr);
  const ChildExit exit = running.process->Reap();
  if (running.on_exit) running.on_exit(exit);
}

}  // namespace banyan

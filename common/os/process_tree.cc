#include "common/os/process_tree.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <utility>

#include "fmt/format.h"
#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace banyan {
namespace {

// Numbers in a folder's entry names; empty when it is gone.
std::vector<pid_t> NumericEntries(const std::string& path) {
  std::vector<pid_t> out;
  DIR* dir = opendir(path.c_str());
  if (dir == nullptr) return out;
  while (const dirent* entry = readdir(dir)) {
    const pid_t id = std::atoi(entry->d_name);
    if (id > 0) out.push_back(id);
  }
  closedir(dir);
  return out;
}

// 0: gone. The name in the second field may hold anything, so the fields count from its last ')'.
pid_t ParentOf(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  std::getline(file, line);
  const size_t end = line.rfind(')');
  if (end == std::string::npos) return 0;
  char state = 0;
  int parent = 0;
  return std::sscanf(line.c_str() + end + 1, " %c %d", &state, &parent) == 2 ? parent : 0;
}

// Kernels without CONFIG_PROC_CHILDREN: look at every process.
std::vector<pid_t> ChildrenByScan(pid_t pid) {
  std::vector<pid_t> out;
  for (const pid_t candidate : NumericEntries("/proc")) {
    if (ParentOf(candidate) == pid) out.push_back(candidate);
  }
  return out;
}

bool HasChildrenFiles() {
  static const bool has =
      access(fmt::format("/proc/{}/task/{}/children", getpid(), getpid()).c_str(), R_OK) == 0;
  return has;
}

}  // namespace

UniqueFd OpenPidFd(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

bool SignalPidFd(int pidfd, int signal) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0;
}

std::vector<pid_t> ChildrenOf(pid_t pid) {
  if (!HasChildrenFiles()) return ChildrenByScan(pid);
  std::vector<pid_t> out;
  const std::string tasks = fmt::format("/proc/{}/task", pid);
  for (const pid_t thread : NumericEntries(tasks)) {
    std::ifstream file(fmt::format("{}/{}/children", tasks, thread));
    for (pid_t child = 0; file >> child;) out.push_back(child);
  }
  return out;
}

std::vector<ProcessHandle> DescendantsOf(pid_t root) {
  std::vector<ProcessHandle> found;
  std::set<pid_t> known = {root};
  for (size_t next = 0; next <= found.size(); ++next) {
    const pid_t parent = next == 0 ? root : found[next - 1].pid;
    for (const pid_t pid : ChildrenOf(parent)) {
      if (known.contains(pid)) continue;
      UniqueFd fd = OpenPidFd(pid);
      // Looked at again with the handle open: had the child ended and its number gone to a
      // stranger, the parent would be another one now.
      if (!fd.valid() || ParentOf(pid) != parent) continue;
      known.insert(pid);
      found.push_back({pid, std::move(fd)});
    }
  }
  return found;
}

void SignalTree(pid_t root, int signal) {
  std::vector<ProcessHandle> tree = DescendantsOf(root);
  if (signal == SIGKILL || signal == SIGSTOP) {
    // A stopped process cannot fork: once nobody new is found, nobody was missed. Each round stops
    // at least one process more; the bound is for a tree that forks faster than it can be read.
    size_t before = 0;
    for (int round = 0; round < 64; ++round) {
      kill(-root, SIGSTOP);
      for (const ProcessHandle& process : tree) SignalPidFd(process.fd.get(), SIGSTOP);
      before = tree.size();
      tree = DescendantsOf(root);
      if (tree.size() == before && round > 0) break;
    }
    if (signal == SIGSTOP) return;
  }
  // Descendants first: with the root gone they would be nobody's children.
  for (const ProcessHandle& process : tree) SignalPidFd(process.fd.get(), signal);
  kill(-root, signal);
}

}  // namespace banyan

#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "common/time/instant.h"

namespace banyan {

// What a node tells the watcher, in memory that both processes map. The node writes, from any one
// thread at a time; the watcher reads, also after the node was killed in the middle of a write:
// every value is one atomic, or is written aside and then switched to.
class WatchPage {
 public:
  static constexpr size_t kProcessIdBytes = 16;
  static constexpr size_t kAddressBytes = 1024;
  static constexpr size_t kPathBytes = 1024;

  // A page that a process forked from now on shares. Lives until the process ends.
  static WatchPage* Map();

  // Before the first SetIdentity. Bytes beyond 16 are cut off.
  void SetProcessId(std::string_view process_id);
  // Where the end shall be reported, best first; what does not fit is left out.
  void SetCoordinators(const std::vector<std::string>& addresses);
  // Which member this node is now; zeros: none.
  void SetIdentity(uint32_t node_id, uint32_t incarnation);
  // From when on no code of an exclusive child may run (CLOCK_BOOTTIME). When a renewed lease ends
  // a freeze, this comes before SetFrozen(false).
  void SetLeaseEnd(Instant expires_at);
  void SetHasExclusive(bool has);
  void SetFrozen(bool frozen);
  // Whose code crashes the node. Async-signal-safe; once.
  void SetCrash(int signal, uint64_t fence, const char* path) noexcept;
  struct Crash {
    int signal = 0;  // 0: nobody's code, or it did not crash
    uint64_t fence = 0;
    std::string path;  // ids joined by '/', cut to kPathBytes - 1
  };

  std::string process_id() const { return {process_id_.data(), process_id_.size()}; }
  std::vector<std::string> coordinators() const;
  uint32_t node_id() const { return static_cast<uint32_t>(identity_.load() >> 32); }
  uint32_t incarnation() const { return static_cast<uint32_t>(identity_.load()); }
  bool is_member() const { return identity_.load() != 0; }
  Crash crash() const;
  // Exclusive children may still run although their lease is over: the node must be killed.
  bool Overrun(Instant now) const;

  // For the watched process: whether its watcher still lives. False without a watcher.
  bool WatcherAlive() const;
  void SetWatcher(pid_t pid) { watcher_.store(pid); }

 private:
  std::atomic<uint64_t> identity_{0};     // node id, incarnation
  std::atomic<int64_t> lease_end_ns_{0};  // 0: no lease yet
  std::atomic<bool> has_exclusive_{false};
  std::atomic<bool> frozen_{false};
  std::atomic<pid_t> watcher_{0};
  std::atomic<uint32_t> address_slot_{0};
  std::atomic<int> crash_signal_{0};  // written last
  std::atomic<uint64_t> crash_fence_{0};
  std::array<char, kPathBytes> crash_path_{};
  std::array<char, kProcessIdBytes> process_id_{};
  std::array<std::array<char, kAddressBytes>, 2> addresses_{};  // separated by '\n', ended by NUL

  static_assert(std::atomic<uint64_t>::is_always_lock_free);  // else no use between processes
};

}  // namespace banyan

#include "server/node/watcher/watch_page.h"

#include <algorithm>
#include <cstring>
#include <new>

#include <sys/mman.h>
#include <unistd.h>

#include "common/base/check.h"

namespace banyan {

WatchPage* WatchPage::Map() {
  void* memory =
      mmap(nullptr, sizeof(WatchPage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  BANYAN_CHECK(memory != MAP_FAILED);
  return new (memory) WatchPage;
}

void WatchPage::SetProcessId(std::string_view process_id) {
  std::copy_n(process_id.begin(), std::min(process_id.size(), kProcessIdBytes),
              process_id_.begin());
}

void WatchPage::SetCoordinators(const std::vector<std::string>& addresses) {
  const uint32_t slot = 1 - address_slot_.load();
  std::string text;
  for (const std::string& address : addresses) {
    if (text.size() + address.size() + 2 > kAddressBytes) break;
    text += address + "\n";
  }
  std::memcpy(addresses_[slot].data(), text.c_str(), text.size() + 1);
  address_slot_.store(slot);
}

std::vector<std::string> WatchPage::coordinators() const {
  std::vector<std::string> out;
  std::string_view text = addresses_[address_slot_.load()].data();
  while (!text.empty()) {
    const size_t end = text.find('\n');
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return out;
}

void WatchPage::SetIdentity(uint32_t node_id, uint32_t incarnation) {
  identity_.store((uint64_t{node_id} << 32) | incarnation);
}

void WatchPage::SetLeaseEnd(Instant expires_at) { lease_end_ns_.store(expires_at.nanos()); }

void WatchPage::SetHasExclusive(bool has) { has_exclusive_.store(has); }

void WatchPage::SetFrozen(bool frozen) { frozen_.store(frozen); }

void WatchPage::SetCrash(int signal, uint64_t fence, const char* path) noexcept {
  size_t size = 0;
  while (path[size] != '\0' && size + 1 < kPathBytes) {
    crash_path_[size] = path[size];
    ++size;
  }
  crash_path_[size] = '\0';
  crash_fence_.store(fence);
  crash_signal_.store(signal);
}

WatchPage::Crash WatchPage::crash() const {
  Crash crash{.signal = crash_signal_.load()};
  if (crash.signal == 0) return crash;
  crash.fence = crash_fence_.load();
  crash.path = crash_path_.data();
  return crash;
}

bool WatchPage::Overrun(Instant now) const {
  // The end is read last: a node that thaws has stored a new end before it says so.
  if (!has_exclusive_.load() || frozen_.load()) return false;
  const int64_t end = lease_end_ns_.load();
  return end != 0 && now.nanos() >= end;
}

bool WatchPage::WatcherAlive() const {
  const pid_t watcher = watcher_.load();
  return watcher != 0 && getppid() == watcher;
}

}  // namespace banyan

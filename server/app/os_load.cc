#include "server/app/os_load.h"

#include <cstdint>
#include <fstream>

#include <sched.h>
#include <unistd.h>

namespace banyan::app {
namespace {

uint64_t CgroupMemoryLimit() {
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(path);
    uint64_t limit = 0;
    if (file >> limit) return limit;
  }
  return UINT64_MAX;
}

}  // namespace

void FillOsLoad(v1::NodeLoad* load) {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) load->set_cpus(CPU_COUNT(&cpus));
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  uint64_t all = 0;
  uint64_t resident = 0;
  if (std::ifstream file("/proc/self/statm"); file >> all >> resident) {
    load->set_memory_bytes(resident * page);
  }
  static const uint64_t limit =
      std::min(CgroupMemoryLimit(), static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * page);
  load->set_memory_limit_bytes(limit);
}

}  // namespace banyan::app

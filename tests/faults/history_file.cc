#include "tests/faults/history_file.h"

#include <cstdlib>
#include <ctime>

#include "fmt/format.h"
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/check.h"

namespace banyan::faults {

int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

HistoryFile& HistoryFile::Of(std::string_view node) {
  static HistoryFile* const file = new HistoryFile(node);
  return *file;
}

HistoryFile::HistoryFile(std::string_view node) : node_(node) {
  const char* folder = std::getenv("BANYAN_HISTORY");
  if (folder == nullptr) return;
  folder_ = folder;
  process_ = fmt::format("{}-{}", node, getpid());
  fd_ = open(fmt::format("{}/{}.jsonl", folder_, process_).c_str(),
             O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  BANYAN_CHECK(fd_ >= 0);
}

void HistoryFile::Write(std::string_view event, std::string_view fields, int64_t t_ns) {
  if (fd_ < 0) return;
  const std::string line = fmt::format(
      "{{\"t\":{},\"proc\":\"{}\",\"node\":\"{}\",\"ev\":\"{}\"{}{}}}\n",
      t_ns == 0 ? NowNs() : t_ns, process_, node_, event, fields.empty() ? "" : ",", fields);
  BANYAN_CHECK(write(fd_, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
}

bool WriteFenced(const std::string& path, uint64_t fence, uint64_t* seq) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  BANYAN_CHECK(fd >= 0);
  BANYAN_CHECK(flock(fd, LOCK_EX) == 0);
  uint64_t cell[2] = {0, 0};  // the highest fence, the number of attempts
  BANYAN_CHECK(pread(fd, cell, sizeof(cell), 0) >= 0);
  const bool accepted = fence >= cell[0];
  if (accepted) cell[0] = fence;
  *seq = ++cell[1];
  BANYAN_CHECK(pwrite(fd, cell, sizeof(cell), 0) == sizeof(cell));
  close(fd);  // gives the lock back
  return accepted;
}

}  // namespace banyan::faults

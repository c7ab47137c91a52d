#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace banyan::faults {

// CLOCK_BOOTTIME: one clock for all processes of a machine, which counts while they are stopped.
int64_t NowNs();

// What the processes of one node process do, as JSON lines that the checker reads. One write(2) a
// line into a file opened with O_APPEND: a killed process leaves whole lines. Safe from any thread.
class HistoryFile {
 public:
  // The process's own, in the folder $BANYAN_HISTORY, as NODE-PID.jsonl. Opened at its first use,
  // which must come after the watcher's fork.
  static HistoryFile& Of(std::string_view node);

  // Adds "t" (now, if `t_ns` is 0), "proc" and "node" to `fields`, the members of a JSON object.
  void Write(std::string_view event, std::string_view fields, int64_t t_ns = 0);
  const std::string& folder() const { return folder_; }

 private:
  explicit HistoryFile(std::string_view node);

  std::string folder_;
  std::string node_;
  std::string process_;
  int fd_ = -1;
};

// A thing outside the cluster that takes the writes of one child, and refuses what a newer fence
// has overtaken. False: refused. Under a lock of the file system; `seq` numbers all attempts.
bool WriteFenced(const std::string& path, uint64_t fence, uint64_t* seq);

}  // namespace banyan::faults

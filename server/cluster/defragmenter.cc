#include "server/cluster/defragmenter.h"

#include "fmt/format.h"

namespace banyan {

absl::StatusOr<bool> Defragmenter::Add(internal::v1::FragmentFrame f,
                                       internal::v1::PeerBatch* whole) {
  std::string& part = parts_[f.fragment_id()];
  part += f.chunk();
  bytes_ += f.chunk().size();
  // Headers and the frame itself come on top of the message.
  if (part.size() > message_bytes_max_ + 128 * 1024) {
    return absl::InvalidArgumentError(
        fmt::format("a message of more than {} bytes", message_bytes_max_));
  }
  if (bytes_ > total_bytes_max_ || parts_.size() > kUnfinishedMax) {
    return absl::InvalidArgumentError(
        fmt::format("{} unfinished messages of {} bytes", parts_.size(), bytes_));
  }
  if (!f.last()) return false;
  bytes_ -= part.size();
  const bool parsed = whole->ParseFromString(part);
  parts_.erase(f.fragment_id());
  if (!parsed || whole->frames_size() != 1) {
    return absl::InvalidArgumentError("a fragmented message is not one frame");
  }
  return true;
}

}  // namespace banyan

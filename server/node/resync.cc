// What a node tells the coordinator about itself after each new session (cluster.md 6.3).
#include "server/node/node_core.h"

namespace banyan {
namespace {

namespace pb = internal::v1;

constexpr size_t kChunkBytes = 64 * 1024;

// Cuts the snapshot into frames and sums it up.
class ChunkWriter {
 public:
  explicit ChunkWriter(ControlClient* control) : control_(control) {}

  pb::ResyncChunk* chunk() { return request_.mutable_resync_chunk(); }
  void Added(size_t bytes) {
    ++count_;
    bytes_ += bytes;
    if (bytes_ >= kChunkBytes / 2) Flush();
  }
  // Before an entry of this size: a chunk is at most 64 KiB unless it is that one entry.
  void MakeRoom(size_t bytes) {
    if (bytes_ > 0 && bytes_ + bytes > kChunkBytes - 1024) Flush();
  }
  void End() {
    Flush();
    pb::ControlRequest end;
    end.mutable_resync_end()->set_count(count_);
    end.mutable_resync_end()->set_hash(
        std::string(reinterpret_cast<const char*>(&hash_), sizeof(hash_)));
    control_->Send(end);
  }

 private:
  void Flush() {
    if (bytes_ == 0) return;
    for (char c : request_.resync_chunk().SerializeAsString()) {
      hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 1099511628211u;  // FNV-1a
    }
    control_->Send(request_);
    request_.Clear();
    bytes_ = 0;
  }

  ControlClient* const control_;
  pb::ControlRequest request_;
  size_t bytes_ = 0;
  uint64_t count_ = 0;
  uint64_t hash_ = 14695981039346656037u;
};

}  // namespace

void Node::Core::SendResync() {
  ChunkWriter writer(&control);
  for (const auto& [path, child] : children.children()) {
    pb::ChildStatus status;
    children.AppendStatus(child, &status);
    writer.MakeRoom(status.ByteSizeLong());
    const size_t bytes = status.ByteSizeLong() + 8;
    writer.chunk()->add_children()->Swap(&status);
    writer.Added(bytes);
  }
  for (const pb::Report& report : reports.unacked()) {
    writer.MakeRoom(report.ByteSizeLong());
    *writer.chunk()->add_reports() = report;
    writer.Added(report.ByteSizeLong() + 8);
  }
  for (const auto& [name, held] : names.held()) {
    writer.MakeRoom(held.entry.ByteSizeLong());
    *writer.chunk()->add_names() = held.entry;
    writer.Added(held.entry.ByteSizeLong() + 8);
  }
  for (const pb::GroupDelta& delta : groups.Snapshot()) {
    writer.MakeRoom(delta.ByteSizeLong());
    *writer.chunk()->add_groups() = delta;
    writer.Added(delta.ByteSizeLong() + 8);
  }
  writer.End();
  reports.TakeOverflow();
}

void Node::Core::AddReport(pb::Report report) {
  const pb::Report& kept = reports.Add(std::move(report));
  pb::ControlRequest request;
  *request.mutable_report() = kept;
  control.Send(request);
  if (reports.TakeOverflow()) control.Restart();
}

}  // namespace banyan

#include "server/cluster/relay_stream.h"

#include <algorithm>
#include <utility>

#include "google/protobuf/io/coded_stream.h"

#include "banyan/internal/v1/membership.pb.h"
#include "common/base/check.h"

namespace banyan {
namespace {

namespace pb = internal::v1;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

// SessionRequest and SessionResponse are the same on the wire: the batch is their field 1.
constexpr uint8_t kBatchTag = 1 << 3 | 2;

std::string BatchOf(const std::string& session_frame) {
  if (session_frame.empty()) return "";
  CodedInputStream in(reinterpret_cast<const uint8_t*>(session_frame.data()),
                      static_cast<int>(session_frame.size()));
  uint32_t size = 0;
  BANYAN_CHECK(in.ReadTag() == kBatchTag && in.ReadVarint32(&size));
  return session_frame.substr(static_cast<size_t>(in.CurrentPosition()), size);
}

std::string SessionFrame(const std::string& batch) {
  uint8_t head[1 + 5] = {kBatchTag};
  const uint8_t* end =
      CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(batch.size()), head + 1);
  std::string out(reinterpret_cast<const char*>(head), static_cast<size_t>(end - head));
  return out += batch;
}

}  // namespace

RelayStream::RelayStream(Transport* transport, const std::string& coordinator, Ends ends,
                         StreamHandler* handler)
    : handler_(handler), stream_(transport->Dial(coordinator, StreamKind::kRelay, this)) {
  pb::RelayRequest first;
  first.set_to_node_id(ends.peer.node_id);
  first.set_to_incarnation(ends.peer.incarnation);
  first.set_from_node_id(ends.self.node_id);
  first.set_from_incarnation(ends.self.incarnation);
  first.set_relay_id(ends.relay_id);
  stream_->Write(first.SerializeAsString());
}

void RelayStream::Write(std::string bytes) {
  pb::RelayRequest request;
  request.set_batch(BatchOf(bytes));
  request.set_taken(told_ = read_);
  sent_ += request.batch().size();
  stream_->Write(request.SerializeAsString());
}

void RelayStream::OnFrame(std::string bytes) {
  pb::RelayResponse response;
  // The session judges what is no batch.
  if (!response.ParseFromString(bytes)) return handler_->OnFrame(std::move(bytes));
  const bool was_full = full();
  taken_by_peer_ = std::min(sent_, std::max(taken_by_peer_, response.taken()));
  if (!response.batch().empty()) {
    read_ += response.batch().size();
    handler_->OnFrame(SessionFrame(response.batch()));
  }
  // The session may have said it with what it answered.
  if (read_ - told_ >= kWindow / 2) {
    pb::RelayRequest request;
    request.set_taken(told_ = read_);
    stream_->Write(request.SerializeAsString());
  }
  if (was_full && !full()) handler_->OnWritable();
}

void RelayStream::OnWritable() {
  if (!full()) handler_->OnWritable();
}

}  // namespace banyan

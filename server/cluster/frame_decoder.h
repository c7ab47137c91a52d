#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"

#include "banyan/internal/v1/peer.pb.h"
#include "common/wire/pid.h"
#include "server/runtime/signal.h"

namespace banyan {

class Runtime;

// What one frame of a peer means here.
struct Inbound {
  std::vector<SignalPtr> signals;            // for this runtime, in order
  std::vector<internal::v1::Frame> answers;  // to go back
  bool stale_route = false;
  Pid stale_pid;
  uint64_t stale_reg_version = 0;
};

// Reads the signal frames of one session. Errors are breaches of the protocol; the bytes may be
// anything.
class FrameDecoder {
 public:
  // Whether a local process has a name still that was registered for it under this number.
  using Holds = std::function<bool(Pid pid, uint64_t reg_version)>;
  FrameDecoder(Runtime* runtime, wire::NodeIdentity self, wire::NodeIdentity peer,
               Holds holds = nullptr)
      : runtime_(runtime), self_(self), peer_(peer), holds_(std::move(holds)) {}

  using Strings = google::protobuf::RepeatedPtrField<std::string>;
  absl::Status Decode(internal::v1::Frame frame, const Strings& strings, Instant now, Inbound* out);
  // This is about to be sent to the peer.
  void OnSend(const Signal& signal);

 private:
  // A monitor or call of a process of the peer's: that process and its ref.
  using Watch = std::pair<uint64_t, uint64_t>;
  SignalPtr NewSignal(SignalKind kind, const internal::v1::Frame& frame) const;
  absl::Status DecodeMessage(internal::v1::Frame& frame, const Strings& strings, Inbound* out);
  absl::Status DecodeCall(internal::v1::Frame& frame, const Strings& strings, Instant now,
                          Inbound* out);
  absl::Status DecodeReply(internal::v1::Frame& frame, const Strings& strings, Inbound* out);
  void DecodeExit(internal::v1::Frame& frame, Inbound* out);
  void DecodeStaleRoute(internal::v1::Frame& frame, Inbound* out);
  // Puts the pid that a node-local name stands for into frame->dst; false: nobody has it.
  absl::Status ResolveName(const Strings& strings, internal::v1::Frame* frame, bool* found);
  std::optional<uint64_t> FindWatched(const internal::v1::Frame& frame, const std::string& name);
  void AnswerDown(const internal::v1::Frame& frame, uint64_t ref, Inbound* out) const;

  Runtime* const runtime_;
  const wire::NodeIdentity self_;
  const wire::NodeIdentity peer_;
  const Holds holds_;
  // Who had the name that a monitor or call was for, until that has fired or is taken back: others
  // may have the name by then.
  absl::flat_hash_map<Watch, uint64_t> watched_by_name_;
};

}  // namespace banyan

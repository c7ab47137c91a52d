#pragma once

#include <functional>
#include <memory>
#include <string>

#include "banyan/internal/v1/membership.pb.h"
#include "server/cluster/strand_timer.h"
#include "server/cluster/transport.h"
#include "server/node/node.h"
#include "server/node/redial.h"
#include "server/node/stream_link.h"

namespace banyan {

// The node's control stream: dials the coordinators in turn, says hello, resyncs, then carries
// frames both ways. Redials with the same incarnation until the node is told that this life is
// over.
//
//   off -> dialling -> (HelloAck) -> up -> (close) -> waiting -> dialling ...
//   up -> (Leave) -> leaving -> (close) -> off
class ControlClient {
 public:
  explicit ControlClient(Node::Core* node);

  void Start();
  // Closes the stream, after what was written, and stays off.
  void Stop();
  // Says that this node leaves, and stays off. Calls `done`, at once without a session, with
  // whether the coordinator has recorded it; it says so by closing the stream. Until then this
  // process must not end: what it has written may not have been sent.
  void Leave(std::function<void(bool recorded)> done);
  bool leaving() const { return state_ == State::kLeaving; }
  // Begins the session anew, so that a resync tells everything.
  void Restart();

  // Dropped unless the session is up.
  void Send(const internal::v1::ControlRequest& request);
  bool up() const { return state_ == State::kUp; }
  // What both sides of the session can do (feature_level.h).
  uint64_t features() const { return features_; }
  // The coordinator in use or dialled now.
  std::string address() const { return redial_.empty() ? "" : redial_.current(); }
  const std::vector<std::string>& coordinators() const { return redial_.addresses(); }

 private:
  enum class State : uint8_t { kOff, kDialling, kUp, kWaiting, kLeaving };
  void OnFrame(std::string bytes);
  void Dial();
  void SendHello();
  void OnHelloAck(const internal::v1::HelloAck& ack);
  void Lost(const absl::Status& why);
  void RedialLater(absl::Duration pause);
  void Left(bool recorded);
  void Protocol(const std::string& what);

  Node::Core* const node_;
  State state_ = State::kOff;
  Redial redial_;
  StreamLink stream_;
  StrandTimer timer_;
  std::function<void(bool)> left_;
  // Of the session: commands of any other are refused.
  uint32_t epoch_ = 0;
  uint32_t session_ = 0;
  uint64_t features_ = 0;
};

}  // namespace banyan

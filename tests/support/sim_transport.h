#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "common/time/virtual_time.h"
#include "server/cluster/transport.h"

namespace banyan::testing {

class SimTransport;

// A network in virtual time: streams between addresses, with latency, breaks, half-open connections
// and partitions. Frames of one direction of one stream stay in order and are never lost while the
// stream lives: what a partition holds up arrives when it is healed, as with TCP.
//
// Single-threaded, deterministic for the same calls and latencies. Outlives its transports.
class SimNetwork {
 public:
  explicit SimNetwork(VirtualTime* time) : time_(time) {}
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;

  // Time of one frame from `from` to `to`. Unset: 1 ms.
  void set_latency(
      std::function<absl::Duration(const std::string& from, const std::string& to)> fn) {
    latency_ = std::move(fn);
  }
  // After this a dial into a partition, or to an address where nobody listens, fails.
  void set_connect_timeout(absl::Duration d) { connect_timeout_ = d; }

  // Holds up all frames from `from` to `to` until healed. Both: a partition of the pair.
  void BlockOneWay(const std::string& from, const std::string& to);
  void Block(const std::string& a, const std::string& b);
  void Heal(const std::string& a, const std::string& b);
  void HealOneWay(const std::string& from, const std::string& to);
  void HealAll();
  // Cuts `address` from all others, those that come later too. Healed by Join or HealAll.
  void Isolate(const std::string& address);
  void Join(const std::string& address);
  // Ends every stream between the two (of one kind, if given): both sides see UNAVAILABLE at once.
  void Break(const std::string& a, const std::string& b);
  void Break(const std::string& a, const std::string& b, StreamKind kind);

  // From now on streams tell what is on its way as queued. Otherwise they take all that is written.
  void CountQueued() { count_queued_ = true; }
  // What `from` sends to `to` within `d` on the streams of that kind that are open now arrives at
  // its end; a new stream is as quick as ever. As with a connection whose packets are lost.
  void Stall(const std::string& from, const std::string& to, StreamKind kind, absl::Duration d);
  // For how long a stream that one side has closed orderly still brings that side what was under
  // way to it. Unset: not at all.
  void set_linger(std::function<absl::Duration(StreamKind)> fn) { linger_ = std::move(fn); }

  bool blocked(const std::string& from, const std::string& to) const { return Blocked(from, to); }

  // Streams that are open now between the two.
  size_t OpenStreams(const std::string& a, const std::string& b) const;
  // Sees each frame: when it is written, and just before it is handed to who it is for. `stream`
  // tells streams apart.
  using Tap = std::function<void(uint64_t stream, const std::string& from, const std::string& to,
                                 StreamKind kind, const std::string& bytes)>;
  void set_tap(Tap tap) { tap_ = std::move(tap); }
  void set_delivery_tap(Tap tap) { delivery_tap_ = std::move(tap); }
  // Sees how `from` ends a stream.
  using EndTap =
      std::function<void(uint64_t stream, const std::string& from, const absl::Status& status)>;
  void set_end_tap(EndTap tap) { end_tap_ = std::move(tap); }

  // What `address` writes from now on is lost, until it ends: a process that was killed in the
  // middle of what it does now.
  void Mute(const std::string& address) { muted_.insert(address); }
  // Its machine loses power: what it has sent and has not arrived never will, and nobody is told
  // that its streams have ended until it is back, or until they find out.
  void PowerOff(const std::string& address);
  // Puts a frame on an open stream that nobody wrote there: a relic of an older one. False: none is
  // open.
  bool Inject(const std::string& from, const std::string& to, StreamKind kind, std::string bytes);

 private:
  friend class SimTransport;
  friend class SimStream;
  struct Frame {
    std::string bytes;
    bool last = false;  // the other side closed: `status` is what this side sees
    absl::Status status;
    Instant at = {};  // of arrival
  };
  // One direction of a connection.
  struct Lane {
    std::string from, to;
    std::map<uint64_t, Frame> waiting;  // by sequence; not yet handed over
    uint64_t next_in = 0, next_out = 0;
    Instant last_arrival;
  };
  struct End {
    SimTransport* transport = nullptr;  // null: gone
    StreamHandler* handler = nullptr;   // null: the stream object is destroyed, or not accepted yet
    bool over = false;                  // OnClose was called or will not be
  };
  struct Conn {
    StreamKind kind;
    End ends[2];    // 0: the dialler
    Lane lanes[2];  // lane i carries from end i to the other
    bool accepted = false, closed = false;
  };

  bool Blocked(const std::string& from, const std::string& to) const;
  void Send(uint64_t conn, int end, Frame frame);
  void Arrive(uint64_t conn, int lane);
  void Deliver(uint64_t conn, int end);
  void CloseEnd(uint64_t conn, int end, absl::Status status);
  void CloseEndLater(uint64_t conn, int end, absl::Status status);
  void Accept(uint64_t conn);
  void Cut(uint64_t conn, const absl::Status& status);
  void Flush();
  void Sweep();
  void Reset(const std::string& address);

  VirtualTime* const time_;
  std::function<absl::Duration(const std::string&, const std::string&)> latency_;
  std::function<absl::Duration(StreamKind)> linger_;
  absl::Duration connect_timeout_ = absl::Seconds(1);
  Tap tap_;
  Tap delivery_tap_;
  EndTap end_tap_;
  bool count_queued_ = false;
  std::set<std::string> muted_, dark_;
  std::set<std::pair<std::string, std::string>> blocked_;
  std::set<std::string> isolated_;
  std::map<std::string, SimTransport*> hosts_;
  std::map<uint64_t, Conn> conns_;
  uint64_t last_conn_ = 0;
};

// One process's end of the network. Its handlers run on `executor`. Destroying it is a crash of the
// process: the others see their streams broken.
class SimTransport : public Transport {
 public:
  SimTransport(SimNetwork* network, std::string address, Executor* executor);
  ~SimTransport() override;

  std::unique_ptr<Stream> Dial(const std::string& address, StreamKind kind,
                               StreamHandler* handler) override;
  void Listen(StreamKind kind, Acceptor acceptor) override {
    acceptors_[kind] = std::move(acceptor);
  }
  const std::string& address() const { return address_; }

 private:
  friend class SimNetwork;
  friend class SimStream;
  SimNetwork* const network_;
  const std::string address_;
  Executor* const executor_;
  std::map<StreamKind, Acceptor> acceptors_;
};

}  // namespace banyan::testing

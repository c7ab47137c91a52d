#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "banyan/internal/v1/membership.pb.h"
#include "server/cluster/transport.h"
#include "server/coordinator/coordinator.h"

namespace banyan {

struct Member;

// A stream that a node opened, on the coordinator's side. Owned by Sessions; it lives until its
// stream is over or it is closed here, and is destroyed after the turn.
class Session : public StreamHandler {
 public:
  Session(Coordinator::Core* core, std::unique_ptr<Stream> stream)
      : core_(core), stream_(std::move(stream)) {}
  void OnFrame(std::string bytes) final;
  void OnClose(absl::Status status) final;
  // Ends the stream; nothing is called afterwards but Closed().
  void Close(absl::Status status);
  // As soon as what led to it is on record. What arrives until then is not looked at.
  void CloseWhenStored(absl::Status status);
  bool open() const { return open_; }
  uint64_t id() const { return id_; }

 protected:
  // Within a turn.
  virtual void Frame(const std::string& bytes) = 0;
  // The stream is over; detach from the member.
  virtual void Closed() = 0;
  void Send(const google::protobuf::MessageLite& message);
  void BadFrame();

  Coordinator::Core* const core_;

 private:
  friend class Sessions;
  void End();
  std::unique_ptr<Stream> stream_;
  bool open_ = true;
  bool ending_ = false;
  uint64_t id_ = 0;  // in Sessions
};

// Heartbeats of one node.
class LeaseSession : public Session {
 public:
  using Session::Session;
  void Ack(uint64_t seq);
  Member* member = nullptr;

 private:
  void Frame(const std::string& bytes) override;
  void Closed() override;
};

// Control stream of one node: hello, then its resync, then commands and reports.
class ControlSession : public Session {
 public:
  using Session::Session;
  // Commands go out only under the session they were made for.
  void SendCommand(internal::v1::Command command);
  void SendHelloAck(const internal::v1::HelloAck& ack);
  void SendReportAck(uint64_t up_to);
  // At the end of the turn, once for all that were taken in it.
  void AckReports(uint64_t up_to);
  void SendNameReply(const internal::v1::NameReply& reply);
  void SendView(const internal::v1::ViewUpdate& view);
  void SendRoutes(const internal::v1::RouteUpdate& routes);
  void SendGroups(const internal::v1::GroupDelta& delta);
  void SendRelayOffer(const internal::v1::RelayOffer& offer);

  Member* member = nullptr;
  uint32_t number = 0;    // within the epoch; 0 before the hello was taken
  bool greeted = false;   // HelloAck is out
  uint64_t features = 0;  // that both sides have
  // The resync as it arrives.
  std::vector<internal::v1::ResyncChunk> chunks;
  internal::v1::LastCrash last_crash;
  std::set<std::string> groups;  // that the node wants to hear of
  // Starts under way, for a command that is refused.
  struct SentCommand {
    std::vector<std::string> path;
    uint64_t fence = 0;
    bool start = false;
  };
  std::map<uint64_t, SentCommand> sent;

 private:
  void Frame(const std::string& bytes) override;
  void Closed() override;
  friend class Sessions;
  uint64_t command_seq_ = 0;
  uint64_t ack_due_ = 0;
};

// The process that watches a node and reports its end.
class WatcherSession : public Session {
 public:
  using Session::Session;
  void SendRecorded();
  Member* member = nullptr;
  bool watched = false;  // it was the watcher of that life, which may be over by now
  uint32_t node_id = 0;
  uint32_t incarnation = 0;

 private:
  void Frame(const std::string& bytes) override;
  void Closed() override;
};

class Sessions {
 public:
  explicit Sessions(Coordinator::Core* core) : core_(core) {}
  void Listen();
  void SendAcks();
  // Destroys what ended in this turn.
  void Sweep() { ended_.clear(); }
  uint32_t NextNumber() { return ++last_number_; }
  // Those whose hello was taken.
  void ForEachControl(const std::function<void(ControlSession*)>& fn);
  void CloseAll(const absl::Status& status);
  // For effects that were put off: the session may be gone by then.
  Session* Find(uint64_t id) const;
  void CloseIfOpen(uint64_t id, const absl::Status& status);

 private:
  friend class Session;
  friend class ControlSession;
  template <typename T>
  void Accept(StreamKind kind);
  Coordinator::Core* const core_;
  uint32_t last_number_ = 0;
  uint64_t last_id_ = 0;
  std::map<uint64_t, std::unique_ptr<Session>> open_;  // in order of arrival
  std::vector<std::unique_ptr<Session>> ended_;
  std::set<uint64_t> acks_due_;  // sessions with acks to be sent
};

}  // namespace banyan

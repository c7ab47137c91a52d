#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "banyan/v1/actors.pb.h"
#include "common/base/mutex.h"
#include "common/base/payload.h"
#include "common/base/pid.h"
#include "common/time/clock.h"

namespace banyan::rpc {

// Messages of one SendStream that are read and not confirmed yet, and their bytes: beyond either
// nothing is read, and the client feels HTTP/2's flow control.
inline constexpr uint64_t kUnconfirmedMax = 1000;
inline constexpr size_t kUnsettledBytesMax = size_t{4} << 20;
// How long a message waits for its target to be found, e.g. for a child between two lives.
inline constexpr absl::Duration kFindTargetMax = absl::Seconds(5);

// One SendStream: takes messages in stream order, finds where each goes, and puts it there or hands
// it to the server that does. Knows no gRPC.
//
//   read -> waiting (one is looked for at a time) -> settled: in a mailbox, or a failure ->
//   confirmed
//
// Two targets may mean one process, so a message never overtakes another before both are on their
// way: what has to be looked up holds up all behind it. What is on its way to another server is
// kept in order by the leg there, of which there is one for each server.
//
// A confirmed message is in its mailbox, wherever that is. When the client is gone, what is not on
// its way yet is dropped: it must not arrive behind what the client sends on its next stream.
class SendFlow : public std::enable_shared_from_this<SendFlow> {
 public:
  // The client's call. Its functions only start operations; it lives until OnOver() has returned.
  class Wire {
   public:
    virtual void StartReading() = 0;  // then OnRead() or OnReadsOver(), on another stack
    virtual void StartWriting(const v1::SendStreamResponse& response) = 0;  // then OnWritten()
    virtual void End(const absl::Status& status) = 0;

   protected:
    ~Wire() = default;
  };

  // Where a message goes: to a process of this server, or under `target` to another one.
  struct Place {
    Pid pid;
    std::string address;
    v1::Target target;
  };

  // Told once for each message what became of it: empty for one in a mailbox, else the reason.
  using Settle = std::function<void(uint64_t seq, std::string reason)>;

  // The stream to another server. Thread-safe.
  class Leg {
   public:
    virtual ~Leg() = default;
    // False: it is over, and `message` is untouched. `seq` is for Settle alone.
    virtual bool Send(uint64_t seq, v1::SendStreamRequest* message) = 0;
    virtual void Close() = 0;  // nothing more will be sent
    virtual void Cut() = 0;    // what is not settled yet is wanted no more
  };

  // What a node or the coordinator knows. Called by one thread at a time, but for Lost().
  class Router {
   public:
    virtual ~Router() = default;
    virtual const Clock& clock() const = 0;
    // The server stops: what Find() says from here on ends the stream.
    virtual bool stopping() const = 0;
    // `done` may run at once.
    virtual void Find(const v1::Target& target, Instant deadline,
                      std::function<void(absl::StatusOr<Place>)> done) = 0;
    virtual absl::Status Put(Pid pid, Payload payload, bool cast) = 0;
    virtual absl::StatusOr<std::shared_ptr<Leg>> Open(const std::string& address,
                                                      Settle settle) = 0;
    // The name did not lead to a process: to be asked for anew next time.
    virtual void Lost(const std::string& name) = 0;
  };

  explicit SendFlow(Wire* wire) : wire_(wire) {}

  // One of these comes first.
  void Start(std::unique_ptr<Router> router);
  void Refuse(absl::Status status);

  // --- the call's side
  void OnRead(std::optional<v1::SendStreamRequest> message);  // nullopt: unreadable
  void OnReadsOver();                                         // the client sends no more
  void OnWritten(bool ok);
  void OnCancelled();
  void OnOver();  // last

 private:
  // A message that is read and not settled, or behind such a one.
  struct Entry {
    bool settled = false;
    size_t bytes = 0;
    std::string name;  // of a target by name
  };
  struct Waiting {
    uint64_t seq = 0;
    Instant deadline;
    v1::SendStreamRequest message;
  };

  absl::Status Check(const std::optional<v1::SendStreamRequest>& message) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndWith(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Read() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Pump();
  void Dispatch();
  void OnFound(absl::StatusOr<Place> place);
  void Deliver(Waiting message, const absl::StatusOr<Place>& place);
  void SendOn(Waiting message, const Place& place);
  void OnSettled(uint64_t seq, std::string reason);
  void CloseLegs(bool cut);

  std::unique_ptr<Router> router_;  // null: refused

  Mutex mu_;
  Wire* wire_ ABSL_GUARDED_BY(mu_);                // null: over
  bool reading_ ABSL_GUARDED_BY(mu_) = false;      // a read is under way
  bool writing_ ABSL_GUARDED_BY(mu_) = false;      // a write is under way
  bool ending_ ABSL_GUARDED_BY(mu_) = false;       // no more reads: settle, confirm, end
  bool ended_ ABSL_GUARDED_BY(mu_) = false;        // End() was or is being called
  bool gone_ ABSL_GUARDED_BY(mu_) = false;         // so is the client
  absl::Status status_ ABSL_GUARDED_BY(mu_);       // to end with
  bool dispatching_ ABSL_GUARDED_BY(mu_) = false;  // a thread is in Dispatch()
  bool finding_ ABSL_GUARDED_BY(mu_) = false;      // the head of waiting_ is looked for
  std::optional<absl::StatusOr<Place>> found_ ABSL_GUARDED_BY(mu_);  // it is there
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mu_);
  std::deque<Entry> unconfirmed_ ABSL_GUARDED_BY(mu_);  // the first is accepted_ + 1
  size_t unsettled_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t read_ ABSL_GUARDED_BY(mu_) = 0;                // the last seq that was taken
  uint64_t accepted_ ABSL_GUARDED_BY(mu_) = 0;            // all up to here is settled
  uint64_t telling_ ABSL_GUARDED_BY(mu_) = 0;             // what the write under way confirms
  uint64_t told_ ABSL_GUARDED_BY(mu_) = 0;                // what the client was told
  v1::SendStreamResponse failures_ ABSL_GUARDED_BY(mu_);  // not told yet
  std::map<std::string, std::shared_ptr<Leg>> legs_ ABSL_GUARDED_BY(mu_);  // by address
};

}  // namespace banyan::rpc

#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "banyan/internal/v1/membership.pb.h"
#include "server/coordinator/coordinator.h"

namespace banyan {

class ControlSession;
class WatcherSession;
struct Member;

// Joins, ends and the view of the members (cluster.md 1, 2.4, 6.3).
//
//   JOINING -> ACTIVE   first resync done               (durable)
//   any     -> LEFT     the node said so                (durable, final for the incarnation)
//   any     -> DEAD     lease, watcher, superseded by a newer process of the name, operator
//
// A node's incarnation is durable before it hears of it, and so is its death before anybody does.
class Membership {
 public:
  explicit Membership(Coordinator::Core* core) : core_(core) {}

  void OnControlFrame(ControlSession* session, const internal::v1::ControlRequest& request);
  void OnControlLost(Member* member);
  void OnWatcherFrame(WatcherSession* session, const internal::v1::WatcherRequest& request);

  // Ends this life of the member: `cause` "lease", "watcher", "superseded", "operator" or "left".
  void Die(Member* member, const std::string& cause);
  // The member looks different to others: it goes out with the next view.
  void Changed(Member* member);
  void Store(const Member& member);
  uint64_t view_version() const { return view_version_; }
  // Once the epoch is known.
  void Start() { view_version_ = uint64_t{TermOfView()} << 32; }
  // Sends the views gathered in this turn; called at its end.
  void FlushView();

 private:
  uint32_t TermOfView() const;
  void OnHello(ControlSession* session, const internal::v1::Hello& hello);
  absl::Status CheckHello(const internal::v1::Hello& hello) const;
  // The member that the hello makes or continues; an error refuses it.
  absl::StatusOr<Member*> Admit(const internal::v1::Hello& hello);
  Member* Join(const internal::v1::Hello& hello, uint32_t node_id, uint32_t incarnation);
  // SAFE mode: a life that the store has forgotten goes on.
  Member* JoinAsItSays(const internal::v1::Hello& hello, Member* before);
  uint32_t NextIncarnation(uint32_t before) const;
  // Its streams end with `status` once what was decided is durable.
  void Detach(Member* member, const absl::Status& status);
  void TakeOver(Member* member, const internal::v1::Hello& hello);
  void Greet(ControlSession* session, Member* member);
  void OnResyncEnd(ControlSession* session, const internal::v1::ResyncEnd& end);
  void OnReport(ControlSession* session, const internal::v1::Report& report);
  void OnUpdate(ControlSession* session, const internal::v1::NodeUpdate& update);
  void OnLeave(ControlSession* session);

  Coordinator::Core* const core_;
  uint64_t view_version_ = 0;
  std::set<std::string> changed_;  // names, since the last view
};

}  // namespace banyan

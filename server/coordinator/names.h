#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "banyan/internal/v1/membership.pb.h"
#include "banyan/v1/registry.pb.h"
#include "common/base/pid.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/interests.h"
#include "server/coordinator/name_watches.h"

namespace banyan {

class ControlSession;
struct Child;
struct Member;

// Names (cluster.md 5). A child name belongs to a child's record: durable, taken as long as the
// record is there. A dynamic name is memory of this leader and of its holder's node, which reports
// it at each resync; so a new leader gives out no unreported name until every member has resynced
// or is gone (N2). A name is given back by its holder's end or its node's death, never on suspicion
// (N4), and only by its own reg_version.
class NameTable {
 public:
  explicit NameTable(Coordinator::Core* core);

  // Child names after the store was loaded.
  void Start();
  // NAME_TAKEN, or OK. `own`: the child that may have it already.
  absl::Status CheckFree(const std::string& name) const;
  // RECOVERING while some node has not said which names it holds (N2), or OK.
  absl::Status CheckKnown() const;
  // Its record is made: the name, if it has one, is taken from now on.
  void ReserveForChild(const Child* child);
  bool Known(const std::string& name) const {
    return children_.contains(name) || dynamic_.contains(name);
  }

  absl::StatusOr<v1::NameEntry> Register(const RegisterArgs& args);
  bool Unregister(const UnregisterArgs& args);
  v1::LookupResponse Lookup(const std::string& name) const;  // entry unset: nobody
  v1::ListNamesResponse List(const std::string& prefix, const PageArgs& page) const;
  // The child of that name, or null.
  Child* ChildOf(const std::string& name) const;
  const v1::NameEntry* Dynamic(const std::string& name) const;
  // Some members have not said which names they hold.
  bool recovering() const;

  void OnNameRequest(ControlSession* session, const internal::v1::NameRequest& request);
  void OnNameGone(Member* member, const v1::NameEntry& entry);
  void OnResync(Member* member, const std::vector<internal::v1::ResyncChunk>& chunks);
  void OnNodeGone(uint32_t node_id, uint32_t incarnation);
  void OnChildStarted(Child* child);
  void OnChildDown(Child* child);
  void OnChildGone(Child* child);
  // Who wants to hear of every change of some names (WatchNames).
  NameWatches& watches() { return watches_; }
  // The node hears of changes of the name from now on.
  void Subscribe(const std::string& name, uint32_t node_id);
  // A session begins, at which a node forgets all holders.
  void OnHello(uint32_t node_id) { interests_.Forget(node_id); }

 private:
  v1::NameEntry EntryOf(const Child* child) const;
  void Announce(const v1::NameEntry& entry, bool registered);
  // Its holder must give it up: another has it by now.
  void Revoke(Member* member, const v1::NameEntry& entry);
  void LetForget(const v1::NameEntry& entry);
  void Drop(const std::string& name);

  Coordinator::Core* const core_;
  std::map<std::string, std::string> children_;  // name -> path key
  std::map<std::string, v1::NameEntry> dynamic_;
  Interests interests_;
  NameWatches watches_;
};

}  // namespace banyan

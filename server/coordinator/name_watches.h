#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "banyan/v1/registry.pb.h"
#include "server/coordinator/coordinator.h"

namespace banyan {

// Who watches names, and the changes of them in this leader's term, in order. A reader is known by
// the highest reg_version that it has seen: what was registered later is news to it, whoever leads.
// Of releases only those of this term are remembered, and those that nodes still report; who comes
// from an earlier term learns from what is left.
class NameWatches {
 public:
  using WatchId = Coordinator::WatchId;
  explicit NameWatches(Coordinator::Core* core) : core_(core) {}

  // What is known is not told again; a release counts for exactly its registration.
  void Registered(const v1::NameEntry& entry);
  void Released(const v1::NameEntry& entry);
  // A release of what only a former leader knew.
  void ReleasedBefore(const v1::NameEntry& entry);
  // It was registered before this term.
  void Know(const v1::NameEntry& entry) { known_[entry.name()] = entry; }

  // Nodes have said what they hold, or are gone.
  void OnHeard();

  // Error: RESUME_TOKEN_EXPIRED for a version of this term whose successors are not kept any more.
  absl::StatusOr<WatchId> Open(const std::string& prefix, uint64_t after);
  void Next(WatchId id, Reply<v1::WatchNamesResponse> done);
  bool Close(WatchId id) { return watches_.erase(id) > 0; }

 private:
  struct Change {
    v1::NameEntry entry;
    bool registered = false;
    uint64_t at = 0;  // the highest reg_version given out by then
  };
  struct Watch {
    std::string prefix;
    uint64_t after = 0;
    std::deque<Change> first;  // what is there, and what was released since `after`
    bool snapshot_told = false;
    uint64_t next = 0;    // the first change not looked at
    bool listed = false;  // what is unchanged
    std::deque<std::string> unchanged;
    bool caught_up = false;
    Reply<v1::WatchNamesResponse> waiting;
  };
  void Append(const v1::NameEntry& entry, bool registered);
  void FlushLater();
  bool Serve(Watch& watch);
  // Adds what is as it was; true: there is no more.
  bool CatchUp(Watch& watch, v1::WatchNamesResponse* response);
  // Answers those who wait for what this turn brought.
  void Flush();

  Coordinator::Core* const core_;
  std::map<std::string, v1::NameEntry> known_;  // registered names, as they were told
  std::deque<Change> history_;
  uint64_t first_ = 1;         // number of history_.front()
  uint64_t highest_ = 0;       // reg_version given out in this term, or reported
  uint64_t forgotten_at_ = 0;  // Change::at of the last one dropped
  bool fresh_ = false;
  std::map<WatchId, Watch> watches_;
};

}  // namespace banyan

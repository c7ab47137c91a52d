#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "banyan/internal/v1/membership.pb.h"
#include "common/wire/pid.h"
#include "server/cluster/transport.h"
#include "server/coordinator/coordinator.h"

namespace banyan {

// Sessions between nodes that cannot reach each other: of each, the two streams on which the nodes
// reach this coordinator are joined (cluster.md 3.1). What comes on one leaves on the other, in
// order; when one ends, so does the other. Nothing of it is stored, and nothing waits for the
// store.
//
// Nodes keep what is on its way within a window. A stream that goes beyond it is cut, so that
// neither a peer that reads slowly nor one that breaks the rules can fill this process.
class Relays {
 public:
  // Of one direction of one session: twice what nodes may have on their way.
  static constexpr size_t kBytesMax = size_t{1} << 20;
  static constexpr size_t kBytesOfAllMax = size_t{256} << 20;

  explicit Relays(Coordinator::Core* core);
  ~Relays();
  void Listen();
  // A life of a node is over.
  void OnNodeGone(uint32_t node_id, uint32_t incarnation);
  // Sessions, joined or asked for.
  size_t size() const { return pairs_.size(); }

 private:
  class End;
  // One session: the node that asked for it, and the other once it is there.
  struct Pair {
    End* ends[2] = {};
  };

  void OnFirst(End* end, const internal::v1::RelayRequest& request);
  void Ask(End* end);
  void Answer(End* end, uint64_t relay_id);
  void Forward(End* from, std::string bytes);
  void Close(End* end, const absl::Status& status);
  void Forget(End* end);
  void Tell(const End& end);

  Coordinator::Core* const core_;
  uint64_t last_id_ = 0;
  uint32_t last_relay_ = 0;
  size_t bytes_ = 0;  // that wait to be sent
  std::map<uint64_t, std::unique_ptr<End>> ends_;
  std::vector<std::unique_ptr<End>> ended_;
  std::map<uint64_t, Pair> pairs_;                           // by relay id
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> asked_;  // relay by nodes: who asked, for whom
  std::set<std::pair<uint32_t, uint32_t>> told_;
};

}  // namespace banyan

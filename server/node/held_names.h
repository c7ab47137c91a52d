#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

#include "banyan/internal/v1/membership.pb.h"
#include "banyan/v1/registry.pb.h"
#include "common/base/pid.h"
#include "server/node/node.h"

namespace banyan {

// Dynamic names that processes of this node hold. The coordinator grants them; this table is where
// it learns them from after a change of leader. On the executor.
class HeldNames {
 public:
  using Granted = std::function<void(absl::StatusOr<v1::NameEntry>)>;
  struct Held {
    v1::NameEntry entry;  // as granted; its pid is of this life
    Pid pid;              // local
    Ref monitor = 0;
  };

  explicit HeldNames(Node::Core* node) : node_(node) {}

  void Request(std::string name, Pid pid, std::map<std::string, std::string> metadata,
               bool exclusive, Granted done);
  bool Release(const std::string& name, Pid pid);
  void OnReply(const internal::v1::NameReply& reply);
  // Requests without an answer fail: what was granted without our knowing is dropped at the next
  // resync.
  void OnSessionLost();
  // The lease ran out: holders of names that are not exclusive are told (LeaseLost).
  void OnLeaseLost();
  // Somebody has taken the name away. Only by the registration's own version.
  void OnUnregistered(const v1::NameEntry& entry);
  bool any_exclusive() const;
  // This life is over: every holder gets exit {name_lost, NAME}.
  void Abandon();

  const Held* Find(const std::string& name) const;
  // Whether `pid` has the name that was registered so, or is about to hear that it has.
  bool Holds(Pid pid, uint64_t reg_version) const;
  const std::map<std::string, Held>& held() const { return held_; }

 private:
  struct Pending {
    std::string name;
    Pid pid;
    Granted done;
  };
  // The coordinator has given the name to another meanwhile: the holder gets exit {name_lost,
  // NAME}. Only by the registration's own version.
  void OnRevoked(const v1::NameEntry& entry);
  void OnHolderDown(const std::string& name, uint64_t reg_version);
  void ReportGone(const Held& held);
  void Lose(const std::string& name, const Held& held);
  Held Remove(std::map<std::string, Held>::iterator it);

  Node::Core* const node_;
  uint64_t last_request_ = 0;
  std::map<uint64_t, Pending> pending_;
  std::map<std::string, uint64_t> given_up_;  // while any is pending: versions that are over
  std::map<std::string, Held> held_;
  absl::flat_hash_map<uint64_t, Pid> holders_;  // of held_, by reg_version
  uint64_t newest_ = 0;                         // reg_version that was granted to this node
};

}  // namespace banyan

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/workload_actors.h"

namespace banyan::sim {

// Processes of all nodes register a few names, give them back, die with them and register again,
// often several at once; others look the names up, at the nodes and at the coordinator.
//
// INV-14: in the order of grants a name has one owner: who gets it next, gets it after the one
// before has given it up.
// INV-15: it is given up by Unregister, by the owner's end or by the end of its node's life; until
// then everybody who looks finds it.
class NameWorkload : public ActorWorkload {
 public:
  std::string_view name() const override { return "names"; }

 private:
  struct Grant {
    std::string name;
    uint64_t version = 0;
    Actor* owner = nullptr;
    Pid pid;
    std::optional<Instant> given_back;  // Unregister was called
    bool perhaps = false;               // then, but before the grant was known
    std::optional<Instant> declared;    // its node's life was seen to be over, by another node
  };
  // A newer owner than `older`, since `at`: that one's node may turn out to have been dead.
  struct Doubt {
    size_t older, newer;
    Instant at;
  };

  void OnLife(int node) override;
  void OnTick() override;
  void CheckAtRest() override;
  void SpawnHolder(int node);
  void ActOn(int node);
  void Register(Actor* holder, const std::string& name);
  void Unregister(Actor* holder, const std::string& name);
  std::string NameFor(const Actor* holder);
  void LookUp(int node, const std::string& name);
  void CheckFresh(const std::string& name, uint64_t version, int node);
  void AskCoordinator(const std::string& name);
  void OnGranted(Actor* holder, const v1::NameEntry& entry);
  void OnSeen(const std::string& name, const Pid& pid, uint64_t version, const std::string& by);
  void NoteLivesOver();
  std::optional<Instant> GivenUp(const Grant& grant) const;
  void SettleDoubts();
  using Registered = std::map<std::string, v1::NameEntry>;
  void CheckOwner(const std::string& name, const std::vector<size_t>& grants,
                  const Registered& registered);
  void CheckHolders(const Registered& registered);
  void CheckFinders(const Registered& registered);
  std::string Describe(const Grant& grant) const;

  std::vector<Grant> grants_;
  std::map<std::string, std::vector<size_t>> by_name_;
  std::map<std::pair<std::string, uint64_t>, Pid> seen_;
  std::map<std::string, uint64_t> newest_at_coordinator_;
  std::map<std::pair<const Actor*, std::string>, Instant> unregistered_;
  std::vector<Doubt> doubts_;
};

}  // namespace banyan::sim

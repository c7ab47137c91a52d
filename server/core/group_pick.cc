#include "server/core/group_pick.h"

#include <initializer_list>

namespace banyan {
namespace {

const Pid& Any(const std::vector<Pid>& members, Random* random) {
  return members[random->Below(members.size())];
}

// Of a key and a member; the same on every machine.
uint64_t Weight(std::string_view key, const Pid& pid) {
  uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  for (uint64_t word : {uint64_t{pid.node_id}, uint64_t{pid.incarnation}, pid.id}) {
    hash ^= word;  // then the finaliser of splitmix64, so that near pids get far weights
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
    hash ^= hash >> 31;
  }
  return hash;
}

}  // namespace

Pid PickMember(const std::vector<Pid>& members, const GroupPick& pick, Random* random) {
  using Selection = Target::Group::Selection;
  switch (pick.selection) {
    case Selection::kNearest: {
      std::vector<Pid> near;
      for (const Pid& pid : members) {
        if (pick.here != 0 && pid.node_id == pick.here) near.push_back(pid);
      }
      return Any(near.empty() ? members : near, random);
    }
    case Selection::kRandom:
      break;
    case Selection::kLeastLoaded: {
      const Pid a = Any(members, random), b = Any(members, random);
      return pick.load && pick.load(b) < pick.load(a) ? b : a;
    }
    case Selection::kHash: {
      Pid best = members.front();
      for (const Pid& pid : members) {
        if (Weight(pick.hash_key, pid) > Weight(pick.hash_key, best)) best = pid;
      }
      return best;
    }
  }
  return Any(members, random);
}

}  // namespace banyan

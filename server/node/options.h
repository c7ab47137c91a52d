#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "banyan/internal/v1/membership.pb.h"
#include "server/cluster/options.h"
#include "server/core/feature_level.h"

namespace banyan {

// What a node is configured with, and what its process knows of its past. The node itself makes no
// call to the OS: whoever builds it reads the state directory.
struct NodeOptions {
  std::string name;  // unique in the cluster
  std::string cluster_name = "dev";
  std::string address;                    // where others reach it, "host:port"
  std::vector<std::string> coordinators;  // tried in turn; replaced by what a coordinator tells
  std::map<std::string, std::string> labels;
  std::map<std::string, int64_t> capacity;
  std::string version;

  // From the state directory (cluster.md 2.4): evidence that a former process of this name is gone.
  std::string machine_id;
  std::string boot_id;
  std::string process_id;  // random bytes, new in every process
  bool state_lock = false;
  uint64_t start_number = 0;  // of the processes that held the lock; 0: not known
  std::string cluster_id;     // last joined; empty: never
  std::string store_id;
  uint64_t store_revision = 0;  // the highest seen of that store
  uint32_t epoch_seen = 0;
  std::optional<internal::v1::LastCrash> last_crash;

  bool rejoin_when_dead = true;  // false: on_dead is called and the node stays out
  bool has_watcher = false;
  // Of this release; another one only in tests of upgrades.
  uint32_t feature_level = kFeatureLevel;

  absl::Duration redial_min = absl::Milliseconds(50);  // doubles, with full jitter
  absl::Duration redial_max = absl::Seconds(2);
  absl::Duration hello_timeout = absl::Seconds(5);  // no answer: the next coordinator
  absl::Duration stuck_after = absl::Seconds(30);   // a killed child that has not ended is reported

  size_t hand_off_max = (1 << 20) + 1024;  // what a child may leave, encoded

  size_t reports_max = 10'000;  // unacknowledged; above it the control stream is begun anew
  size_t events_max = 10'000;   // kept for node-local WatchEvents
  size_t routes_max = 65'536;   // names whose holder is remembered
  size_t fences_max = 100'000;  // highest fences of children that are no more
  uint32_t schedulers = 0;      // shown in the load

  PeerOptions peer;
};

}  // namespace banyan

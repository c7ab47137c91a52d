#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "server/core/feature_level.h"

namespace banyan {

// What a coordinator is configured with. The lease times here are handed to the nodes at their
// join; Validate() refuses sets of them that break "at most one" (cluster.md 2.2, C1 to C4; C5 is
// about replicas).
struct CoordinatorOptions {
  std::string name = "coordinator";  // shown in lists and logs
  std::string cluster_name = "dev";  // a Hello for another cluster is refused
  std::string advertise_address;     // where nodes and clients reach this coordinator, "host:port"
  std::vector<std::string> coordinators;  // all replicas; empty: only advertise_address
  std::string version;                    // release, for views

  // Leases. Defaults are those of a single coordinator on SQLite.
  absl::Duration heartbeat = absl::Seconds(1);
  absl::Duration suspect_after = absl::Seconds(4);
  absl::Duration lease_freeze = absl::Seconds(40);
  absl::Duration lease_node = absl::Seconds(50);
  absl::Duration lease_coordinator = absl::Seconds(60);
  absl::Duration pause_allowance = absl::Seconds(2);
  absl::Duration max_handler = absl::Seconds(5);  // longest turn of an exclusive child (C3)
  double clock_drift = 0.005;
  // A node's clock is judged over this time (L6). A larger drift than `drift_alarm` is told; one of
  // more than half of `clock_drift` keeps exclusive children away.
  absl::Duration drift_window = absl::Minutes(10);
  double drift_alarm = 0.002;
  absl::Duration one_way_limit = absl::Seconds(10);
  absl::Duration stall_limit = absl::Seconds(1);  // L4: a later loop moves all leases forward
  absl::Duration join_timeout = absl::Seconds(30);
  // A control stream that stays away this long with a healthy lease makes the node SUSPECT.
  absl::Duration unmanageable_after = absl::Seconds(10);

  // Many nodes lost at once (cluster.md 2.6).
  absl::Duration mass_loss_window = absl::Seconds(30);
  absl::Duration mass_loss_hold = absl::Minutes(5);
  double braked_starts_per_second = 10;
  // How long a flapping node gets no placements: the first time, doubled each time, at most.
  absl::Duration quarantine_first = absl::Seconds(30);
  absl::Duration quarantine_max = absl::Minutes(15);

  // Of this release; another one only in tests of upgrades.
  uint32_t feature_level = kFeatureLevel;

  // Pacing of starts: open until there is trouble.
  double starts_per_second = 10'000;
  double starts_per_second_per_supervisor = 8000;
  uint32_t starts_in_flight_per_node = 256;

  // Children that no node fits are tried again this often besides on every change of the view.
  absl::Duration pending_retry = absl::Seconds(10);
  // A child that started less than this before its node was lost gets a poison mark.
  absl::Duration poison_window = absl::Seconds(60);
  absl::Duration poison_memory = absl::Minutes(30);
  uint32_t poison_marks_max = 3;

  absl::Duration operation_retention = absl::Minutes(15);
  size_t operations_max = 100'000;

  size_t events_max = 100'000;      // history of WatchEvents and WatchCluster
  size_t watcher_lag_max = 10'000;  // a reader further behind is cut
  absl::Duration bookmark_every = absl::Seconds(30);

  size_t names_max = 1'000'000;
  // Names of which one node hears every change, as it remembers their holders: those that it asked
  // for last.
  size_t interests_per_node = 65'536;

  // Sessions of nodes that cannot reach each other, which go through the coordinator. 0: none do.
  size_t relays_max = 1000;

  // The broken rules, a sentence each that names the option; empty when the times are sound.
  std::string Validate() const;
};

}  // namespace banyan

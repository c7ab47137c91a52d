#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace banyan {

// Versions of what servers say to each other (cluster.md 2.8).
//
// The major number changes when two releases cannot talk at all. A feature level stands for a set
// of features; a release works with its own level and the one below. The cluster's level is durable
// and rises only when an operator finalizes an upgrade: from then on no older release may join, and
// until then the new features stay off and the upgrade can be taken back.
inline constexpr uint32_t kProtocolMajor = 1;
inline constexpr uint32_t kFeatureLevel = 1;  // of this release

namespace feature {
// Level 1: the resync tells specs when the store went back in time; the watcher's end is told;
// sessions between nodes may go through the coordinator.
inline constexpr uint64_t kKeepAll = 1 << 0;
inline constexpr uint64_t kWatcherNews = 1 << 1;
inline constexpr uint64_t kRelay = 1 << 2;
}  // namespace feature

// All features of the levels up to this one.
uint64_t FeaturesOfLevel(uint32_t level);
std::vector<std::string> FeatureNames(uint64_t features);
// What two servers use between them: what both have and the cluster's level allows.
uint64_t SessionFeatures(uint64_t ours, uint64_t theirs, uint32_t cluster_level);

// Why a server of that version may not join; nullopt: it may. `own`: this release's level.
std::optional<std::string> JoinProblem(uint32_t major, uint32_t level, uint32_t cluster_level,
                                       uint32_t own);

// Why the cluster cannot be finalized at `level`; nullopt: it can, or is at that level already.
// `possible`: the lowest level of all members and of this release.
std::optional<std::string> FinalizeProblem(uint32_t level, uint32_t cluster_level,
                                           uint32_t possible);

}  // namespace banyan

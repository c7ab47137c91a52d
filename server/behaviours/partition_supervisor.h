#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

#include "server/behaviours/module.h"

// A supervisor of N children of one kind, each of which takes a share of the work (Elixir's
// PartitionSupervisor): a process that everybody calls, a dynamic supervisor above all, is a
// bottleneck; N of them are not. A key is always served by the same partition.
//
//   PartitionSpec spec{.name = "sessions"};
//   spec.child.supervisor = a dynamic supervisor;
//   co_await StartPartitionSupervisor(self(), spec);
//   absl::StatusOr<Pid> pid = PartitionOf(self().runtime(), "sessions", user_id);
//
// Otherwise it is an ordinary local supervisor; its children's ids are 0 to N-1 and they are
// registered as "sessions.0" to "sessions.N-1". To make it a child of another supervisor, call the
// start from a start function (Modules::AddFunction).

namespace banyan {

struct PartitionSpec {
  std::string name;  // required
  // Every partition; id and start.name are set by the start.
  ChildSpec child;
  std::optional<uint32_t> partitions;  // 1 to 65536; unset: one per worker of the runtime
  // The arguments of one partition, from those of `child`. Empty: the same for all.
  std::function<std::vector<Payload>(std::vector<Payload> args, uint32_t partition)> with_arguments;
  // Neither dynamic nor with auto_shutdown.
  SupervisorFlags flags = {.intensity = 3};
};

// An integer goes to partition |key| mod N, a text to one by a hash that is the same on every node
// and in every release.
using PartitionKey = std::variant<int64_t, std::string>;

// Fails with ERROR `badarg`, before anything is started, for a spec that is wrong.
Task<StartResult> StartPartitionSupervisor(Self& starter, PartitionSpec spec,
                                           StartContext context = {});

// Who serves `key`; calls nobody. NOPROC: there is no such supervisor; NAME_NOT_REGISTERED: it has
// no partition at all now, or this one is between two lives.
absl::StatusOr<Pid> PartitionOf(const Runtime& runtime, const std::string& name,
                                const PartitionKey& key);
// How many partitions serve keys. NOPROC: there is no such supervisor.
absl::StatusOr<uint32_t> Partitions(const Runtime& runtime, const std::string& name);

// Changes that number to `partitions`, at most the number started with; others are stopped and
// their keys served by the rest. Returns what it was. One change at a time for one supervisor; goes
// on if the caller ends. Keys move, so what partitions know of them is their own affair. A restart
// of the whole group (one_for_all, rest_for_one) starts stopped partitions too, without routing to
// them. REQUEST_INVALID: too many; NOPROC; CHILD_START_FAILED: keys stay where they were.
Task<absl::StatusOr<uint32_t>> ResizePartitions(Self& self, std::string name, uint32_t partitions);

}  // namespace banyan

#include "server/behaviours/partition_supervisor.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/behaviours/host.h"
#include "server/behaviours/partition_table.h"
#include "server/behaviours/supervisor.h"
#include "server/behaviours/supervisor_client.h"
#include "server/core/placement.h"
#include "server/core/spec_validation.h"
#include "server/runtime/runtime.h"

namespace banyan {
namespace {

constexpr uint32_t kPartitionsMax = 65536;

std::string PartitionName(const std::string& name, uint32_t partition) {
  return fmt::format("{}.{}", name, partition);
}

PartitionTable& TableOf(const Runtime& runtime) { return *HostOf(runtime).partitions; }

// The entry of a supervisor that lives. One that has ended leaves its entry behind, until its name
// is used again.
std::optional<PartitionTable::Entry> FindLive(const Runtime& runtime, const std::string& name) {
  std::optional<PartitionTable::Entry> entry = TableOf(runtime).Find(name);
  const std::optional<Pid> holder = runtime.Whereis(name);
  if (!entry || !holder) return std::nullopt;
  if (entry->supervisor.valid() && entry->supervisor != *holder) return std::nullopt;
  return entry;
}

absl::Status NoSuch(const std::string& name) {
  return MakeError("NOPROC", fmt::format("there is no partitioned supervisor \"{}\"", name),
                   {{"target", name}});
}

// What is wrong with the spec; empty: nothing.
std::string ProblemOf(const PartitionSpec& spec, const SupervisorSpec& made) {
  if (spec.name.empty()) return "name must not be empty";
  if (spec.partitions && (*spec.partitions == 0 || *spec.partitions > kPartitionsMax)) {
    return fmt::format("partitions is {}; it must be 1 to {}", *spec.partitions, kPartitionsMax);
  }
  if (!spec.child.start.name.empty()) return "child.start.name is set by the partitions";
  if (spec.flags.dynamic()) return "strategy must not be one with dynamic children";
  if (spec.flags.auto_shutdown != AutoShutdown::kNever) return "auto_shutdown must be never";
  const std::vector<SpecProblem> problems = ValidateSpec(made);
  if (problems.empty()) return {};
  return problems.front().field + ": " + problems.front().description;
}

SupervisorSpec MakeSpec(const PartitionSpec& spec, uint32_t partitions) {
  SupervisorSpec out;
  out.flags = spec.flags;
  for (uint32_t i = 0; i < partitions; ++i) {
    ChildSpec child = spec.child;
    child.id = std::to_string(i);
    child.start.name = PartitionName(spec.name, i);
    if (child.supervisor) child.type = ChildType::kSupervisor;
    if (spec.with_arguments) {
      child.start.args = spec.with_arguments(std::move(child.start.args), i);
    }
    out.children.push_back(std::move(child));
  }
  return out;
}

uint32_t IndexOf(const PartitionKey& key, uint32_t partitions) {
  if (const int64_t* number = std::get_if<int64_t>(&key)) {
    const uint64_t size =
        *number < 0 ? uint64_t{0} - static_cast<uint64_t>(*number) : static_cast<uint64_t>(*number);
    return static_cast<uint32_t>(size % partitions);
  }
  return static_cast<uint32_t>(RendezvousHash(std::get<std::string>(key), "") % partitions);
}

// Stops or starts partitions `from` to `to` - 1.
Task<absl::Status> SetRunning(Self& self, std::string name, Pid supervisor, uint32_t from,
                              uint32_t to, bool run) {
  SupervisorClient client(supervisor);
  for (uint32_t i = from; i < to; ++i) {
    const std::string id = std::to_string(i);
    absl::StatusOr<OpResult> result =
        run ? co_await client.RestartChild(self, id) : co_await client.TerminateChild(self, id);
    if (!result.ok()) co_return result.status();
    // A group restart has started it already.
    if (run && result->code == OpResult::Code::kRunning) continue;
    absl::Status bad = OpError(*result, name, id);
    if (!bad.ok()) co_return bad;
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<uint32_t>> Resize(Self& self, std::string name, uint32_t partitions) {
  std::optional<PartitionTable::Entry> entry = FindLive(self.runtime(), name);
  if (!entry || !entry->supervisor.valid()) co_return NoSuch(name);
  if (partitions > entry->started) {
    co_return MakeFieldError(
        "REQUEST_INVALID", {{"partitions", fmt::format("is {}; {} was started with {}", partitions,
                                                       name, entry->started)}});
  }
  const uint32_t before = entry->serving;
  entry->serving = partitions;
  // No key may go to a partition that does not run.
  if (partitions < before) TableOf(self.runtime()).Put(name, *entry);
  absl::Status status =
      co_await SetRunning(self, name, entry->supervisor, std::min(before, partitions),
                          std::max(before, partitions), partitions > before);
  if (!status.ok()) co_return status;
  if (partitions > before) TableOf(self.runtime()).Put(name, *entry);
  co_return before;
}

}  // namespace

std::shared_ptr<PartitionTable> MakePartitionTable() { return std::make_shared<PartitionTable>(); }

Task<StartResult> StartPartitionSupervisor(Self& starter, PartitionSpec spec,
                                           StartContext context) {
  PartitionTable& table = TableOf(starter.runtime());
  const uint32_t partitions = spec.partitions.value_or(
      static_cast<uint32_t>(std::max(1, starter.runtime().options().workers)));
  auto made =
      std::make_shared<const SupervisorSpec>(MakeSpec(spec, std::min(partitions, kPartitionsMax)));
  if (std::string problem = ProblemOf(spec, *made); !problem.empty()) {
    co_return StartResult::Failed(ExitReason::Error("badarg", std::move(problem)));
  }
  // Runs in the new supervisor, which has the name by then: partitions find one another in init.
  const PartitionTable::Entry entry{partitions, partitions, {}};
  // A code change asks again, and must not undo a change of their number.
  SupervisorInit init =
      [&table, name = spec.name, entry, made, first = true](
          const std::vector<Payload>&) mutable -> absl::StatusOr<std::optional<SupervisorSpec>> {
    if (std::exchange(first, false)) table.Put(name, entry);
    return *made;
  };
  StartSpec start;
  start.name = spec.name;
  start.module = "partition_supervisor";
  StartResult result = co_await StartSupervisorModule(starter, std::move(init), std::move(context),
                                                      std::move(start));
  if (result.started()) table.Put(spec.name, {partitions, partitions, result.pid});
  co_return result;
}

absl::StatusOr<Pid> PartitionOf(const Runtime& runtime, const std::string& name,
                                const PartitionKey& key) {
  const std::optional<PartitionTable::Entry> entry = FindLive(runtime, name);
  if (!entry) return NoSuch(name);
  if (entry->serving == 0) {
    return MakeError("NAME_NOT_REGISTERED", fmt::format("\"{}\" has no partition now", name),
                     {{"name", name}});
  }
  const std::string partition = PartitionName(name, IndexOf(key, entry->serving));
  if (std::optional<Pid> pid = runtime.Whereis(partition)) return *pid;
  return MakeError("NAME_NOT_REGISTERED",
                   fmt::format("the partition \"{}\" is between two lives", partition),
                   {{"name", partition}});
}

absl::StatusOr<uint32_t> Partitions(const Runtime& runtime, const std::string& name) {
  const std::optional<PartitionTable::Entry> entry = FindLive(runtime, name);
  if (!entry) return NoSuch(name);
  return entry->serving;
}

Task<absl::StatusOr<uint32_t>> ResizePartitions(Self& self, std::string name, uint32_t partitions) {
  using Result = absl::StatusOr<uint32_t>;
  for (;;) {
    // A process of its own holds the name while it resizes: the next one waits for its end.
    StartBody body = [name, partitions](Self& me, StartAck ack) {
      return [](Self& me, StartAck ack, std::string name, uint32_t partitions) -> Task<ExitReason> {
        Result result = co_await Resize(me, name, partitions);
        ack.Started(Payload::Local(std::move(result)));
        co_return ExitReason::Normal();
      }(me, std::move(ack), name, partitions);
    };
    StartOptions options;
    options.link = false;
    options.name = name + ".resize";
    options.module = "partition_resize";
    StartResult started = co_await StartProcess(self, std::move(body), std::move(options));
    if (started.started()) co_return *started.info.As<Result>();
    if (started.reason.type() != kAlreadyStarted) {
      co_return MakeError("CALLEE_EXITED", "the change of the partitions was cut short", {},
                          started.reason);
    }
    const Ref down = self.Monitor(started.pid);
    co_await self.ReceiveIf([down](const Message& m) { return m.is_down() && m.ref() == down; });
  }
}

}  // namespace banyan

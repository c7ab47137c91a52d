#include "tests/sim/workload_holders.h"

#include <algorithm>
#include <memory>

#include "fmt/format.h"

#include "common/base/error.h"

namespace banyan::sim {
namespace {

constexpr int kHoldersPerNode = 2;
constexpr uint64_t kNames = 3;

}  // namespace

void HolderWorkload::OnLife(int node) {
  for (int i = 0; i < kHoldersPerNode; ++i) {
    auto actor = std::make_unique<Holder>();
    Holder* raw = actor.get();
    Spawn(node, std::move(actor), [this, raw](Self& self) { return Run(self, raw); },
          {.module = "holder"});
  }
}

Task<ExitReason> HolderWorkload::Run(Self& self, Holder* me) {
  for (;;) {
    co_await self.Sleep(Between(absl::Milliseconds(50), absl::Milliseconds(300)));
    Turn(me);
    if (!quiet()) Act(me);
  }
}

void HolderWorkload::Turn(Holder* me) {
  for (const auto& [name, version] : me->held) {
    Count("turns");
    uint64_t& newest = newest_[name];
    if (version < newest) {
      Violation(fmt::format("INV-14: {} of {} runs with \"{}\", version {}, and {} has run",
                            FormatPid(me->pid), SimCluster::NodeName(me->node), name, version,
                            newest));
    }
    newest = std::max(newest, version);
  }
}

void HolderWorkload::Act(Holder* me) {
  const std::string name = fmt::format("exclusive-{}", Below(kNames));
  if (me->held.contains(name)) {
    if (!OneIn(40)) return;
    Count("unregisters");
    me->held.erase(name);
    cluster().node(me->node).UnregisterName(name, me->pid, [](bool) {});
    return;
  }
  // One request of a name at a time: its answer says whether the process has it.
  if (!OneIn(3) || !me->asked.try_emplace(name, Now()).second) return;
  Count("registers");
  cluster().node(me->node).RegisterName(
      name, me->pid, {}, true, WhileLive([this, me, name](const absl::StatusOr<v1::NameEntry>& r) {
        me->asked.erase(name);
        if (!r.ok()) return Count(ErrorReason(r.status()));
        Count("grants");
        me->held[name] = r->reg_version();
      }));
}

void HolderWorkload::CheckAtRest() {
  std::map<std::string, int> holders;
  for (const auto& a : actors()) {
    const auto* holder = static_cast<const Holder*>(a.get());
    if (!a->alive || !Member(a->node)) continue;
    for (const auto& [name, version] : holder->held) {
      Count("held at rest");
      if (++holders[name] > 1) Violation(fmt::format("INV-14: two processes hold \"{}\"", name));
    }
  }
}

}  // namespace banyan::sim

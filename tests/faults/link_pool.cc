#include "tests/faults/link_pool.h"

#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "fmt/format.h"

#include "banyan/modules/v1/kv.pb.h"
#include "common/wire/payload.h"

namespace banyan::faults {

std::string LinkPool::Start(Self& self, int size) {
  std::string ids;
  SpawnOptions options;
  options.trap_exit = true;
  for (int i = 0; i < size; ++i) {
    auto spawned = self.Spawn([counts = counts_](Self& s) { return Member(s, counts); }, options);
    if (!spawned.ok()) break;
    members_.push_back(spawned->pid);
    ids += fmt::format("{}{}", ids.empty() ? "" : ",", spawned->pid.id);
  }
  return ids;
}

void LinkPool::Mesh(Self& self, uint32_t node_id, uint32_t incarnation, const std::string& ids,
                    size_t first, size_t count) {
  const std::vector<std::string> all = absl::StrSplit(ids, ',');
  for (size_t i = 0; i < members_.size(); ++i) {
    std::vector<std::string> some;
    for (size_t k = first; k < first + count; ++k) some.push_back(all[(i + k) % all.size()]);
    modules::v1::Put put;
    put.set_key(fmt::format("{} {}", node_id, incarnation));
    put.set_value(absl::StrJoin(some, ","));
    self.Send(members_[i], wire::MessagePayload(put));
  }
}

std::string LinkPool::Stats() const {
  return fmt::format("{} {} {}", counts_->links.load(), counts_->fired.load(),
                     counts_->doubles.load());
}

size_t LinkPool::Linked(Runtime& runtime) const {
  struct Count {
    std::atomic<size_t> links{0};
    std::atomic<size_t> left{0};
  };
  const auto count = std::make_shared<Count>();
  count->left = members_.size();
  for (Pid member : members_) {
    runtime.Inspect(member, [count, linked = linked_](std::optional<ProcessSnapshot> process) {
      if (process) count->links += process->links.size();
      if (--count->left == 0) *linked = count->links.load();
    });
  }
  return *linked_;
}

Task<ExitReason> LinkPool::Member(Self& self, std::shared_ptr<Counts> counts) {
  std::set<Pid> fired;
  for (;;) {
    std::optional<Message> message = co_await self.Receive();
    if (message->is_exit()) {
      ++counts->fired;
      if (!fired.insert(message->from()).second) ++counts->doubles;
      continue;
    }
    absl::StatusOr<modules::v1::Put> put =
        wire::UnpackOrError<modules::v1::Put>(message->payload());
    if (!put.ok()) continue;
    Pid to;
    std::istringstream(put->key()) >> to.node_id >> to.incarnation;
    std::istringstream ids(put->value());
    for (std::string id; std::getline(ids, id, ',');) {
      to.id = std::stoull(id);
      fired.erase(to);
      self.Link(to);
      ++counts->links;
    }
  }
}

}  // namespace banyan::faults

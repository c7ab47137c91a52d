#include "server/rpc/tree_walk.h"

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/base/mutex.h"
#include "server/behaviours/supervisor_client.h"

namespace banyan::rpc {
namespace {

// One walk. Every branch writes only below its own TreeNode, whose address does not change.
class Walk : public std::enable_shared_from_this<Walk> {
 public:
  using Done = std::function<void(absl::StatusOr<v1::GetTreeResponse>)>;
  Walk(Runtime* runtime, OfNode node, uint32_t depth, Done done)
      : runtime_(runtime), node_(std::move(node)), depth_(depth), done_(std::move(done)) {}

  void Start(Pid top) {
    v1::TreeNode* root = tree_.mutable_root();
    wire::ToProto(top, node_.self, root->mutable_child()->mutable_pid());
    root->mutable_child()->set_type(v1::CHILD_TYPE_SUPERVISOR);
    root->mutable_child()->set_state(v1::CHILD_STATE_RUNNING);
    root->mutable_child()->set_node(node_.name);
    Visit(top, root, 0);
  }

 private:
  void Visit(Pid pid, v1::TreeNode* at, uint32_t level) {
    open_.fetch_add(1);
    SupervisorClient(pid).GetInfo(*runtime_, [self = shared_from_this(), pid, at,
                                              level](absl::StatusOr<SupervisorInfo> info) {
      if (!info.ok()) return self->Close(level == 0 ? info.status() : absl::OkStatus());
      EncodeSupervisor(pid, *info, self->node_, at->mutable_supervisor());
      if (level == 0) *at->mutable_child()->mutable_start_time() = at->supervisor().start_time();
      if (level == 0) at->mutable_child()->set_id(info->name);
      if (self->depth_ != 0 && level >= self->depth_) return self->Close(absl::OkStatus());
      self->Descend(pid, at, level);
    });
  }

  void Descend(Pid pid, v1::TreeNode* at, uint32_t level) {
    SupervisorClient(pid).WhichChildren(
        *runtime_,
        [self = shared_from_this(), at, level](absl::StatusOr<std::vector<ChildEntry>> all) {
          if (!all.ok()) return self->Close(level == 0 ? all.status() : absl::OkStatus());
          if (self->nodes_.fetch_add(static_cast<int>(all->size())) +
                  static_cast<int>(all->size()) >
              kTreeNodesMax) {
            return self->Close(MakeError(
                "TREE_TOO_LARGE",
                fmt::format("the tree has more than {} processes: list its levels", kTreeNodesMax),
                {{"limit", fmt::format("{}", kTreeNodesMax)}}));
          }
          for (auto it = all->rbegin(); it != all->rend(); ++it) {
            v1::TreeNode* below = at->add_children();
            EncodeChild(*it, self->node_, false, below->mutable_child());
            const bool supervisor = it->spec != nullptr && it->spec->type == ChildType::kSupervisor;
            if (supervisor && it->state == ChildState::kRunning)
              self->Visit(it->pid, below, level + 1);
          }
          self->Close(absl::OkStatus());
        });
  }

  void Close(absl::Status status) {
    if (!status.ok()) {
      MutexLock lock(&mu_);
      error_ = std::move(status);
    }
    if (open_.fetch_sub(1) != 1) return;
    absl::Status error;
    {
      MutexLock lock(&mu_);
      error = error_;
    }
    error.ok() ? done_(std::move(tree_)) : done_(error);
  }

  Runtime* const runtime_;
  const OfNode node_;
  const uint32_t depth_;
  const Done done_;
  v1::GetTreeResponse tree_;
  std::atomic<int> open_{0};
  std::atomic<int> nodes_{0};
  Mutex mu_;
  absl::Status error_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

void WalkTree(Runtime* runtime, OfNode node, Pid top, uint32_t depth,
              std::function<void(absl::StatusOr<v1::GetTreeResponse>)> done) {
  std::make_shared<Walk>(runtime, std::move(node), depth, std::move(done))->Start(top);
}

}  // namespace banyan::rpc

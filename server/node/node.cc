#include "server/node/node.h"

#include <charconv>

#include "server/node/node_core.h"

namespace banyan {

Node::Node(Deps deps, NodeOptions options, Hooks hooks)
    : core_(std::make_shared<Core>(deps, std::move(options), std::move(hooks))) {}

Node::~Node() { core_->deps.runtime->SetRouter(nullptr); }

void Node::Start() {
  core_->Post([](Core& core) { core.Start(); });
}
void Node::Stop(absl::Duration deadline, std::function<void()> done) {
  core_->Post([deadline, done = std::move(done)](Core& core) { core.Stop(deadline, done); });
}

const NodeOptions& Node::options() const { return core_->options; }
wire::NodeIdentity Node::identity() const { return core_->identity(); }
std::shared_ptr<const ClusterView> Node::view() const { return core_->view(); }
bool Node::draining() const { return core_->draining(); }
v1::NodeInfo Node::Info() const { return core_->Info(); }
v1::NodeLoad Node::Load() const { return core_->Load(); }
std::vector<std::string> Node::coordinators() const { return core_->coordinators(); }
std::optional<ClusterView::Member> Node::FindNode(const std::string& node) const {
  const std::shared_ptr<const ClusterView> members = view();
  const ClusterView::Member* m = members->Find(node);
  if (!m) return std::nullopt;
  return *m;
}

void Node::ResolveTarget(Target target, Instant deadline,
                         std::function<void(absl::StatusOr<Resolved>)> done) {
  core_->Post([target = std::move(target), deadline, done = std::move(done)](Core& core) {
    core.Resolve(target, deadline, done);
  });
}
void Node::ForgetRoute(const std::string& name) {
  core_->Post([name](Core& core) { core.routes.Erase(name); });
}

void Node::RegisterName(std::string name, Pid pid, std::map<std::string, std::string> metadata,
                        bool exclusive, std::function<void(absl::StatusOr<v1::NameEntry>)> done) {
  core_->Post([name = std::move(name), pid, metadata = std::move(metadata), exclusive,
               done = std::move(done)](Core& core) {
    core.names.Request(name, pid, metadata, exclusive, done);
  });
}
void Node::UnregisterName(std::string name, Pid pid, std::function<void(bool)> done) {
  core_->Post([name = std::move(name), pid, done = std::move(done)](Core& core) {
    done(core.names.Release(name, pid));
  });
}
void Node::ListHeldNames(std::function<void(std::vector<v1::NameEntry>)> done) {
  core_->Post([done = std::move(done)](Core& core) {
    std::vector<v1::NameEntry> out;
    for (const auto& [name, held] : core.names.held()) out.push_back(held.entry);
    for (const auto& [path, child] : core.children.children()) {
      if (child.name.empty() || !child.pid.valid()) continue;
      v1::NameEntry& entry = out.emplace_back();
      entry.set_name(child.name);
      entry.set_reg_version(child.reg_version);
      entry.set_child_name(true);
      wire::ToProto(child.pid, core.identity(), entry.mutable_pid());
    }
    done(std::move(out));
  });
}

void Node::ListAssigned(std::function<void(std::vector<internal::v1::ChildStatus>)> done) {
  core_->Post([done = std::move(done)](Core& core) {
    std::vector<internal::v1::ChildStatus> out;
    for (const auto& [path, child] : core.children.children())
      core.children.AppendStatus(child, &out.emplace_back());
    done(std::move(out));
  });
}

SupervisorEvents* Node::supervisor_events() { return core_->events.get(); }
void Node::EventsEnd(std::function<void(uint64_t)> done) {
  core_->Post([done = std::move(done)](Core& core) { done(core.events->end()); });
}
void Node::NextEvents(uint64_t after, size_t max, Instant deadline,
                      std::function<void(NodeEvents)> done) {
  core_->Post([after, max, deadline, done = std::move(done)](Core& core) {
    core.events->Next(after, max, deadline, done);
  });
}

RoutedCalls& Node::calls() { return core_->calls; }

PeerRouter& Node::peers() { return core_->router; }

}  // namespace banyan

#include "server/rpc/actor_codec.h"

#include <algorithm>

#include "common/wire/time.h"

namespace banyan::rpc {
namespace {

constexpr size_t kLinksShown = 100;

v1::ActorState Encode(ProcessSnapshot::State state) {
  switch (state) {
    case ProcessSnapshot::State::kStarting:
      return v1::ACTOR_STATE_STARTING;
    case ProcessSnapshot::State::kWaiting:
      return v1::ACTOR_STATE_WAITING;
    case ProcessSnapshot::State::kRunning:
      return v1::ACTOR_STATE_RUNNING;
    case ProcessSnapshot::State::kSuspended:
      return v1::ACTOR_STATE_SUSPENDED;
    case ProcessSnapshot::State::kTerminating:
      return v1::ACTOR_STATE_TERMINATING;
    case ProcessSnapshot::State::kFrozen:
      return v1::ACTOR_STATE_FROZEN;
  }
  return v1::ACTOR_STATE_UNSPECIFIED;
}

}  // namespace

void EncodeActor(const ProcessSnapshot& in, const wire::NodeIdentity& self, const std::string& node,
                 v1::ActorInfo* out) {
  wire::ToProto(in.pid, self, out->mutable_pid());
  for (const std::string& name : in.names) out->add_names(name);
  out->set_module(in.module);
  out->set_state(Encode(in.state));
  if (in.parent.valid()) wire::ToProto(in.parent, self, out->mutable_parent());
  out->set_child_id(in.child_id);
  out->set_mailbox_length(in.mailbox_length);
  out->set_messages_handled(in.messages_handled);
  *out->mutable_start_time() = wire::ToProto(in.start_time);
  for (size_t i = 0; i < std::min(in.links.size(), kLinksShown); ++i) {
    wire::ToProto(in.links[i], self, out->add_links());
  }
  out->set_monitored_by_count(static_cast<uint32_t>(in.monitored_by));
  out->set_trap_exit(in.trap_exit);
  out->set_node(node);
  out->set_fence(in.fence);
}

}  // namespace banyan::rpc

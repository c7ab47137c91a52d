#include "common/wire/payload.h"
#include "common/wire/time.h"
#include "server/wire/child_spec.h"
#include "server/wire/placement.h"

namespace banyan::wire {
namespace {

void EncodeShutdown(const ShutdownPolicy& in, v1::ShutdownPolicy* out) {
  if (in.brutal_kill) {
    out->mutable_brutal_kill();
  } else if (in.timeout == absl::InfiniteDuration()) {
    out->mutable_infinity();
  } else {
    *out->mutable_timeout() = ToProto(in.timeout);
  }
}

void EncodeBackoff(const RestartBackoff& in, v1::RestartBackoff* out) {
  *out->mutable_initial() = ToProto(in.initial);
  *out->mutable_max() = ToProto(in.max);
  out->set_multiplier(in.multiplier);
  *out->mutable_reset_after() = ToProto(in.reset_after);
}

// A local value leaves an empty payload, so that the others keep their places.
void EncodeArgs(const std::vector<Payload>& in,
                google::protobuf::RepeatedPtrField<v1::Payload>* out) {
  for (const Payload& arg : in) (void)ToProto(arg, out->Add());
}

}  // namespace

void EncodeStartSpec(const StartSpec& in, v1::StartSpec* out) {
  out->Clear();
  out->set_module(in.module);
  EncodeArgs(in.args, out->mutable_args());
  out->set_name(in.name);
  if (in.start_timeout != absl::InfiniteDuration()) {
    *out->mutable_start_timeout() = ToProto(in.start_timeout);
  }
  if (in.mailbox.max_messages) out->mutable_mailbox()->set_max_messages(*in.mailbox.max_messages);
  out->mutable_mailbox()->set_overflow(static_cast<v1::MailboxSpec::Overflow>(in.mailbox.overflow));
}

void EncodeChildSpec(const ChildSpec& in, v1::ChildSpec* out) {
  out->Clear();
  out->set_id(in.id);
  if (in.supervisor) {
    EncodeSupervisorSpec(*in.supervisor, out->mutable_supervisor());
  } else {
    EncodeStartSpec(in.start, out->mutable_start());
  }
  out->set_restart(static_cast<v1::RestartType>(in.restart));
  if (in.shutdown) EncodeShutdown(*in.shutdown, out->mutable_shutdown());
  out->set_type(static_cast<v1::ChildType>(in.type));
  out->set_significant(in.significant);
  if (in.has_placement) EncodePlacement(in.placement, out->mutable_placement());
  out->mutable_labels()->insert(in.labels.begin(), in.labels.end());
  if (in.restart_backoff) EncodeBackoff(*in.restart_backoff, out->mutable_restart_backoff());
  out->set_exclusivity(static_cast<v1::Exclusivity>(in.exclusivity));
  out->set_overrun(static_cast<v1::Overrun>(in.overrun));
  out->set_reconcile(static_cast<v1::Reconcile>(in.reconcile));
  out->set_movable(in.movable);
  out->set_hand_off(in.hand_off);
  out->mutable_resources()->insert(in.resources.begin(), in.resources.end());
}

void EncodeSupervisorSpec(const SupervisorSpec& in, v1::SupervisorSpec* out) {
  out->Clear();
  out->set_strategy(static_cast<v1::SupervisorSpec::Strategy>(in.flags.strategy));
  out->set_intensity(in.flags.intensity);
  *out->mutable_period() = ToProto(in.flags.period);
  out->set_auto_shutdown(static_cast<v1::SupervisorSpec::AutoShutdown>(in.flags.auto_shutdown));
  for (const ChildSpec& child : in.children) EncodeChildSpec(child, out->add_children());
  if (in.child_template) EncodeChildSpec(*in.child_template, out->mutable_child_template());
  if (in.has_default_placement) {
    EncodePlacement(in.default_placement, out->mutable_default_placement());
  }
  EncodePlacement(in.placement, out->mutable_placement());
  out->mutable_labels()->insert(in.labels.begin(), in.labels.end());
  if (in.max_unavailable) out->set_max_unavailable(*in.max_unavailable);
  out->set_parallel_stop(in.parallel_stop);
  if (in.flags.max_children) out->set_max_children(*in.flags.max_children);
  EncodeArgs(in.extra_arguments, out->mutable_extra_arguments());
}

}  // namespace banyan::wire

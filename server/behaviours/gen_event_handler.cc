#include "server/behaviours/gen_event_handler.h"

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/error.h"
#include "server/behaviours/host.h"

namespace banyan {

std::string FormatHandlerId(const HandlerId& id) {
  return id.id.empty() ? id.module : fmt::format("{{{},{}}}", id.module, id.id);
}

Task<EventHandler::Result> EventHandler::HandleInfo(const Message& message) {
  if (ProcessReports* reports = HostOf(self().runtime()).reports) {
    reports->OnWarning(self().pid(), id_.module,
                       fmt::format("unexpected message {} dropped", message.payload().type_name()));
  }
  return Result(Ok());
}

EventHandler::CallResult EventHandler::Reply(absl::StatusOr<Payload> reply, Result then) {
  if (!reply.ok()) reply = MarkAnswered(reply.status());
  return {std::move(reply), std::move(then)};
}

EventHandler::CallResult EventHandler::NotHandled(const Payload& request) {
  std::string type(request.type_name());
  return {MakeError("CALL_NOT_HANDLED", "this event handler does not know such a request",
                    {{"type", type}}),
          Okay()};
}

absl::StatusOr<Payload> EventHandler::GetState() {
  return MakeError("STATE_NOT_ACCESSIBLE", "this handler does not show its state");
}
absl::Status EventHandler::ReplaceState(const Payload& state) {
  return MakeError("STATE_NOT_ACCESSIBLE", "this handler does not let its state be replaced");
}
Task<absl::Status> EventHandler::OnCodeChange(Payload state, CodeChange change) {
  return MakeError("CODE_CHANGE_UNSUPPORTED", "this handler does not support code changes");
}

EventHandlers& EventHandlers::AddFactory(std::string module, Factory make) {
  const bool inserted = factories_.try_emplace(std::move(module), std::move(make)).second;
  BANYAN_CHECK(inserted);
  return *this;
}

const EventHandlers::Factory* EventHandlers::Find(std::string_view module) const {
  auto it = factories_.find(module);
  return it == factories_.end() ? nullptr : &it->second;
}

}  // namespace banyan

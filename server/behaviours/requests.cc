#include "server/behaviours/requests.h"

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/runtime/call_error.h"
#include "server/runtime/runtime.h"

namespace banyan {
namespace {

bool IsResponse(const Message& m, Ref ref) {
  return (m.is_reply() || m.is_down()) && m.ref() == ref;
}

}  // namespace

std::optional<Pid> FindServer(const Self& self, const ServerRef& server) {
  if (const Pid* pid = std::get_if<Pid>(&server)) return *pid;
  if (const NameAt* at = std::get_if<NameAt>(&server)) return self.AddressOf(*at);
  return self.runtime().Whereis(std::get<std::string>(server));
}

RequestId SendRequest(Self& self, ServerRef server, Payload request) {
  if (std::optional<Pid> pid = FindServer(self, server)) {
    Ref ref = self.SendRequestToMailbox(*pid, std::move(request));
    return {ref, std::move(server), *pid};
  }
  const std::string& name = std::get<std::string>(server);
  const Ref ref = self.OpenAliasToMailbox();
  self.Refuse({self.pid(), ref, {}},
              MakeError("NAME_NOT_REGISTERED",
                        fmt::format("no process is registered as \"{}\"", name), {{"name", name}}));
  return {ref, std::move(server), {}};
}

std::optional<Response> CheckResponse(const Message& m, const RequestId& id) {
  if (!IsResponse(m, id.ref)) return std::nullopt;
  CallReply reply;
  if (m.is_reply()) {
    reply = {CallReply::Outcome::kReply, m.status(), m.payload(), {}, m.from()};
  } else {
    reply = {CallReply::Outcome::kDown, {}, {}, m.reason(), m.from()};
  }
  return ToCallResult(std::move(reply), id.pid, absl::ZeroDuration());
}

Task<std::optional<Response>> WaitResponse(Self& self, RequestId id, Instant deadline) {
  std::optional<Message> message = co_await self.ReceiveIf(
      [ref = id.ref](const Message& m) { return IsResponse(m, ref); }, deadline);
  if (!message) co_return std::nullopt;
  co_return CheckResponse(*message, id);
}

Task<std::optional<Response>> ReceiveResponse(Self& self, RequestId id, Instant deadline) {
  std::optional<Response> response = co_await WaitResponse(self, id, deadline);
  if (!response) AbandonRequest(self, id);
  co_return response;
}

void AbandonRequest(Self& self, const RequestId& id) {
  self.CloseAlias(id.ref);
  self.TakeIf([ref = id.ref](const Message& m) { return IsResponse(m, ref); });
}

}  // namespace banyan

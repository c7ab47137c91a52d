#include "server/behaviours/multi_call.h"

#include "server/runtime/call_error.h"

namespace banyan {

Task<MultiCallResult> MultiCall(Self& self, std::vector<ServerRef> servers, Payload request,
                                absl::Duration timeout) {
  const Instant deadline =
      timeout == absl::InfiniteDuration() ? Instant::Infinite() : self.Now() + timeout;
  RequestIds<size_t> waiting;  // by position in `servers`
  for (size_t i = 0; i < servers.size(); ++i) waiting.Send(self, servers[i], request, i);
  std::vector<Response> responses(servers.size(), Payload());
  while (!waiting.empty()) {
    RequestIds<size_t>::Result r = co_await waiting.Receive(self, deadline);
    if (r.kind == RequestIds<size_t>::Result::Kind::kTimeout) break;
    responses[r.label] = std::move(r.response);
  }
  for (const auto& [id, i] : waiting.List()) {
    responses[i] = ToCallResult({CallReply::Outcome::kTimeout, {}, {}, {}, {}}, id.pid, timeout);
  }
  MultiCallResult result;
  for (size_t i = 0; i < servers.size(); ++i) {
    if (responses[i].ok()) {
      result.replies.emplace_back(std::move(servers[i]), *std::move(responses[i]));
    } else {
      result.bad.emplace_back(std::move(servers[i]), responses[i].status());
    }
  }
  co_return result;
}

void AbCast(Self& self, const std::vector<ServerRef>& servers, const Payload& request) {
  for (const ServerRef& server : servers) {
    if (std::optional<Pid> pid = FindServer(self, server)) self.Cast(*pid, request);
  }
}

}  // namespace banyan

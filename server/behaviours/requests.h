#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

#include "server/runtime/self.h"

// Asynchronous requests (gen_server:send_request and its companions): a process sends any number of
// requests and goes on; their responses come into its mailbox, where it waits for one, for the
// first of many, or finds them among its other messages.
//
//   RequestId id = SendRequest(self(), "db", query);            // in some callback
//   ...
//   Task<Result> HandleInfo(Message m) override {               // later
//     if (std::optional<Response> r = CheckResponse(m, id)) ...
//
// To the server it is an ordinary call.

namespace banyan {

// Whom something is for: a process, of any node; a name of this node, looked up at the send; or a
// name of any node, looked up there.
using ServerRef = std::variant<Pid, std::string, NameAt>;
// Who that is now; nullopt: nobody has the name on this node.
std::optional<Pid> FindServer(const Self& self, const ServerRef& server);

// A request that was sent. A value; only the process that sent it can collect its response.
struct RequestId {
  Ref ref = 0;
  ServerRef server;
  Pid pid;  // what `server` was; invalid for a name that nobody had
  friend bool operator==(const RequestId& a, const RequestId& b) { return a.ref == b.ref; }
};

// {reply,Reply} or {error,_}: the server's own error, or NOPROC, NAME_NOT_REGISTERED, NOCONNECTION,
// NOT_DELIVERED, CALLEE_EXITED with the server's exit reason.
using Response = absl::StatusOr<Payload>;

// Never fails: that nobody is there is a response too.
RequestId SendRequest(Self& self, ServerRef server, Payload request);
// The response; nullopt at `deadline`, which abandons the request: its response will never come.
Task<std::optional<Response>> ReceiveResponse(Self& self, RequestId id,
                                              Instant deadline = Instant::Infinite());
// The same, but after nullopt the request can be waited for again.
Task<std::optional<Response>> WaitResponse(Self& self, RequestId id,
                                           Instant deadline = Instant::Infinite());
// What `message` says about `id`; nullopt: it is another message.
std::optional<Response> CheckResponse(const Message& message, const RequestId& id);
// Nobody wants the response any more; one that is in the mailbox is taken out.
void AbandonRequest(Self& self, const RequestId& id);

// Requests on their way, each with a label of the user's (OTP's request id collection): whose
// response comes first? A plain value; copies are independent and wait for the same responses.
template <typename Label>
class RequestIds {
 public:
  struct Result {
    enum class Kind : uint8_t {
      kResponse,
      kTimeout,    // of Receive and Wait
      kNoReply,    // of Check: the message is no response to any of these
      kNoRequest,  // the collection is empty
    };
    Kind kind = Kind::kNoRequest;
    // Only with kResponse:
    Response response = Payload();
    RequestId id;
    Label label = {};
  };

  // False, and nothing changes: it is in there already.
  bool Add(RequestId id, Label label) {
    const Ref ref = id.ref;
    return entries_.try_emplace(ref, std::move(id), std::move(label)).second;
  }
  // Sends a request and adds it.
  RequestId Send(Self& self, ServerRef server, Payload request, Label label) {
    RequestId id = SendRequest(self, std::move(server), std::move(request));
    Add(id, std::move(label));
    return id;
  }
  size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  // In the order sent.
  std::vector<std::pair<RequestId, Label>> List() const {
    std::vector<std::pair<RequestId, Label>> out;
    for (const auto& [ref, entry] : entries_) out.push_back(entry);
    return out;
  }

  // The first response to come. `remove` takes its request out of the collection; otherwise it
  // stays listed, and later waits pass it over. A time-out of Receive abandons all requests, which
  // stay listed; one of Wait abandons none. This must outlive the wait.
  Task<Result> Receive(Self& self, Instant deadline = Instant::Infinite(), bool remove = true) {
    Result result = co_await Wait(self, deadline, remove);
    if (result.kind == Result::Kind::kTimeout) {
      for (const auto& [ref, entry] : entries_) AbandonRequest(self, entry.first);
    }
    co_return result;
  }
  Task<Result> Wait(Self& self, Instant deadline = Instant::Infinite(), bool remove = true) {
    if (empty()) co_return Result{};
    std::optional<Message> message = co_await self.ReceiveIf(
        [this](const Message& m) { return FindResponse(m) != entries_.end(); }, deadline);
    if (!message) co_return Result{Result::Kind::kTimeout};
    co_return Check(*message, remove);
  }
  Result Check(const Message& message, bool remove = true) {
    if (empty()) return {};
    auto it = FindResponse(message);
    if (it == entries_.end()) return {Result::Kind::kNoReply};
    const auto& [id, label] = it->second;
    Result result{Result::Kind::kResponse, *CheckResponse(message, id), id, label};
    if (remove) entries_.erase(it);
    return result;
  }

 private:
  using Entries = std::map<Ref, std::pair<RequestId, Label>>;  // refs rise
  typename Entries::iterator FindResponse(const Message& m) {
    return m.is_reply() || m.is_down() ? entries_.find(m.ref()) : entries_.end();
  }
  Entries entries_;
};

}  // namespace banyan

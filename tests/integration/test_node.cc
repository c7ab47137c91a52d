// banyand with modules for tests: `crasher`, whose code takes the whole process along when told to
// and answers "asked" with how many calls it had, and `counter`, which answers every call with how
// often it was called, in all its lives.
#include <csignal>
#include <cstdlib>
#include <string>
#include <tuple>

#include "google/protobuf/wrappers.pb.h"

#include "common/wire/payload.h"
#include "server/app/node_main.h"
#include "server/behaviours/gen_server.h"

namespace {

using namespace banyan;  // NOLINT: this file is about nothing else
using google::protobuf::Int64Value;
using google::protobuf::StringValue;

int Recurse(int depth) {
  volatile char page[4096] = {};
  page[0] = static_cast<char>(depth);
  return depth < 0 ? page[0] : Recurse(depth + 1) + page[0];
}

int Crash(const std::string& how) {
  if (how == "segv") {
    std::raise(SIGSEGV);
  } else if (how == "stack") {
    return Recurse(0);
  } else {
    std::abort();
  }
  return 0;
}

class Crasher : public GenServer {
 public:
  Task<InitResult> Init(std::vector<Payload>) override { co_return Ok(); }
  Task<CallResult> HandleCall(Payload request, CallFrom) override {
    absl::StatusOr<StringValue> how = wire::UnpackOrError<StringValue>(request);
    if (!how.ok()) co_return ReplyError(how.status());
    const std::string word = how->value();
    if (word == "wait" && context().restarts == 0) co_await self().Sleep(absl::Hours(1));
    ++asked_;
    if (word == "asked") co_return Reply(wire::MakePayload(StringValue(Asked())));
    if (word == "ask nobody") co_return ReplyError(co_await AskNobody());
    if (word == "blocking") co_await self().Blocking([] { return Crash("segv"); });
    co_return Reply(wire::MakePayload(StringValue(*how)));
  }
  Task<Result> HandleCast(Payload request) override {
    Crash(wire::UnpackOrError<StringValue>(request)->value());
    co_return NoReply();
  }

 private:
  StringValue Asked() const {
    StringValue value;
    value.set_value(std::to_string(asked_));
    return value;
  }
  Task<absl::Status> AskNobody() {
    const auto gone =
        self().Spawn([](Self&) -> Task<ExitReason> { co_return ExitReason::Normal(); }, {});
    std::ignore = co_await self().Call(gone->pid, {});
    co_return (co_await self().Call(gone->pid, {})).status();
  }
  int asked_ = 0;
};

class Counter : public GenServer {
 public:
  Task<InitResult> Init(std::vector<Payload>) override {
    self().SetTrapExit(true);
    if (context().hand_off.empty()) co_return Ok();
    absl::StatusOr<Int64Value> left = wire::UnpackOrError<Int64Value>(context().hand_off);
    if (!left.ok()) co_return Stop(ExitReason::Error("bad_hand_off"));
    count_ = left->value();
    co_return Ok();
  }
  Task<CallResult> HandleCall(Payload, CallFrom) override {
    ++count_;
    co_return Reply(Count());
  }
  Task<Result> HandleCast(Payload) override { co_return NoReply(); }
  Task<void> Terminate(ExitReason) override {
    if (context().leaves != nullptr) context().leaves->Set(Count());
    co_return;
  }

 private:
  Payload Count() const {
    Int64Value value;
    value.set_value(count_);
    return wire::MakePayload(std::move(value));
  }
  int64_t count_ = 0;
};

// Answers a call with what it was sent, in order: "c:" and a cast's word, "m:" and a message's. The
// word "sleep" makes it look at nothing more.
class Journal : public GenServer {
 public:
  Task<InitResult> Init(std::vector<Payload>) override { co_return Ok(); }
  Task<CallResult> HandleCall(Payload, CallFrom) override {
    StringValue value;
    value.set_value(lines_);
    co_return Reply(wire::MakePayload(std::move(value)));
  }
  Task<Result> HandleCast(Payload request) override { return Note("c:", request); }
  Task<Result> HandleInfo(Message message) override { return Note("m:", message.payload()); }

 private:
  Task<Result> Note(std::string kind, Payload what) {
    const std::string word = wire::UnpackOrError<StringValue>(what)->value();
    if (word == "sleep") co_await self().Sleep(absl::Hours(1));
    lines_ += kind + word + " ";
    co_return NoReply();
  }
  std::string lines_;
};

}  // namespace

int main(int argc, char** argv) {
  return NodeMain(argc, argv, [](Modules* modules) {
    modules->Add<Crasher>("crasher").Add<Counter>("counter").Add<Journal>("journal");
  });
}

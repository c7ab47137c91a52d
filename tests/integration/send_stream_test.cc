// SendStream on real servers: order, other nodes' processes, what cannot be delivered, and streams
// that end badly.
#include <csignal>
#include <thread>

#include "fmt/format.h"
#include "google/protobuf/wrappers.pb.h"
#include "grpcpp/generic/generic_stub.h"

#include "tests/integration/cluster_fixture.h"

namespace banyan::test {
namespace {

using ::google::protobuf::StringValue;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A stream, and what its answers have said so far.
class Stream {
 public:
  explicit Stream(Client& client) {
    context_.set_deadline(std::chrono::system_clock::now() + 2 * kPatience);
    stream_ = client.actors->SendStream(&context_);
  }
  ~Stream() {
    context_.TryCancel();
    if (!ended_) End();
  }
  uint64_t Send(const v1::Target& target, const std::string& word, bool cast = false) {
    v1::SendStreamRequest message;
    message.set_seq(++last_);
    *message.mutable_target() = target;
    StringValue value;
    value.set_value(word);
    message.mutable_payload()->mutable_value()->PackFrom(value);
    message.set_cast(cast);
    Write(message);
    return last_;
  }
  bool Write(const v1::SendStreamRequest& message) { return stream_->Write(message); }
  void WritesDone() { stream_->WritesDone(); }
  void Cancel() { context_.TryCancel(); }
  // False: the stream is over.
  bool Read() {
    v1::SendStreamResponse response;
    if (!stream_->Read(&response)) return false;
    EXPECT_GE(response.accepted_seq(), accepted_);
    accepted_ = response.accepted_seq();
    for (const v1::SendFailure& failure : response.failures()) {
      EXPECT_TRUE(failures_.emplace(failure.seq(), failure.reason()).second) << failure.seq();
    }
    return true;
  }
  bool AwaitAccepted(uint64_t seq) {
    while (accepted_ < seq) {
      if (!Read()) return false;
    }
    return true;
  }
  // Reads to the end.
  Outcome End() {
    ended_ = true;
    while (Read()) continue;
    return OutcomeOf(stream_->Finish());
  }
  uint64_t accepted() const { return accepted_; }
  const std::map<uint64_t, std::string>& failures() const { return failures_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::SendStreamRequest, v1::SendStreamResponse>> stream_;
  uint64_t last_ = 0;
  uint64_t accepted_ = 0;
  std::map<uint64_t, std::string> failures_;
  bool ended_ = false;
};

// Two nodes, with a journal on each: "on-n1" and "on-n2".
class SendStream : public ClusterTest {
 protected:
  void SetUp() override {
    node_program_ = TEST_NODE_PATH;
    StartCluster(2);
    std::vector<v1::ChildSpec> children;
    for (const char* node : {"n1", "n2"}) {
      v1::ChildSpec child = KvChild(node, std::string("on-") + node);
      child.mutable_start()->set_module("journal");
      child.set_restart(v1::RESTART_TYPE_TEMPORARY);
      child.mutable_placement()->set_node(node);
      children.push_back(child);
    }
    StartSupervisor("journals", v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE, children);
    for (const auto& [id, child] : Children("journals")) {
      ASSERT_EQ(child.node(), id);
      *pids_[id].mutable_pid() = child.pid();
    }
  }
  std::vector<std::string> servers() {
    return {coordinator().address(), node("n1").address(), node("n2").address()};
  }
  v1::Target ByPid(const std::string& node) { return pids_.at(node); }
  static std::string Journal(Client& client, const v1::Target& target) {
    StringValue reply;
    const Outcome outcome = client.Call(target, StringValue(), &reply);
    EXPECT_TRUE(outcome.ok()) << outcome;
    return reply.value();
  }
  // A journal that no supervisor has.
  v1::Target Spawned(const std::string& node, uint32_t mailbox = 0) {
    Client c = client(node);
    v1::SpawnRequest request;
    v1::SpawnResponse response;
    request.mutable_start()->set_module("journal");
    if (mailbox > 0) request.mutable_start()->mutable_mailbox()->set_max_messages(mailbox);
    const Outcome outcome = Client::Do(c.actors, &v1::Actors::Stub::Spawn, request, &response);
    EXPECT_TRUE(outcome.ok()) << outcome;
    v1::Target target;
    *target.mutable_pid() = response.pid();
    return target;
  }
  v1::Target Dead(const std::string& node) {
    const v1::Target target = Spawned(node);
    Client c = client(node);
    v1::ExitRequest request;
    v1::ExitResponse response;
    *request.mutable_target() = target;
    request.set_wait(true);
    EXPECT_TRUE(Client::Do(c.actors, &v1::Actors::Stub::Exit, request, &response).ok());
    return target;
  }

  std::map<std::string, v1::Target> pids_;
};

// Whatever the target's form: a name that must be looked up, a place, a pid that is known at once.
TEST_F(SendStream, MessagesToAProcessArriveInOrderFromEveryServer) {
  std::map<std::string, std::string> expected;
  int n = 0;
  for (const std::string& address : servers()) {
    SCOPED_TRACE(address);
    Client c(address);
    Stream stream(c);
    for (int i = 0; i < 300; ++i) {
      for (const char* node : {"n1", "n2"}) {
        const std::vector<v1::Target> forms = {Named(std::string("on-") + node),
                                               ChildAt("journals", node), ByPid(node)};
        const bool cast = i % 2 == 0;
        const std::string word = std::to_string(++n);
        stream.Send(forms[static_cast<size_t>(i) % 3], word, cast);
        expected[node] += (cast ? "c:" : "m:") + word + " ";
      }
    }
    stream.WritesDone();
    const Outcome outcome = stream.End();
    EXPECT_TRUE(outcome.ok()) << outcome;
    EXPECT_EQ(stream.accepted(), 600u);
    EXPECT_THAT(stream.failures(), IsEmpty());
    // What is confirmed is in the mailbox: no wait is needed.
    for (const char* node : {"n1", "n2"}) EXPECT_EQ(Journal(c, ByPid(node)), expected[node]);
  }
}

TEST_F(SendStream, WhatCannotBeDeliveredIsReportedAndTheRestArrives) {
  const v1::Target full = Spawned("n2", 5);
  v1::Target group;
  group.mutable_group()->set_group("nobody");
  v1::Target former = ByPid("n2");
  former.mutable_pid()->set_incarnation(former.pid().incarnation() + 1);
  int n = 0;
  std::string expected;
  bool asleep = false;
  for (const std::string& address : servers()) {
    SCOPED_TRACE(address);
    Client c(address);
    Stream stream(c);
    std::map<uint64_t, std::string> failures;
    failures[stream.Send(Dead("n1"), "x")] = "NOPROC";
    failures[stream.Send(Dead("n2"), "x")] = "NOPROC";
    failures[stream.Send(Named("unknown"), "x")] = "NAME_NOT_REGISTERED";
    failures[stream.Send(group, "x")] = "GROUP_EMPTY";
    failures[stream.Send(ChildAt("journals", "n3"), "x")] = "CHILD_NOT_FOUND";
    failures[stream.Send(former, "x")] = "NOPROC";
    stream.Send(Named("on-n2"), std::to_string(++n));
    expected += fmt::format("m:{} ", n);
    stream.WritesDone();
    const Outcome outcome = stream.End();
    EXPECT_TRUE(outcome.ok()) << outcome;
    EXPECT_EQ(stream.accepted(), 7u);
    EXPECT_EQ(stream.failures(), failures);
    EXPECT_EQ(Journal(c, ByPid("n2")), expected);

    Stream flood(c);
    if (!std::exchange(asleep, true)) flood.Send(full, "sleep");
    for (int i = 0; i < 20; ++i) flood.Send(full, "x");
    flood.WritesDone();
    EXPECT_TRUE(flood.End().ok());
    EXPECT_GE(flood.failures().size(), 15u);
    for (const auto& [seq, reason] : flood.failures()) EXPECT_EQ(reason, "MAILBOX_FULL");
  }
}

TEST_F(SendStream, AnAcknowledgedCastToAFullMailboxFails) {
  const v1::Target full = Spawned("n2", 3);
  Client asleep = client("n2");
  {
    Stream stream(asleep);
    stream.Send(full, "sleep");
    for (int i = 0; i < 10; ++i) stream.Send(full, "x");
    stream.WritesDone();
    EXPECT_TRUE(stream.End().ok());
  }
  for (const std::string& address : servers()) {
    Client c(address);
    v1::CastRequest cast;
    v1::CastResponse response;
    *cast.mutable_target() = full;
    cast.set_ack(v1::ACK_ENQUEUED);
    Outcome outcome = Client::Do(c.actors, &v1::Actors::Stub::Cast, cast, &response);
    // There is room once more when it has taken the word that it falls asleep at.
    if (outcome.ok()) outcome = Client::Do(c.actors, &v1::Actors::Stub::Cast, cast, &response);
    EXPECT_EQ(outcome.reason, "MAILBOX_FULL") << address << ": " << outcome;
  }
}

// What was taken before the bad message has arrived, and the error says how far that goes.
TEST_F(SendStream, ABadMessageEndsTheStreamAndSaysWhatWasTaken) {
  std::string expected;
  for (const std::string& address : servers()) {
    SCOPED_TRACE(address);
    Client c(address);
    v1::SendStreamRequest fine;
    fine.set_seq(3);
    *fine.mutable_target() = Named("on-n2");
    v1::SendStreamRequest gap = fine, again = fine, nobody = fine, pid = fine, type = fine,
                          large = fine;
    gap.set_seq(4);
    again.set_seq(2);
    nobody.clear_target();
    pid.mutable_target()->mutable_pid();
    type.mutable_payload()->mutable_value()->set_type_url("no slash");
    large.mutable_payload()->mutable_value()->set_type_url("t/x");
    large.mutable_payload()->mutable_value()->set_value(std::string((4 << 20) + 1, 'x'));
    const std::vector<std::tuple<v1::SendStreamRequest, std::string, std::string>> cases = {
        {gap, "REQUEST_INVALID", "seq"},
        {again, "REQUEST_INVALID", "seq"},
        {nobody, "TARGET_INVALID", "target"},
        {pid, "TARGET_INVALID", "target.pid"},
        {type, "PAYLOAD_INVALID", "payload.value.type_url"},
        {large, "PAYLOAD_TOO_LARGE", ""}};
    for (const auto& [bad, reason, field] : cases) {
      Stream stream(c);
      stream.Send(Named("on-n2"), "a");
      stream.Send(Named("on-n2"), "b");
      expected += "m:a m:b ";
      stream.Write(bad);
      const Outcome outcome = stream.End();
      EXPECT_EQ(outcome.reason, reason) << outcome;
      if (!field.empty()) {
        EXPECT_THAT(outcome.fields, ElementsAre(field));
      } else {
        EXPECT_EQ(outcome.metadata.at("field"), "payload");
      }
      EXPECT_EQ(outcome.metadata.at("acceptedSeq"), "2");
      EXPECT_EQ(outcome.metadata.at("outcome"), "not_executed");
      EXPECT_EQ(stream.accepted(), 2u);
      EXPECT_EQ(Journal(c, ByPid("n2")), expected);
    }
  }
}

TEST_F(SendStream, BytesThatAreNoMessageAreAnErrorAndNoOrderlyEnd) {
  for (const std::string& address : servers()) {
    SCOPED_TRACE(address);
    Client c(address);
    for (const size_t size : {size_t{3}, size_t{6} << 20}) {
      grpc::CompletionQueue queue;
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + kPatience);
      grpc::GenericStub stub(c.channel);
      auto call = stub.PrepareCall(&context, "/banyan.v1.Actors/SendStream", &queue);
      void* tag = nullptr;
      bool ok = false;
      call->StartCall(nullptr);
      queue.Next(&tag, &ok);
      grpc::Slice slice(std::string(size, '\xff'));
      call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
      queue.Next(&tag, &ok);
      grpc::Status status;
      call->Finish(&status, nullptr);
      queue.Next(&tag, &ok);
      if (size < 100) {
        EXPECT_EQ(OutcomeOf(status).reason, "REQUEST_INVALID") << status.error_message();
      } else {
        EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED)
            << "the transport's own limit: " << status.error_message();
      }
    }
  }
}

// Only what was confirmed must have arrived, and nothing out of order.
TEST_F(SendStream, AClientThatGoesLosesNothingThatWasConfirmed) {
  for (const std::string& address : servers()) {
    SCOPED_TRACE(address);
    const v1::Target target = Spawned("n2");
    uint64_t accepted = 0;
    {
      Client c(address);
      Stream stream(c);
      for (int i = 1; i <= 500; ++i) {
        stream.Send(target, std::to_string(i));
        if (i == 250) {
          ASSERT_TRUE(stream.AwaitAccepted(200));
        }
      }
      accepted = stream.accepted();
      stream.Cancel();
    }
    Client c = client("n2");
    const std::string journal = Journal(c, target);
    std::string expected;
    for (uint64_t i = 1; i <= accepted; ++i) expected += fmt::format("m:{} ", i);
    EXPECT_THAT(journal, ::testing::StartsWith(expected));
    for (uint64_t i = accepted + 1; i <= 500 && expected.size() < journal.size(); ++i)
      expected += fmt::format("m:{} ", i);
    EXPECT_EQ(journal.substr(0, expected.size()), expected.substr(0, journal.size()));
  }
}

// More than a thousand, none of whose answers is read before the last is written.
TEST_F(SendStream, AClientThatReadsLateIsWaitedFor) {
  for (const std::string& address : servers()) {
    SCOPED_TRACE(address);
    const v1::Target target = Spawned("n2");
    Client c(address);
    Stream stream(c);
    std::string expected;
    for (int i = 1; i <= 5000; ++i) {
      stream.Send(target, std::to_string(i), true);
      expected += fmt::format("c:{} ", i);
    }
    stream.WritesDone();
    const Outcome outcome = stream.End();
    EXPECT_TRUE(outcome.ok()) << outcome;
    EXPECT_EQ(stream.accepted(), 5000u);
    EXPECT_THAT(stream.failures(), IsEmpty());
    EXPECT_EQ(Journal(c, target), expected);
  }
}

TEST_F(SendStream, ANodeThatIsKilledFailsItsMessagesAndNoOthers) {
  for (const std::string& address : {coordinator().address(), node("n1").address()}) {
    SCOPED_TRACE(address);
    const std::string victim = address == coordinator().address() ? "v1" : "v2";
    StartNode(victim);
    ASSERT_TRUE(AwaitNodes([&] { return StateOf(victim) == v1::NODE_STATE_ACTIVE; }));
    const v1::Target doomed = Spawned(victim);
    const v1::Target other = Spawned("n1");
    Client c(address);
    Stream stream(c);
    for (int i = 1; i <= 100; ++i) stream.Send(doomed, "x");
    ASSERT_TRUE(stream.AwaitAccepted(100));
    EXPECT_THAT(stream.failures(), IsEmpty());
    node(victim).Signal(SIGKILL);
    std::set<uint64_t> lost;
    std::string expected;
    uint64_t last = 0;
    const auto send = [&] {
      lost.insert(stream.Send(doomed, "x"));
      last = stream.Send(other, std::to_string(lost.size()));
      expected += fmt::format("m:{} ", lost.size());
    };
    // It may be a moment until the end is known.
    while (stream.failures().empty()) {
      send();
      ASSERT_TRUE(stream.AwaitAccepted(last));
    }
    for (int i = 0; i < 10; ++i) send();
    stream.WritesDone();
    const Outcome outcome = stream.End();
    EXPECT_TRUE(outcome.ok()) << outcome;
    EXPECT_EQ(stream.accepted(), last);
    for (const auto& [seq, reason] : stream.failures()) {
      EXPECT_TRUE(lost.contains(seq)) << seq;
      EXPECT_THAT(reason, ::testing::AnyOf("NOCONNECTION", "NOT_DELIVERED", "NOPROC"));
    }
    EXPECT_TRUE(stream.failures().contains(last - 1));
    EXPECT_EQ(Journal(c, other), expected);
  }
}

TEST_F(SendStream, ANodeThatStopsEndsItsStreams) {
  Client c = client("n1");
  v1::StopSupervisorRequest stop;
  v1::StopSupervisorResponse stopped;
  *stop.mutable_supervisor() = Named("journals");
  // Its children must be on their nodes, which would hold up the end.
  ASSERT_TRUE(
      Client::Do(c.supervisors, &v1::Supervisors::Stub::StopSupervisor, stop, &stopped).ok());
  const v1::Target here = Spawned("n1"), there = Spawned("n2");
  Stream stream(c);
  stream.Send(here, "x");
  stream.Send(there, "x");
  ASSERT_TRUE(stream.AwaitAccepted(2));
  node("n1").SignalFirst(SIGTERM);
  std::thread sender([&] {
    v1::SendStreamRequest message;
    *message.mutable_target() = there;
    for (uint64_t seq = 3;; ++seq) {
      message.set_seq(seq);
      if (!stream.Write(message)) return;
    }
  });
  const Outcome outcome = stream.End();
  EXPECT_FALSE(outcome.ok());
  sender.join();
  EXPECT_EQ(node("n1").WaitForExit(), 0) << node("n1").output();
}

}  // namespace
}  // namespace banyan::test

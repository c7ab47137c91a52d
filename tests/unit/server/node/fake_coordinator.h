#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "banyan/internal/v1/membership.pb.h"
#include "common/base/error.h"
#include "common/time/random.h"
#include "common/time/virtual_time.h"
#include "common/wire/time.h"
#include "server/behaviours/gen_server.h"
#include "server/behaviours/module.h"
#include "server/node/node.h"
#include "tests/support/sim_transport.h"
#include "tests/support/text.h"

namespace banyan::testing {

// A coordinator that does what the test says: acknowledges heartbeats, greets, keeps what it is
// sent.
class FakeCoordinator {
 public:
  FakeCoordinator(VirtualTime* time, SimNetwork* network) : transport(network, "c:1", time) {
    transport.Listen(StreamKind::kControl,
                     [this](std::unique_ptr<Stream> s) { return Accept(std::move(s), false); });
    transport.Listen(StreamKind::kLease,
                     [this](std::unique_ptr<Stream> s) { return Accept(std::move(s), true); });
  }

  void Send(const internal::v1::ControlResponse& frame) {
    if (control) control->stream->Write(frame.SerializeAsString());
  }
  internal::v1::Command NewCommand(std::vector<std::string> path, uint64_t fence) {
    internal::v1::Command c;
    c.set_epoch(epoch);
    c.set_control_session(session);
    c.set_command_seq(++command_seq);
    for (std::string& p : path) c.add_path(std::move(p));
    c.set_fence(fence);
    return c;
  }
  void SendCommand(internal::v1::Command c) {
    internal::v1::ControlResponse r;
    *r.mutable_command() = std::move(c);
    Send(r);
  }
  void AckReports() {
    internal::v1::ControlResponse r;
    r.mutable_report_ack()->set_up_to(reports.empty() ? 0 : reports.back().seq());
    Send(r);
  }
  // As at the end of a drain, or of one that has come to nothing.
  void LetLeave(bool at_once) {
    internal::v1::Command cmd = NewCommand({}, 0);
    cmd.mutable_set_drain()->set_draining(true);
    cmd.mutable_set_drain()->set_then_leave(true);
    if (at_once) *cmd.mutable_set_drain()->mutable_deadline() = wire::ToProto(absl::Seconds(5));
    SendCommand(cmd);
  }
  void EndControl(absl::Status status) {
    if (control) control->stream->Close(std::move(status));
  }
  static absl::Status Dead() {
    return WithErrorInfo(absl::AbortedError("dead"), {.reason = "DEAD"});
  }

  std::string store_id = "store";
  uint64_t revision = 0;
  bool keep_all = false;
  uint64_t features = 0;
  bool greet = true;
  bool ack = true;
  uint32_t epoch = 1;
  uint32_t session = 0;
  uint64_t command_seq = 0;
  uint32_t incarnation = 1;
  std::vector<internal::v1::Hello> hellos;
  std::vector<internal::v1::ResyncChunk> chunks;  // of the last resync
  int resyncs = 0;
  std::vector<internal::v1::Report> reports;
  std::vector<internal::v1::CommandResult> results;
  std::vector<internal::v1::NameRequest> name_requests;
  std::vector<internal::v1::LeaseRequest> beats;
  bool left = false;
  std::vector<internal::v1::Retire> retires;
  bool move_nothing = true;  // a node that retires is told at once that its children fit nowhere
  bool record_leave = true;  // a leave is answered by the end of the stream
  absl::Duration freeze = absl::Seconds(15), node = absl::Seconds(20);

  SimTransport transport;

 private:
  struct Session : StreamHandler {
    FakeCoordinator* owner = nullptr;
    bool lease = false;
    std::unique_ptr<Stream> stream;
    void OnFrame(std::string bytes) override {
      if (lease)
        owner->OnBeat(this, bytes);
      else
        owner->OnControl(this, bytes);
    }
    void OnClose(absl::Status) override {
      if (owner->control == this) owner->control = nullptr;
    }
  };

  StreamHandler* Accept(std::unique_ptr<Stream> stream, bool lease) {
    Session& s = sessions_.emplace_back();
    s.owner = this;
    s.lease = lease;
    s.stream = std::move(stream);
    return &s;
  }
  void OnBeat(Session* s, const std::string& bytes) {
    ASSERT_TRUE(beats.emplace_back().ParseFromString(bytes));
    if (!ack) return;
    internal::v1::LeaseResponse r;
    r.set_seq(beats.back().seq());
    r.set_epoch(epoch);
    r.set_store_revision(revision);
    s->stream->Write(r.SerializeAsString());
  }
  void OnControl(Session* s, const std::string& bytes) {
    internal::v1::ControlRequest request;
    ASSERT_TRUE(request.ParseFromString(bytes));
    if (request.has_hello()) {
      hellos.push_back(request.hello());
      chunks.clear();
      control = s;
      if (greet) Greet();
    }
    if (request.has_resync_chunk()) {
      chunks.push_back(request.resync_chunk());
      for (const auto& report : request.resync_chunk().reports()) reports.push_back(report);
    }
    if (request.has_resync_end()) {
      uint64_t n = 0;
      for (const auto& c : chunks)
        n += static_cast<uint64_t>(c.children_size() + c.reports_size() + c.names_size());
      EXPECT_EQ(request.resync_end().count(), n);
      ++resyncs;
    }
    if (request.has_report()) reports.push_back(request.report());
    if (request.has_command_result()) results.push_back(request.command_result());
    if (request.has_name_request()) name_requests.push_back(request.name_request());
    if (request.has_retire()) {
      retires.push_back(request.retire());
      if (move_nothing) LetLeave(/*at_once=*/true);
    }
    if (request.has_leave()) {
      left = true;
      if (record_leave) EndControl(absl::OkStatus());
    }
  }
  void Greet() {
    internal::v1::ControlResponse r;
    internal::v1::HelloAck* a = r.mutable_hello_ack();
    a->set_cluster_id("cluster");
    a->set_store_id(store_id);
    a->set_store_revision(revision);
    a->set_keep_all(keep_all);
    a->mutable_protocol()->set_features(features);
    a->set_epoch(epoch);
    a->set_control_session(++session);
    a->set_node_id(7);
    a->set_incarnation(incarnation);
    *a->mutable_times()->mutable_heartbeat() = wire::ToProto(absl::Seconds(1));
    *a->mutable_times()->mutable_freeze() = wire::ToProto(freeze);
    *a->mutable_times()->mutable_node() = wire::ToProto(node);
    *a->mutable_times()->mutable_coordinator() = wire::ToProto(node + absl::Seconds(5));
    a->add_coordinators("c:1");
    Send(r);
  }

  Session* control = nullptr;
  std::list<Session> sessions_;
};

// What modules of the tests leave behind.
struct World {
  std::vector<std::string> log;
  Payload left;  // what a counter leaves for its next life, if asked
  int stuck_inits = 0;
};

class NodeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // An actor that answers calls with how often it was called, and logs its end.
    modules.AddBehaviour("counter", [this] { return std::make_unique<Counter>(&world); });
    modules.AddFunction("failing", [](Self&, StartSpec, StartContext) -> Task<StartResult> {
      return StartResult::Failed(ExitReason::Error("no_luck"));
    });
    modules.AddFunction("ignoring", [](Self&, StartSpec, StartContext) -> Task<StartResult> {
      return StartResult::Ignored();
    });
    host.modules = &modules;
    Boot();
  }
  void TearDown() override {
    if (node) Crash();
    time.RunFor(absl::Seconds(1));
  }
  void Boot() {
    transport = std::make_unique<SimTransport>(&network, "n:1", &time);
    runtime = std::make_unique<Runtime>(
        Runtime::Options{.clock = &time, .timers = &time, .workers = 0, .executor = &time});
    runtime->SetHost(&host);
    NodeOptions options;
    options.name = "n";
    options.address = "n:1";
    options.coordinators = {"c:1"};
    options.process_id = "p1";
    options.peer.idle_close = absl::Hours(100);
    if (change_options) change_options(&options);
    node = std::make_unique<Node>(
        Node::Deps{runtime.get(), &time, &time, &time, &random, transport.get(), page}, options,
        hooks);
    node->Start();
  }
  void Crash() {
    runtime->Shutdown();
    node.reset();
    transport.reset();
    runtime.reset();
  }
  void Join() {
    Settle();
    ASSERT_EQ(node->identity().node_id, 7u);
    ASSERT_EQ(c.resyncs, 1);
  }
  void Settle(absl::Duration d = absl::Milliseconds(100)) { time.RunFor(d); }

  internal::v1::Command StartCommand(std::vector<std::string> path, uint64_t fence,
                                     std::string module = "counter", std::string name = "") {
    internal::v1::Command cmd = c.NewCommand(std::move(path), fence);
    v1::ChildSpec* spec = cmd.mutable_start()->mutable_spec();
    spec->set_id("x");
    spec->mutable_start()->set_module(std::move(module));
    if (!name.empty()) {
      spec->mutable_start()->set_name(name);
      cmd.mutable_start()->mutable_name()->set_name(name);
      cmd.mutable_start()->mutable_name()->set_reg_version(99);
    }
    return cmd;
  }
  internal::v1::Command StopCommand(std::vector<std::string> path, uint64_t fence) {
    internal::v1::Command cmd = c.NewCommand(std::move(path), fence);
    cmd.mutable_stop()->mutable_reason()->set_kind(v1::ExitReason::KIND_SHUTDOWN);
    return cmd;
  }
  // Starts a child and returns its process.
  Pid Started(std::vector<std::string> path, uint64_t fence, std::string name = "") {
    const size_t before = c.reports.size();
    c.SendCommand(StartCommand(path, fence, "counter", name));
    Settle();
    if (c.reports.size() != before + 1 || !c.reports.back().has_started()) {
      ADD_FAILURE() << "not started";
      return {};
    }
    return Pid{0, 0, c.reports.back().started().pid().id()};
  }
  std::string Call(Pid pid, std::string what = "count") {
    std::string out = "no answer";
    runtime->Call(pid, Text(std::move(what)), time.Now() + absl::Seconds(2),
                  [&](absl::StatusOr<Payload> r, Pid) {
                    out = r.ok() ? r->bytes() : ErrorReason(r.status());
                  });
    Settle(absl::Seconds(3));
    return out;
  }

  class Counter : public Behaviour {
   public:
    explicit Counter(World* world) : world_(world) {}
    Task<Initialised> OnInit(std::vector<Payload>) override {
      self().SetTrapExit(true);
      return Initialised::Ok();
    }
    Task<Next> OnMessage(Message m) override {
      if (m.is_call() && m.payload().bytes() == "crash")
        return Next::Stop(ExitReason::Error("crash"));
      if (m.is_call() && m.payload().bytes() == "fence") {
        self().Answer(m.call_from(),
                      Text(self().child_path() + " " + std::to_string(self().fence())));
        return Next::Wait();
      }
      if (m.is_call()) self().Answer(m.call_from(), Text(std::to_string(++count_)));
      return Next::Wait();
    }
    Task<void> OnTerminate(ExitReason reason) override {
      world_->log.push_back(context().child_id + " " + reason.ToString());
      if (context().leaves != nullptr) context().leaves->Set(world_->left);
      return Task<void>();
    }

   private:
    World* world_;
    int count_ = 0;
  };

  VirtualTime time;
  SimNetwork network{&time};
  FakeCoordinator c{&time, &network};
  SeededRandom random{1};
  World world;
  Modules modules;
  Host host;
  Node::Hooks hooks;
  std::function<void(NodeOptions*)> change_options;
  WatchPageSink* page = nullptr;
  std::unique_ptr<SimTransport> transport;
  std::unique_ptr<Runtime> runtime;
  std::unique_ptr<Node> node;
};

}  // namespace banyan::testing

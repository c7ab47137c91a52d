// The modules in a runtime of one thread on virtual time: how to test without a node. Supervised,
// inspected and upgraded with what every process answers. Exits with 1 if something is wrong.
#include <cstdio>
#include <fstream>
#include <memory>

#include "google/protobuf/wrappers.pb.h"

#include "common/time/virtual_time.h"
#include "common/wire/payload.h"
#include "job_queue.h"
#include "modules.h"
#include "server/behaviours/supervisor.h"
#include "server/behaviours/supervisor_client.h"
#include "server/behaviours/sys.h"
#include "server/runtime/runtime.h"

namespace {

using namespace banyan;  // NOLINT: a test of names as users write them

int failures = 0;
void Expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  ++failures;
}

Payload Text(std::string text) {
  google::protobuf::StringValue value;
  value.set_value(std::move(text));
  return wire::MakePayload(std::move(value));
}

ChildSpec Child(std::string id, std::string module, std::vector<Payload> args = {}) {
  ChildSpec spec;
  spec.id = std::move(id);
  spec.start.module = std::move(module);
  spec.start.args = std::move(args);
  return spec;
}

Task<Pid> PidOf(Self& self, SupervisorClient supervisor, std::string id) {
  absl::StatusOr<std::vector<ChildEntry>> children = co_await supervisor.WhichChildren(self);
  for (const ChildEntry& child : *children)
    if (child.id == id) co_return child.pid;
  co_return Pid{};
}

Task<ExitReason> Check(Self& self) {
  auto spec = std::make_shared<SupervisorSpec>();
  spec->children = {Child("count", "word_count"),
                    Child("journal", "append_file", {Text("/no/such/folder/journal")})};
  StartResult started = co_await StartSupervisor(self, spec, {}, {});
  Expect(started.started(), "the supervisor starts");
  SupervisorClient supervisor(started.pid);
  const Pid count = co_await PidOf(self, supervisor, "count");

  // A job is a call.
  absl::StatusOr<Payload> words = co_await self.Call(count, Text("one two three"));
  auto number = wire::Unpack<google::protobuf::Int64Value>(words.value_or(Payload()));
  Expect(number && number->value() == 3, "three words are counted");
  words = co_await self.Call(count, Text(""));
  Expect(absl::IsInvalidArgument(words.status()), "a text without words fails");

  // Inspected: suspended, jobs wait and show.
  (void)co_await sys::Debug(self, count, DebugOption::Log());
  (void)co_await sys::Suspend(self, count);
  self.Cast(count, Text("a b"));
  (void)co_await sys::Resume(self, count);
  absl::StatusOr<SysStatus> status = co_await sys::GetStatus(self, count);
  Expect(status.ok() && status->module == "word_count", "the status names the module");
  absl::StatusOr<Payload> state = co_await sys::GetState(self, count);
  Expect(state.ok() && state->As<jobs::JobQueue::State>(), "the state is the queue");
  absl::StatusOr<std::vector<SysEvent>> log = co_await sys::GetLog(self, count);
  Expect(log.ok() && !log->empty() && log->back().type == "done", "the job's end is logged");

  // Upgraded: the file cannot be written, so a job would crash the queue at its third attempt.
  const Pid journal = co_await PidOf(self, supervisor, "journal");
  CodeChange change;
  change.extra = Text("journal.txt");
  absl::Status changed = co_await sys::ChangeCode(self, journal, change);
  Expect(!changed.ok(), "a code change needs a suspended process");
  (void)co_await sys::Suspend(self, journal);
  changed = co_await sys::ChangeCode(self, journal, change);
  Expect(changed.ok(), "the code change succeeds");
  (void)co_await sys::Resume(self, journal);
  Expect((co_await self.Call(journal, Text("line"))).ok(), "the line is written");
  std::string line;
  std::getline(std::ifstream("journal.txt"), line);
  std::remove("journal.txt");
  Expect(line == "line", "and there");

  // Supervised: killed, it is there again, as it was started.
  Ref down = self.Monitor(journal);
  self.Exit(journal, ExitReason::Kill());
  co_await self.ReceiveIf([down](const Message& m) { return m.is_down() && m.ref() == down; });
  const Pid again = co_await PidOf(self, supervisor, "journal");
  Expect(again.valid() && again != journal, "the supervisor restarts it");
  absl::StatusOr<Payload> crash = co_await self.Call(again, Text("line"));
  Expect(!crash.ok(), "the restarted one has the file of its arguments");
  co_return ExitReason::Normal();
}

}  // namespace

int main() {
  VirtualTime time;
  Modules modules;
  jobs::AddModules(&modules);
  Host host;
  host.modules = &modules;
  Runtime::Options options;
  options.clock = &time;
  options.timers = &time;
  options.executor = &time;
  options.workers = 0;
  Runtime runtime(options);
  runtime.SetHost(&host);
  absl::StatusOr<Pid> check = runtime.Spawn(Check, {.trap_exit = true, .module = "check"});
  const bool over =
      check.ok() && time.RunUntil([&] { return !runtime.IsAlive(*check); }, absl::Hours(1));
  Expect(over, "the check comes to its end");
  runtime.Shutdown();
  return failures == 0 ? 0 : 1;
}

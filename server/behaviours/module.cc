#include "server/behaviours/module.h"

#include <utility>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/slab.h"
#include "server/behaviours/supervisor.h"

namespace banyan {

Modules& Modules::Insert(std::string name, Entry entry) {
  entry.info.name = name;
  bool inserted = entries_.try_emplace(std::move(name), std::move(entry)).second;
  BANYAN_CHECK(inserted);
  return *this;
}

StartOptions StartOptionsOf(const StartSpec& spec, const StartContext& context) {
  StartOptions o;
  o.link = context.link;
  o.link_to = context.link_to;
  o.timeout = spec.start_timeout;
  o.name = spec.name;
  o.module = spec.module;
  o.parent = context.parent;
  o.child_id = context.child_id;
  o.exclusive = context.exclusive;
  o.fence = context.fence;
  o.max_messages = spec.mailbox.max_messages.value_or(0);
  return o;
}

Modules& Modules::AddBehaviour(std::string name, std::function<std::unique_ptr<Behaviour>()> make,
                               ModuleInfo info) {
  StartFunction start = [make](Self& starter, StartSpec spec, StartContext context) {
    StartOptions options = StartOptionsOf(spec, context);
    return StartBehaviour(starter, make, std::move(spec.args), std::move(options),
                          std::move(context));
  };
  return Insert(std::move(name), {std::move(info), std::move(start), std::move(make)});
}

Modules& Modules::AddFunction(std::string name, StartFunction start, ModuleInfo info) {
  return Insert(std::move(name), {std::move(info), std::move(start), {}});
}

Modules& Modules::AddSupervisor(std::string name, SupervisorInit init, ModuleInfo info) {
  info.type = ChildType::kSupervisor;
  StartFunction start = [init = std::move(init)](Self& starter, StartSpec spec,
                                                 StartContext context) {
    return StartSupervisorModule(starter, init, std::move(context), std::move(spec));
  };
  return Insert(std::move(name), {std::move(info), std::move(start), {}});
}

const Modules::Entry* Modules::Find(std::string_view name) const {
  auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : &it->second;
}

std::vector<ModuleInfo> Modules::List() const {
  std::vector<ModuleInfo> out;
  for (const auto& [name, entry] : entries_) out.push_back(entry.info);
  return out;
}

Task<StartResult> StartBehaviour(Self& starter, std::function<std::unique_ptr<Behaviour>()> make,
                                 std::vector<Payload> args, StartOptions options,
                                 StartContext context) {
  context.module = options.module;
  context.name = options.name;
  context.link = options.link;
  context.parent = options.parent;
  // The body lives as long as the process, what it begins with does not.
  struct Begin {
    std::function<std::unique_ptr<Behaviour>()> make;
    std::vector<Payload> args;
    std::shared_ptr<const StartContext> context;
    Pid parent;
    std::vector<DebugOption> debug;
  };
  auto begin = std::allocate_shared<Begin>(SlabAllocator<Begin>());
  begin->make = std::move(make);
  begin->args = std::move(args);
  begin->context =
      std::allocate_shared<const StartContext>(SlabAllocator<StartContext>(), std::move(context));
  // Without a link the process has no parent whose exit could end it.
  if (options.link || options.monitor) begin->parent = starter.pid();
  if (options.link_to) begin->parent = options.link_to;
  begin->debug = std::move(options.debug);
  StartBody body = [begin = std::move(begin)](Self& self, StartAck ack) mutable {
    const std::shared_ptr<Begin> now = std::exchange(begin, nullptr);
    std::unique_ptr<Behaviour> behaviour = now->make();
    if (!now->debug.empty()) {
      behaviour->Attach(&self, now->context.get());
      for (const DebugOption& option : now->debug) behaviour->StartDebug(option);
    }
    return RunBehaviour(self, std::move(behaviour), std::move(now->args), std::move(now->context),
                        std::move(ack), now->parent);
  };
  return StartProcess(starter, std::move(body), std::move(options));
}

namespace {
const Modules::Entry* FindModule(const Self& starter, const std::string& name) {
  const Modules* modules = HostOf(starter.runtime()).modules;
  return modules ? modules->Find(name) : nullptr;
}
}  // namespace

Task<StartResult> StartModule(Self& starter, StartSpec spec, StartContext context) {
  const Modules::Entry* entry = FindModule(starter, spec.module);
  if (!entry) {
    return StartResult::Failed(
        ExitReason::Error(kUndef, fmt::format("this node has no module \"{}\"", spec.module)));
  }
  for (Payload& arg : context.extra_args) spec.args.push_back(std::move(arg));
  context.extra_args = {};
  return entry->start(starter, std::move(spec), std::move(context));
}

Task<StartResult> StartChildProcess(Self& starter, std::shared_ptr<const ChildSpec> spec,
                                    StartContext context) {
  if (context.child_id.empty()) context.child_id = spec->id;
  if (context.labels.empty()) context.labels = spec->labels;
  if (spec->supervisor)
    return StartSupervisor(starter, spec->supervisor, std::move(context), spec->start);
  const Modules::Entry* entry = FindModule(starter, spec->start.module);
  if (!entry || !entry->make) return StartModule(starter, spec->start, std::move(context));
  // A behaviour, by far the most frequent child, needs no copy of its spec.
  std::vector<Payload> args = spec->start.args;
  for (Payload& arg : context.extra_args) args.push_back(std::move(arg));
  context.extra_args = {};
  StartOptions options = StartOptionsOf(spec->start, context);
  return StartBehaviour(starter, entry->make, std::move(args), std::move(options),
                        std::move(context));
}

void StartModule(Runtime& runtime, StartSpec spec, StartContext context,
                 std::function<void(StartResult)> done) {
  context.link = false;
  StartFromOutside(
      runtime,
      [spec = std::move(spec), context = std::move(context)](Self& self) {
        return StartModule(self, spec, context);
      },
      std::move(done));
}

void StartChildProcess(Runtime& runtime, std::shared_ptr<const ChildSpec> spec,
                       StartContext context, std::function<void(StartResult)> done) {
  context.link = false;
  StartFromOutside(
      runtime,
      [spec = std::move(spec), context = std::move(context)](Self& self) {
        return StartChildProcess(self, spec, context);
      },
      std::move(done));
}

}  // namespace banyan

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "common/base/mutex.h"
#include "server/behaviours/behaviour.h"
#include "server/behaviours/start.h"
#include "server/core/child_spec.h"

namespace banyan {

// What a child with `hand_off` in its spec leaves for its next life when it is moved to another
// node: set it in Terminate. At most 1 MiB, serializable; more is dropped with a warning.
class HandOff {
 public:
  void Set(Payload payload) {
    MutexLock lock(&mu_);
    payload_ = std::move(payload);
  }
  Payload Get() const {
    MutexLock lock(&mu_);
    return payload_;
  }

 private:
  mutable Mutex mu_;
  Payload payload_ ABSL_GUARDED_BY(mu_);
};

// What a start knows beside the spec. Handed to the process: Behaviour::context().
struct StartContext {
  std::string child_id;
  uint64_t fence = 0;     // of this start; 0: child of a local supervisor
  uint64_t restarts = 0;  // starts of this child before
  Pid parent;             // default: the starter
  std::map<std::string, std::string> labels;
  bool exclusive = false;
  Payload hand_off;                 // what the process's predecessor left for it
  std::shared_ptr<HandOff> leaves;  // where it leaves something itself; null: nobody wants it
  std::vector<Payload> extra_args;  // appended to the spec's (simple_one_for_one)
  bool link = true;
  Pid link_to;  // see StartOptions
  // Of a supervisor that is a child: names of the way from the root (see SupervisorInfo::path).
  std::vector<std::string> path;
  // Set by the start, as `link` is: the module and the registered name.
  std::string module;
  std::string name;
};

// What people are told about a module.
struct ModuleInfo {
  std::string name;
  std::string version;
  std::string description;
  ChildType type = ChildType::kWorker;
};

// Starts processes of one kind by a start spec. `spec.args` has the extra arguments already.
using StartFunction =
    std::function<Task<StartResult>(Self& starter, StartSpec spec, StartContext context)>;
// What a supervisor module's init returns: its spec, nullopt for `ignore`, or why it cannot.
using SupervisorInit =
    std::function<absl::StatusOr<std::optional<SupervisorSpec>>(const std::vector<Payload>& args)>;

// The modules that a runtime can start by name. Filled before the runtime's first spawn, then read
// only. A name can be given once: adding it again is a broken invariant.
class Modules {
 public:
  // A behaviour's implementation: a class derived from GenServer or another Behaviour. A class that
  // lacks a mandatory callback does not compile here, and the message names the callback.
  template <typename T>
  Modules& Add(std::string name, ModuleInfo info = {}) {
    return AddBehaviour(
        std::move(name), [] { return std::unique_ptr<Behaviour>(new T()); }, std::move(info));
  }
  // The same with a factory, for what needs collaborators. Called in the new process, before init.
  Modules& AddBehaviour(std::string name, std::function<std::unique_ptr<Behaviour>()> make,
                        ModuleInfo info = {});
  // A start function of its own: may start several processes, return `ignore`, fail without a
  // process, add info to the result. It starts with StartOptionsOf(spec, context), so that what it
  // starts is linked to the starter.
  Modules& AddFunction(std::string name, StartFunction start, ModuleInfo info = {});
  // A supervisor whose spec is computed from its arguments, now and at code changes.
  Modules& AddSupervisor(std::string name, SupervisorInit init, ModuleInfo info = {});

  struct Entry {
    ModuleInfo info;
    StartFunction start;
    std::function<std::unique_ptr<Behaviour>()> make;  // of a behaviour; else empty
  };
  const Entry* Find(std::string_view name) const;  // null: there is none
  std::vector<ModuleInfo> List() const;            // sorted by name

 private:
  Modules& Insert(std::string name, Entry entry);
  std::map<std::string, Entry, std::less<>> entries_;
};

// The options that a start function passes on: name, time limit, link, parent, fence and so on.
StartOptions StartOptionsOf(const StartSpec& spec, const StartContext& context);

// Starts a process of the module that `spec` names, from the host's registry. Unknown module: fails
// with ERROR `undef`.
Task<StartResult> StartModule(Self& starter, StartSpec spec, StartContext context);
void StartModule(Runtime& runtime, StartSpec spec, StartContext context,
                 std::function<void(StartResult)> done);

// Starts a child by its specification: the module of its start spec, or the nested supervisor.
Task<StartResult> StartChildProcess(Self& starter, std::shared_ptr<const ChildSpec> spec,
                                    StartContext context);
void StartChildProcess(Runtime& runtime, std::shared_ptr<const ChildSpec> spec,
                       StartContext context, std::function<void(StartResult)> done);

// Starts a process of a behaviour object, without a registry. `args` go to init.
Task<StartResult> StartBehaviour(Self& starter, std::function<std::unique_ptr<Behaviour>()> make,
                                 std::vector<Payload> args, StartOptions options,
                                 StartContext context = {});

}  // namespace banyan

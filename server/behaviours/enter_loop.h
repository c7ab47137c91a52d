#pragma once

#include <memory>
#include <string>

#include "server/behaviours/behaviour.h"
#include "server/behaviours/module.h"
#include "server/behaviours/start.h"

namespace banyan {

struct EnterOptions {
  // Not empty: the name that the process must have registered already. Another process has it, or
  // nobody: the process ends with ERROR `process_not_registered`.
  std::string name;
  StartContext context = {};  // for Behaviour::context(); its name is the one above
  Next first = {};            // what comes first: a timeout, a continuation
};

// The rest of the life of a process that initialised itself (gen_server:enter_loop): it becomes a
// process of `behaviour`, whose OnInit does not run. For what Init cannot do, above all to
// acknowledge the start early and then go on initialising:
//
//   StartBody body = [](Self& self, StartAck ack) -> Task<ExitReason> {
//     absl::Status ok = Check();                                   // cheap: the start may fail
//     if (!ok.ok()) co_return ExitReason::Error("bad_config");     // {error,Reason}, name free
//     ack.Started();                                               // the start returns now
//     auto server = std::make_unique<Server>(co_await Load(self)); // messages wait meanwhile
//     co_return co_await EnterLoop(self, std::move(ack), std::move(server));
//   };
//
// Only a process of StartProcess() has a StartAck, so no other can come here. A start that was not
// acknowledged yet is now. The starter is its parent, linked or not: if it traps exits, the
// starter's exit ends it.
Task<ExitReason> EnterLoop(Self& self, StartAck ack, std::unique_ptr<Behaviour> behaviour,
                           EnterOptions options = {});

}  // namespace banyan

#include "server/behaviours/enter_loop.h"

#include <utility>

#include "fmt/format.h"

namespace banyan {

Task<ExitReason> EnterLoop(Self& self, StartAck ack, std::unique_ptr<Behaviour> behaviour,
                           EnterOptions options) {
  if (!options.name.empty() && self.runtime().Whereis(options.name) != self.pid()) {
    return ExitReason::Error(
        "process_not_registered",
        fmt::format("the process does not have the name \"{}\"", options.name));
  }
  ack.Started();
  const Pid parent = ack.starter();
  options.context.name = std::move(options.name);
  options.context.parent = parent;
  auto context = std::make_shared<const StartContext>(std::move(options.context));
  return RunBehaviour(self, std::move(behaviour), {}, std::move(context), std::move(ack), parent,
                      std::move(options.first));
}

}  // namespace banyan

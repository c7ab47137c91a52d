#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/error.h"
#include "server/behaviours/behaviour.h"
#include "tests/support/actors/supervisor_test.h"

namespace banyan {

// A behaviour of nothing but the SDK: runs closures, and writes down what happens. It has none of
// the optional functions, so the loop does the rest.
class Scripted : public Behaviour {
 public:
  struct Script {
    std::function<Task<Initialised>(Scripted&)> init;
    std::function<Task<banyan::Next>(Scripted&, std::string)> message;
    std::function<Task<void>(Scripted&, ExitReason)> terminate;
    std::vector<std::string> trace;  // "message x", "terminate R"
  };

  explicit Scripted(Script* script) : script_(script) {}
  Task<Initialised> OnInit(std::vector<Payload> args) override {
    if (script_->init) return script_->init(*this);
    return Initialised::Ok();
  }
  Task<banyan::Next> OnMessage(Message m) override {
    const std::string text = m.is_exit() ? "EXIT " + m.reason().ToString() : TextOf(m.payload());
    script_->trace.push_back("message " + text);
    if (script_->message) return script_->message(*this, text);
    return banyan::Next::Wait();
  }
  Task<void> OnTerminate(ExitReason reason) override {
    script_->trace.push_back("terminate " + reason.ToString());
    if (script_->terminate) return script_->terminate(*this, std::move(reason));
    return {};
  }

  // For the closures.
  using Behaviour::self;

 private:
  Script* const script_;
};

// The module "scripted" is Scripted. Crash reports go to crashes_, as "scripted: R".
class CustomBehaviourTest : public SupervisorTest, protected ProcessReports {
 protected:
  using S = Scripted;

  CustomBehaviourTest() {
    modules_.AddBehaviour("scripted", [this] { return std::make_unique<S>(&script_); },
                          {.version = "7", .description = "a script"});
    host_.reports = this;
  }
  void OnCrash(Pid, const std::string& module, const ExitReason& reason) override {
    crashes_.push_back(module + ": " + reason.ToString());
  }

  static Task<StartResult> StartOne(Self& t, std::string name = "", bool link = true,
                                    absl::Duration timeout = absl::InfiniteDuration()) {
    StartSpec spec;
    spec.module = "scripted";
    spec.name = std::move(name);
    spec.start_timeout = timeout;
    StartContext context;
    context.link = link;
    return StartModule(t, spec, context);
  }
  // Traps exits or not, from its init on.
  void TrapExits(bool on) {
    script_.init = [on](S& s) -> Task<Initialised> {
      s.self().SetTrapExit(on);
      return Initialised::Ok();
    };
  }

  S::Script script_;
  std::vector<std::string> crashes_;
};

}  // namespace banyan

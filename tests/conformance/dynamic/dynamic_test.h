#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/error.h"
#include "server/runtime/process_exit.h"
#include "tests/support/actors/supervisor_test.h"

namespace banyan {

// The language of the DYN cases: D is a dynamic supervisor, its children processes that do not trap
// exits unless their name says so.
class DynamicTest : public SupervisorTest {
 protected:
  // A server that does not trap exits and answers any call with its arguments.
  class Plain : public GenServer {
   public:
    Task<InitResult> Init(std::vector<Payload> args) override {
      for (const Payload& arg : args) words_ += (words_.empty() ? "" : " ") + TextOf(arg);
      return Ok();
    }
    Task<CallResult> HandleCall(Payload request, CallFrom from) override {
      return Reply(Word(words_));
    }
    Task<Result> HandleCast(Payload request) override { return NoReply(); }

   private:
    std::string words_;
  };
  class Reports : public SupervisorEvents {
   public:
    void OnReport(Pid, const std::string&, const SupervisorReport& report) override {
      if (report.context == SupervisorReport::Context::kShutdownError)
        stop_errors.push_back(report.reason);
    }
    std::vector<ExitReason> stop_errors;
  };

  // Modules: plain; sl OUTCOME, whose start function has that outcome; restart OUTCOME, whose first
  // start is ok2 and every later one OUTCOME; twice, whose second start alone fails.
  DynamicTest() {
    modules_.Add<Plain>("plain");
    modules_.AddFunction("sl", [](Self& s, StartSpec spec, StartContext c) {
      return StartAs(s, TextOf(spec.args.at(0)), spec, c);
    });
    modules_.AddFunction("restart", [](Self& s, StartSpec spec, StartContext c) {
      return StartAs(s, c.restarts == 0 ? "ok2" : TextOf(spec.args.at(0)), spec, c);
    });
    modules_.AddFunction("twice", [this](Self& s, StartSpec spec, StartContext c) {
      return StartAs(s, ++starts_ == 2 ? "error" : "ok2", spec, c);
    });
    host_.supervisor_events = &reports_;
  }

  static SupervisorSpec D(uint32_t intensity = 3) { return Spec(Strategy::kDynamic, intensity, 5); }
  static SupervisorSpec D(uint32_t intensity, uint64_t max_children) {
    SupervisorSpec spec = D(intensity);
    spec.flags.max_children = max_children;
    return spec;
  }
  // "workers/active".
  static Task<std::string> WorkersActive(Self& t, Pid d) {
    ChildCounts counts = co_await Cc(t, d);
    EXPECT_EQ(counts.specs, counts.workers);
    co_return std::to_string(counts.workers) + "/" + std::to_string(counts.active);
  }
  static Task<size_t> Entries(Self& t, Pid d) {
    ChildCounts counts = co_await Cc(t, d);
    co_return counts.specs;
  }
  // kill(p, how): returns as soon as p is down, before its supervisor may have tried everything.
  static Task<void> Kill(Self& t, Pid p, ExitReason how) {
    t.Exit(p, std::move(how));
    co_await DownOf(t, p);
  }
  static Task<std::string> Ask(Self& t, Pid p) {
    absl::StatusOr<Payload> answer = co_await t.Call(p, Word("args"));
    EXPECT_TRUE(answer.ok()) << answer.status();
    co_return answer.ok() ? TextOf(*answer) : "";
  }
  // What a start was refused for: the words of OTP's errors, one after another.
  static std::string Fields(const absl::Status& status) {
    std::string out;
    std::optional<ErrorInfo> info = GetErrorInfo(status);
    if (!info) return out;
    for (const ErrorInfo::FieldViolation& f : info->fields) {
      out += (out.empty() ? "" : " ") + f.description.substr(0, f.description.find(':'));
    }
    return out;
  }

  Reports reports_;
  int starts_ = 0;

 private:
  static Task<StartResult> StartAs(Self& s, std::string outcome, StartSpec spec, StartContext c) {
    if (outcome == "ignore") co_return StartResult::Ignored();
    if (outcome == "error") co_return StartResult::Failed(ExitReason::Error("found"));
    if (outcome == "raise") throw FunctionClause();
    if (outcome == "exit") throw ProcessExit(ExitReason::Error("oops"));
    StartOptions o = StartOptionsOf(spec, c);
    StartResult result = co_await StartBehaviour(
        s, [] { return std::make_unique<Plain>(); }, {}, std::move(o), std::move(c));
    if (outcome == "ok3") result.info = Word("extra");
    co_return result;
  }
};

}  // namespace banyan

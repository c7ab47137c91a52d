#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/error.h"
#include "tests/conformance/gen_server/server.h"

namespace banyan {

// S of spec/sys.md 10: a ScriptServer that traps exits, and whose sys hooks are closures too.
class Subject : public ScriptServer {
 public:
  struct Hooks {
    std::function<void(StatusView&)> format_status;
    std::function<absl::Status(Subject&, const CodeChange&)> code_change;
    std::function<absl::StatusOr<Payload>(Subject&)> get_state;
  };
  Subject(Script* script, const Hooks* hooks) : ScriptServer(script), hooks_(hooks) {}
  Task<InitResult> Init(std::vector<Payload> args) override {
    self().SetTrapExit(true);
    return ScriptServer::Init(std::move(args));
  }
  absl::StatusOr<Payload> GetState() override {
    return hooks_->get_state ? hooks_->get_state(*this) : ScriptServer::GetState();
  }
  void FormatStatus(StatusView& view) override {
    if (hooks_->format_status) hooks_->format_status(view);
  }
  Task<absl::Status> OnCodeChange(CodeChange change) override {
    if (hooks_->code_change) return hooks_->code_change(*this, change);
    return ScriptServer::OnCodeChange(std::move(change));
  }
  using ScriptServer::self;

 private:
  const Hooks* const hooks_;
};

class SysTest : public GenServerTest {
 protected:
  Task<Pid> StartSubject(Self& t, StartOptions options = Linked()) {
    StartResult r = co_await StartBehaviour(
        t, [this] { return std::make_unique<Subject>(&script_, &hooks_); }, {}, std::move(options));
    EXPECT_TRUE(r.started()) << r.reason.ToString();
    co_return r.pid;
  }
  static absl::Duration Ms(int64_t ms) { return absl::Milliseconds(ms); }
  static Task<std::string> StateOf(Self& t, Pid p) {
    absl::StatusOr<Payload> state = co_await sys::GetState(t, p);
    co_return state.ok() ? TextOf(*state) : ErrorReason(state.status());
  }
  std::optional<ProcessSnapshot> Look(Pid pid) const {
    for (ProcessSnapshot& s : rt_->List()) {
      if (s.pid == pid) return s;
    }
    return std::nullopt;
  }
  // As a process asks: what it sent before is received first.
  Task<std::optional<ProcessSnapshot>> FactsOf(Self& t, Pid p) {
    std::optional<ProcessSnapshot> facts;
    rt_->Inspect(p, [&](std::optional<ProcessSnapshot> f) { facts = std::move(f); });
    co_await t.Sleep(Ms(1));
    co_return facts;
  }
  static std::string ErrorOf(const absl::Status& status) { return ErrorReason(status); }
  template <typename T>
  static std::string ErrorOf(const absl::StatusOr<T>& result) {
    return ErrorReason(result.status());
  }

  Subject::Hooks hooks_;
};

}  // namespace banyan

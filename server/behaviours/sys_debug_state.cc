#include "server/behaviours/sys_debug_state.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/behaviours/behaviour.h"

namespace banyan {
namespace {

absl::Status Invalid(std::string what) { return MakeError("REQUEST_INVALID", std::move(what)); }

void WriteLine(std::FILE* to, const SysEvent& event, const DebugInfo& info) {
  const std::string line =
      fmt::format("*DBG* {} {}\n", info.behaviour.DisplayName(), info.behaviour.FormatEvent(event));
  std::fwrite(line.data(), 1, line.size(), to);
  std::fflush(to);
}

}  // namespace

void PrintEvent(const SysEvent& event, const DebugInfo& info) { WriteLine(stdout, event, info); }

absl::Status SysDebug::Set(const DebugOption& option, absl::Time now, uint64_t reductions) {
  switch (option.kind) {
    case DebugOption::Kind::kTrace:
      trace_ = option.on;
      return absl::OkStatus();
    case DebugOption::Kind::kLog:
      return SetLog(option);
    case DebugOption::Kind::kLogToFile:
      return SetFile(option);
    case DebugOption::Kind::kStatistics:
      if (!option.on) statistics_.reset();
      if (option.on && !statistics_) statistics_ = Statistics{now, reductions, 0, 0};
      return absl::OkStatus();
    case DebugOption::Kind::kInstall:
      return Install(option);
    case DebugOption::Kind::kRemove:
      std::erase_if(functions_, [&option](const Function& f) { return f.id == option.name; });
      return absl::OkStatus();
    case DebugOption::Kind::kNoDebug:
      trace_ = false;
      log_.reset();
      statistics_.reset();
      file_.reset();
      functions_.clear();
      return absl::OkStatus();
    case DebugOption::Kind::kLogGet:
    case DebugOption::Kind::kLogPrint:
    case DebugOption::Kind::kStatisticsGet:
      break;
  }
  return Invalid("unknown debug option: it asks for something and sets nothing");
}

absl::Status SysDebug::SetLog(const DebugOption& option) {
  if (!option.on) {
    log_.reset();
    return absl::OkStatus();
  }
  if (option.events < 1) return Invalid("unknown debug option: a log keeps at least one event");
  if (!log_) log_ = std::make_unique<Log>();
  log_->max = option.events;
  while (log_->events.size() > log_->max) log_->events.pop_front();
  return absl::OkStatus();
}

absl::Status SysDebug::SetFile(const DebugOption& option) {
  file_.reset();
  if (!option.on) return absl::OkStatus();
  file_.reset(std::fopen(option.name.c_str(), "we"));
  if (!file_) return Invalid(fmt::format("open_file: cannot write \"{}\"", option.name));
  file_name_ = option.name;
  return absl::OkStatus();
}

absl::Status SysDebug::Install(const DebugOption& option) {
  if (!option.function) return Invalid("unknown debug option: there is no function to install");
  const bool there = std::any_of(functions_.begin(), functions_.end(),
                                 [&option](const Function& f) { return f.id == option.name; });
  // As OTP does: the installed one stays, with its state.
  if (there) return absl::OkStatus();
  functions_.insert(functions_.begin(), Function{option.name, option.function, option.state});
  return absl::OkStatus();
}

bool SysDebug::any() const { return trace_ || log_ || statistics_ || file_ || !functions_.empty(); }

void SysDebug::Handle(const SysEvent& event, const DebugInfo& info) {
  if (trace_) PrintEvent(event, info);
  if (file_) WriteLine(file_.get(), event, info);
  if (statistics_ && event.kind == SysEvent::Kind::kIn) ++statistics_->messages_in;
  if (statistics_ && event.kind == SysEvent::Kind::kOut) ++statistics_->messages_out;
  if (log_) {
    if (log_->events.size() == log_->max) log_->events.pop_front();
    log_->events.push_back(event);
  }
  for (auto f = functions_.begin(); f != functions_.end();)
    f = Run(*f, event, info) ? f + 1 : functions_.erase(f);
}

bool SysDebug::Run(Function& f, const SysEvent& event, const DebugInfo& info) {
  try {
    std::optional<Payload> next = f.call(f.state, event, info);
    if (!next) return false;
    f.state = *std::move(next);
  } catch (const Payload& thrown) {
    f.state = thrown;
  } catch (...) {
    // The author of a function that fails is not told, and its target goes on, as in OTP.
    return false;
  }
  return true;
}

std::vector<SysEvent> SysDebug::Logged() const {
  if (!log_) return {};
  return {log_->events.begin(), log_->events.end()};
}

std::vector<std::string> SysDebug::Describe() const {
  std::vector<std::string> out;
  if (trace_) out.emplace_back("trace");
  if (log_) out.push_back(fmt::format("log {}", log_->max));
  if (statistics_) out.emplace_back("statistics");
  if (file_) out.push_back("log_to_file " + file_name_);
  for (const Function& f : functions_) out.push_back("install " + f.id);
  return out;
}

}  // namespace banyan

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/payload.h"
#include "common/base/pid.h"

namespace banyan {

// Why a process ended. An immutable value; copying copies a word and a shared pointer.
//
// OTP's terms: `normal`, `shutdown`, `{shutdown,T}` (kShutdown with T in detail), `killed`, `kill`,
// `noproc`, `noconnection`, `timeout`; every other term is kError with its tag in type(), its data
// in detail() and a sentence in message(). `{failed_to_start_child,Id,E}` is kShutdown whose detail
// is the id (as text, see Text()) and whose cause() is E.
class ExitReason {
 public:
  // Values are those of banyan.v1.ExitReason.Kind.
  enum class Kind : uint8_t {
    kNormal = 1,
    kShutdown = 2,
    kKilled = 3,
    kKill = 4,
    kNoProc = 5,
    kNoConnection = 6,
    kTimeout = 7,
    kError = 8,
  };
  struct Info {
    std::string message;
    Payload detail;
    std::string type;
    std::vector<std::string> stack;
    Pid origin;
    std::shared_ptr<const ExitReason> cause;
  };

  ExitReason() = default;  // kNormal
  explicit ExitReason(Kind kind) : kind_(kind) {}
  ExitReason(Kind kind, Info info)
      : kind_(kind), info_(std::make_shared<const Info>(std::move(info))) {}

  static ExitReason Normal() { return ExitReason(Kind::kNormal); }
  static ExitReason Shutdown() { return ExitReason(Kind::kShutdown); }
  static ExitReason Shutdown(Payload detail, std::string message = {});
  // {shutdown,{failed_to_start_child,Id,E}}
  static ExitReason FailedToStartChild(std::string id, ExitReason cause);
  static ExitReason Killed() { return ExitReason(Kind::kKilled); }
  static ExitReason Kill() { return ExitReason(Kind::kKill); }
  static ExitReason NoProc() { return ExitReason(Kind::kNoProc); }
  static ExitReason NoConnection() { return ExitReason(Kind::kNoConnection); }
  static ExitReason Timeout() { return ExitReason(Kind::kTimeout); }
  // A crash: `type` is the tag that programs match ("boom", "std::out_of_range").
  static ExitReason Error(std::string type, std::string message = {}, Payload detail = {});

  Kind kind() const { return kind_; }
  bool is_normal() const { return kind_ == Kind::kNormal; }
  bool is_shutdown() const { return kind_ == Kind::kShutdown; }
  // {shutdown,T} rather than the bare atom.
  bool is_shutdown_with_detail() const;
  // OTP's clean reasons: normal, shutdown, {shutdown,_}. All others are what `transient` restarts
  // on.
  bool clean() const { return is_normal() || is_shutdown(); }
  bool abnormal() const { return !clean(); }

  const std::string& message() const;
  const std::string& type() const;
  const Payload& detail() const;
  const std::vector<std::string>& stack() const;
  Pid origin() const { return info_ ? info_->origin : Pid{}; }
  const ExitReason* cause() const { return info_ ? info_->cause.get() : nullptr; }

  // One line for people and logs: "normal", "shutdown", "error boom: message".
  std::string ToString() const;

  // Equal terms: kind, type, message, detail and cause. Stack and origin are diagnostics.
  friend bool operator==(const ExitReason& a, const ExitReason& b);

 private:
  Kind kind_ = Kind::kNormal;
  std::shared_ptr<const Info> info_;
};

std::string_view ExitKindName(ExitReason::Kind kind);  // "normal", "shutdown", ...

}  // namespace banyan

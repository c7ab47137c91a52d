#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"

#include "common/base/exit_reason.h"
#include "common/base/payload.h"
#include "common/base/pid.h"
#include "server/runtime/signal.h"

namespace banyan {

// One thing that a behaviour did: what sys's trace, log, statistics and installed functions get
// (OTP's system events). Made only while one of them is on.
//
// OTP's `{in,Msg}`, `{out,Msg,To,_}` and so on as one shape: which fields a kind fills is beside
// it. Payloads are shared, not copied. A server's state is not in its events: it lives in an object
// that goes on changing. An installed function finds the state of that moment in
// DebugInfo::behaviour.
struct SysEvent {
  enum class Kind : uint8_t {
    kIn,        // a message is about to be handled: type, peer (sender), content; ref for DOWN and
                // timers, reason for EXIT and DOWN. gen_statem: state, and its inserted events and
                // timeouts too
    kOut,       // a reply or message was sent: content, peer (receiver)
    kNoReply,   // gen_server: the callback has ended without a reply
    kContinue,  // gen_server: handle_continue is about to run: content
    kConsume,   // gen_statem: the event is done: type, content, state, next_state
    kPostpone,  // gen_statem: the event waits for another state: type, content, state, next_state
    kStartTimer,  // gen_statem: type, content, time, state
    kEnter,       // gen_statem: started: module, state
    kModule,      // gen_statem: the callback module changed: module, state
    kTerminate,   // gen_statem: ends for a clean reason: reason, state
    kOther,       // a third party's: type says what; the rest as it likes
  };
  Kind kind = Kind::kOther;
  // kIn and others: "call", "cast", "info", "timeout" (an idle timeout), "timer" (StartTimer's),
  // "EXIT", "DOWN"; gen_statem: its event type, as "state_timeout" or "{timeout,name}".
  std::string type;
  Pid peer;
  Payload content;
  Ref ref = 0;
  std::string state;       // gen_statem: the state's name
  std::string next_state;  // gen_statem
  std::string module;
  absl::Duration time;
  ExitReason reason;

  // kIn of a message that is in no state.
  static SysEvent In(const Message& message);
  static SysEvent Out(Payload reply, Pid to);
  static SysEvent Of(Kind kind) {
    SysEvent e;
    e.kind = kind;
    return e;
  }
};

std::string_view SysEventKindName(SysEvent::Kind kind);  // "in", "out", "noreply", ...

// One line for people, without a line end: `in call "get" from <0.5.1>`. A payload is its text, if
// it is a std::string (at most 80 bytes of it), else its type's name and size.
std::string FormatSysEvent(const SysEvent& event);
// The same for a payload alone; "" for none.
std::string FormatPayload(const Payload& payload);

}  // namespace banyan

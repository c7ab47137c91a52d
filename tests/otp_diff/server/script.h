#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace banyan::otp_diff {

// What one callback of the server does: the actions, then its result. Every message carries the
// script of the callback that it causes.
struct Callback {
  enum class Action : uint8_t {
    kLateReply,  // "late" to who has waited longest, if anybody does
    kTrap,       // traps exits from now on
    kNoTrap,
    kWait,      // lets others run: ours is a coroutine then
    kSendInfo,  // itself a message, of which nothing is special
  };
  enum class Result : uint8_t {
    kReply,  // of a call; elsewhere, and in init, the same as kNoReply
    kNoReply,
    kStop,       // `reason`
    kStopReply,  // `reason`; of a call
    kIgnore,     // of init
    kError,      // error(boom)
    kExit,       // exit(reason)
  };
  uint32_t id = 0;
  std::vector<Action> actions;
  Result result = Result::kNoReply;
  std::string reason;           // normal, shutdown, x (detail), boom, kill, killed, noproc
  bool timeout = false;         // of zero
  std::vector<Callback> after;  // at most one: handle_continue
};

struct Step {
  enum class Kind : uint8_t {
    kCall,  // by a process of its own, which waits as long as it takes
    kCast,
    kInfo,
    kSuspend,
    kResume,
    kGetState,
    kTerminate,     // sys:terminate
    kStop,          // gen_server:stop
    kParentExit,    // the parent ends with `reason`
    kParentSignal,  // exit(Server, reason) by the parent
    kSignal,        // the same by a stranger
  };
  Kind kind = Kind::kCall;
  Callback callback;
  std::string reason;
};

// A server and what is done to it. Left out, as rows of docs/deviations.md: throw (Q4, GS-108),
// error(normal) (GS-124), missing callbacks (GS-048, GS-049, GS-052), the 'EXIT' that a trapping
// starter of OTP 25 finds of a failed start (GS-101), and the state after a failure (GS-041).
struct Script {
  uint32_t seed = 0;
  bool link = true;
  Callback init;
  std::vector<Callback> others;  // of timeouts and 'EXIT' messages, in turn; then just noreply
  Callback terminate;            // kNoReply, kError or kExit
  std::vector<Step> steps;
};

Script Generate(uint32_t seed);

// As a term that server_diff.erl reads, ending in ".\n".
std::string ToErlang(const Script& script);

// What our server does with it, on virtual time. After the start and after every step:
//   CALLBACK ID        in order
//   K OP RESULT        what whoever did step K has seen, when it comes
//   parent REASON      the 'EXIT' that the parent has got
//   end REASON         as a monitor sees it
std::vector<std::string> RunOnServer(const Script& script);

}  // namespace banyan::otp_diff

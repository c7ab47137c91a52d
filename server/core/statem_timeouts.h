#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "common/base/payload.h"
#include "common/base/pid.h"
#include "common/time/instant.h"

namespace banyan {

// Which of a state machine's timeouts: OTP's state_timeout, timeout and {timeout,Name}.
struct TimeoutId {
  enum class Kind : uint8_t {
    kState,  // ends with the state
    kEvent,  // ends with the next event, whatever it is
    kNamed,  // ends only when it is set again or cancelled
  };
  Kind kind = Kind::kState;
  std::string name;  // kNamed
  friend bool operator==(const TimeoutId&, const TimeoutId&) = default;
};

// What a transition wants of one timeout.
struct TimeoutRequest {
  enum class Op : uint8_t {
    kStart,    // after `after`; zero: an event that needs no timer, see StatemTimeouts
    kStartAt,  // at `at`; in the past: as soon as the timers get to it
    kCancel,   // unknown: no effect
    kUpdate,   // another content, the same time; not running: an event at once
  };
  TimeoutId id;
  Op op = Op::kStart;
  absl::Duration after;  // not negative; infinite: kCancel
  Instant at;            // infinite: kCancel
  Payload content;
};

// Who runs the timers.
class StatemTimerService {
 public:
  virtual ~StatemTimerService() = default;
  // Starts a timer for a kStart or kStartAt and names it; never 0.
  virtual Ref Start(const TimeoutRequest& request) = 0;
  // After this the timer does not fire, even if it has expired already.
  virtual void Cancel(Ref timer) = 0;
};

// The timeouts of one state machine: at most one of each id. Those set to zero take no timer: they
// are events that come one at a time, in the order in which they were set, when no other event is
// there but in the mailbox.
class StatemTimeouts {
 public:
  struct Fired {
    TimeoutId id;
    Payload content;
  };

  // Leaves of the requests of one transition the last one of each id.
  static void KeepLast(std::vector<TimeoutRequest>* requests);

  void Apply(TimeoutRequest request, StatemTimerService& timers);
  // An event was handled: ends the event timeout and, with the state, the state timeout.
  void EventDone(bool state_changed, StatemTimerService& timers);
  // The timeout whose timer this is; null: none of these. Valid until the next change.
  const Fired* Of(Ref timer) const;
  // The same, and it is over.
  std::optional<Fired> Fire(Ref timer);
  // The zero timeout that was set first, which is over; nullopt: there is none.
  std::optional<Fired> PopZero();

  std::vector<Fired> List() const;  // what runs or is due, in the order set

 private:
  static constexpr Ref kZero = 0;
  struct Entry {
    Fired what;
    Ref timer = kZero;
  };
  std::vector<Entry>::iterator Find(const TimeoutId& id);
  Fired Take(std::vector<Entry>::iterator it);
  void Cancel(const TimeoutId& id, StatemTimerService& timers);

  std::vector<Entry> entries_;  // a handful; the zero ones among them are in the order set
};

}  // namespace banyan

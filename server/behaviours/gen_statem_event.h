#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "common/base/payload.h"
#include "server/core/statem_timeouts.h"
#include "server/runtime/signal.h"

namespace banyan {

enum class EventType : uint8_t {
  kCall,  // a request: answer it with Reply(event.from(), ...), now or later
  kCast,
  kInfo,  // any other message, see message()
  kStateTimeout,
  kTimeout,       // the event timeout
  kNamedTimeout,  // {timeout,Name}, see name()
  kInternal,      // only ever inserted by the machine itself
  kEnter,         // a state enter call: not an event, it cannot be postponed
};

// What a state machine handles: an event of OTP's gen_statem, its type and content. The machine
// owns it; a callback may use it until it has returned or, if it is a coroutine, ended.
class StatemEvent {
 public:
  StatemEvent() = default;  // an internal event without content
  // From the mailbox: a call, a cast or info.
  explicit StatemEvent(Message message);
  explicit StatemEvent(StatemTimeouts::Fired timeout);

  // To be inserted with NextEvent(). Any type may be, as if it had come from outside.
  static StatemEvent Internal(Payload content) {
    return {EventType::kInternal, std::move(content)};
  }
  static StatemEvent Cast(Payload content) { return {EventType::kCast, std::move(content)}; }
  static StatemEvent Call(const CallFrom& from, Payload content);
  static StatemEvent Info(Payload content);
  static StatemEvent StateTimeout(Payload content) {
    return {EventType::kStateTimeout, std::move(content)};
  }
  static StatemEvent Timeout(Payload content) { return {EventType::kTimeout, std::move(content)}; }
  static StatemEvent Timeout(std::string name, Payload content);
  // The machine's own.
  static StatemEvent Enter() { return {EventType::kEnter, {}}; }

  EventType type() const { return type_; }
  bool is_call() const { return type_ == EventType::kCall; }
  bool is_cast() const { return type_ == EventType::kCast; }
  bool is_info() const { return type_ == EventType::kInfo; }
  bool is_internal() const { return type_ == EventType::kInternal; }
  bool is_enter() const { return type_ == EventType::kEnter; }

  const Payload& content() const { return from_mailbox() ? message_.payload() : content_; }
  // The content, if it is exactly a T in memory; else nullptr.
  template <typename T>
  const T* As() const {
    return content().As<T>();
  }
  // kNamedTimeout: whose. Else empty.
  const std::string& name() const;
  // kCall: who waits for the reply. A value: may be kept and answered later, by anybody.
  CallFrom from() const { return message_.call_from(); }
  // kCall and kInfo: the message itself, e.g. a DOWN or an 'EXIT' of a process that traps exits.
  const Message& message() const { return message_; }

  // For people, in OTP's words: "call", "cast", "{timeout,name}", ...
  std::string TypeText() const;

 private:
  StatemEvent(EventType type, Payload content) : type_(type), content_(std::move(content)) {}
  bool from_mailbox() const { return type_ == EventType::kCall || type_ == EventType::kInfo; }

  EventType type_ = EventType::kInternal;
  std::unique_ptr<const std::string> name_;  // null: empty
  Payload content_;
  Message message_{nullptr};
};

}  // namespace banyan

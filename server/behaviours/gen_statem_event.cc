#include "server/behaviours/gen_statem_event.h"

namespace banyan {
namespace {

EventType TypeOf(TimeoutId::Kind kind) {
  switch (kind) {
    case TimeoutId::Kind::kState:
      return EventType::kStateTimeout;
    case TimeoutId::Kind::kEvent:
      return EventType::kTimeout;
    case TimeoutId::Kind::kNamed:
      break;
  }
  return EventType::kNamedTimeout;
}

EventType TypeOf(const Message& message) {
  return message.is_call()   ? EventType::kCall
         : message.is_cast() ? EventType::kCast
                             : EventType::kInfo;
}

}  // namespace

StatemEvent::StatemEvent(Message message) : type_(TypeOf(message)) {
  if (type_ == EventType::kCast) {
    SignalPtr signal = std::move(message).Release();
    content_ = std::move(signal->payload);
  } else {
    message_ = std::move(message);
  }
}

StatemEvent::StatemEvent(StatemTimeouts::Fired timeout)
    : type_(TypeOf(timeout.id.kind)), content_(std::move(timeout.content)) {
  if (!timeout.id.name.empty())
    name_ = std::make_unique<const std::string>(std::move(timeout.id.name));
}

StatemEvent StatemEvent::Call(const CallFrom& from, Payload content) {
  auto signal = std::make_unique<Signal>(SignalKind::kCall);
  signal->from = from.caller;
  signal->ref = from.ref;
  signal->to = from.callee;
  signal->payload = std::move(content);
  return StatemEvent(Message(std::move(signal)));
}

StatemEvent StatemEvent::Info(Payload content) {
  auto signal = std::make_unique<Signal>(SignalKind::kMessage);
  signal->payload = std::move(content);
  return StatemEvent(Message(std::move(signal)));
}

StatemEvent StatemEvent::Timeout(std::string name, Payload content) {
  return StatemEvent(
      StatemTimeouts::Fired{{TimeoutId::Kind::kNamed, std::move(name)}, std::move(content)});
}

const std::string& StatemEvent::name() const {
  static const std::string* const kNone = new std::string();
  return name_ ? *name_ : *kNone;
}

std::string StatemEvent::TypeText() const {
  switch (type_) {
    case EventType::kCall:
      return "call";
    case EventType::kCast:
      return "cast";
    case EventType::kInfo:
      return "info";
    case EventType::kStateTimeout:
      return "state_timeout";
    case EventType::kTimeout:
      return "timeout";
    case EventType::kNamedTimeout:
      return "{timeout," + name() + "}";
    case EventType::kInternal:
      return "internal";
    case EventType::kEnter:
      break;
  }
  return "enter";
}

}  // namespace banyan

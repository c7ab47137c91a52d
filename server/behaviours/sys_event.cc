#include "server/behaviours/sys_event.h"

#include "fmt/format.h"

namespace banyan {
namespace {

constexpr size_t kTextMax = 80;

const char* TypeOf(const Message& m) {
  switch (m.kind()) {
    case SignalKind::kCall:
      return "call";
    case SignalKind::kCast:
      return "cast";
    case SignalKind::kTimeout:
      return m.ref() == 0 ? "timeout" : "timer";
    case SignalKind::kExit:
    case SignalKind::kLinkExit:
      return "EXIT";
    case SignalKind::kDown:
      return "DOWN";
    default:
      return "info";
  }
}

void Add(std::string& line, std::string_view before, std::string_view text) {
  if (text.empty()) return;
  line += before;
  line += text;
}

}  // namespace

SysEvent SysEvent::In(const Message& message) {
  SysEvent e = Of(Kind::kIn);
  e.type = TypeOf(message);
  e.peer = message.from();
  e.content = message.payload();
  e.ref = message.is_call() ? 0 : message.ref();
  e.reason = message.reason();
  return e;
}

SysEvent SysEvent::Out(Payload reply, Pid to) {
  SysEvent e = Of(Kind::kOut);
  e.content = std::move(reply);
  e.peer = to;
  return e;
}

std::string_view SysEventKindName(SysEvent::Kind kind) {
  switch (kind) {
    case SysEvent::Kind::kIn:
      return "in";
    case SysEvent::Kind::kOut:
      return "out";
    case SysEvent::Kind::kNoReply:
      return "noreply";
    case SysEvent::Kind::kContinue:
      return "continue";
    case SysEvent::Kind::kConsume:
      return "consume";
    case SysEvent::Kind::kPostpone:
      return "postpone";
    case SysEvent::Kind::kStartTimer:
      return "start_timer";
    case SysEvent::Kind::kEnter:
      return "enter";
    case SysEvent::Kind::kModule:
      return "module";
    case SysEvent::Kind::kTerminate:
      return "terminate";
    case SysEvent::Kind::kOther:
      break;
  }
  return "event";
}

std::string FormatPayload(const Payload& payload) {
  if (payload.empty()) return {};
  if (const auto* text = payload.As<std::string>())
    return fmt::format("\"{}\"{}", std::string_view(*text).substr(0, kTextMax),
                       text->size() > kTextMax ? "..." : "");
  if (payload.is_local()) return "a local value";
  return fmt::format("{} ({} bytes)", payload.type_name(), payload.size());
}

std::string FormatSysEvent(const SysEvent& e) {
  using Kind = SysEvent::Kind;
  std::string line(SysEventKindName(e.kind));
  Add(line, " ", e.type);
  Add(line, " ", e.module);
  Add(line, " ", FormatPayload(e.content));
  if (e.peer) Add(line, e.kind == Kind::kOut ? " to " : " from ", FormatPid(e.peer));
  if (e.kind == Kind::kStartTimer) Add(line, " in ", absl::FormatDuration(e.time));
  const bool ends = e.kind == Kind::kTerminate || e.type == "EXIT" || e.type == "DOWN";
  if (ends) Add(line, " reason ", e.reason.ToString());
  Add(line, " state ", e.state);
  Add(line, " next ", e.next_state);
  return line;
}

}  // namespace banyan

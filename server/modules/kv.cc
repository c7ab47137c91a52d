#include "server/modules/kv.h"

#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/wire/payload.h"
#include "server/behaviours/module.h"

namespace banyan {
namespace {

namespace pb = modules::v1;

absl::Status CheckKey(const std::string& key, std::string_view field) {
  if (!key.empty() && key.size() <= Kv::kKeyBytesMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("{}: must have 1 to {} bytes, has {}", field, Kv::kKeyBytesMax, key.size()));
}

// A request whose key is good.
template <typename T>
absl::StatusOr<T> Decode(const Payload& request) {
  absl::StatusOr<T> message = wire::UnpackOrError<T>(request);
  if (!message.ok()) return message.status();
  if (absl::Status bad = CheckKey(message->key(), "key"); !bad.ok()) return bad;
  return message;
}

absl::Status CheckArgs(const pb::KvArgs& args) {
  for (const auto& [key, value] : args.initial()) {
    if (absl::Status bad = CheckKey(key, "initial: key"); !bad.ok()) return bad;
  }
  return absl::OkStatus();
}

ExitReason BadArgs(std::string message) { return ExitReason::Error("badarg", std::move(message)); }

}  // namespace

Task<GenServer::InitResult> Kv::Init(std::vector<Payload> args) {
  if (args.size() > 1) {
    return Stop(BadArgs(fmt::format(
        "kv takes at most one argument, a banyan.modules.v1.KvArgs; got {}", args.size())));
  }
  if (args.empty() || args[0].empty()) return Ok();
  absl::StatusOr<pb::KvArgs> parsed = wire::UnpackOrError<pb::KvArgs>(args[0]);
  if (!parsed.ok())
    return Stop(BadArgs(fmt::format("args[0]: {}", std::string(parsed.status().message()))));
  if (absl::Status bad = CheckArgs(*parsed); !bad.ok()) {
    return Stop(BadArgs(fmt::format("args[0].{}", std::string(bad.message()))));
  }
  name_ = parsed->name();
  if (!name_.empty() && !self().Register(name_)) {
    return Stop(
        ExitReason::Error(kAlreadyStarted, fmt::format("args[0].name: \"{}\" is taken", name_)));
  }
  entries_.insert(parsed->initial().begin(), parsed->initial().end());
  return Ok();
}

Task<GenServer::CallResult> Kv::HandleCall(Payload request, CallFrom from) {
  absl::StatusOr<Payload> answer = Payload();
  if (wire::Is<pb::Get>(request)) {
    answer = Get(request);
  } else if (wire::Is<pb::Put>(request)) {
    answer = Put(request);
  } else if (wire::Is<pb::Delete>(request)) {
    answer = Delete(request);
  } else if (wire::Is<pb::Size>(request)) {
    answer = Size();
  } else if (wire::Is<pb::Crash>(request)) {
    return Crash(request);
  } else {
    return NotHandled(request);
  }
  if (!answer.ok()) return ReplyError(answer.status());
  return Reply(*std::move(answer));
}

Task<GenServer::Result> Kv::HandleCast(Payload request) {
  if (wire::Is<pb::Crash>(request)) return Crash(request);
  absl::StatusOr<Payload> done = Payload();
  if (wire::Is<pb::Put>(request)) {
    done = Put(request);
  } else if (wire::Is<pb::Delete>(request)) {
    done = Delete(request);
  } else {
    Warn(fmt::format("cast of {} dropped", request.type_name()));
  }
  // Nobody waits for the outcome of a cast.
  if (!done.ok()) Warn(fmt::format("cast dropped: {}", std::string(done.status().message())));
  return NoReply();
}

absl::StatusOr<Payload> Kv::Get(const Payload& request) const {
  absl::StatusOr<pb::Get> get = Decode<pb::Get>(request);
  if (!get.ok()) return get.status();
  pb::GetReply reply;
  auto it = entries_.find(get->key());
  reply.set_found(it != entries_.end());
  if (reply.found()) reply.set_value(it->second);
  return wire::MakePayload(std::move(reply));
}

absl::StatusOr<Payload> Kv::Put(const Payload& request) {
  absl::StatusOr<pb::Put> put = Decode<pb::Put>(request);
  if (!put.ok()) return put.status();
  auto [it, inserted] = entries_.insert_or_assign(put->key(), put->value());
  pb::PutReply reply;
  reply.set_replaced(!inserted);
  return wire::MakePayload(std::move(reply));
}

absl::StatusOr<Payload> Kv::Delete(const Payload& request) {
  absl::StatusOr<pb::Delete> del = Decode<pb::Delete>(request);
  if (!del.ok()) return del.status();
  pb::DeleteReply reply;
  reply.set_deleted(entries_.erase(del->key()) > 0);
  return wire::MakePayload(std::move(reply));
}

Payload Kv::Size() const {
  pb::SizeReply reply;
  reply.set_keys(entries_.size());
  return wire::MakePayload(std::move(reply));
}

GenServer::Stopping Kv::Crash(const Payload& request) {
  absl::StatusOr<pb::Crash> crash = wire::UnpackOrError<pb::Crash>(request);
  if (crash.ok() && crash->normal()) return Stop(ExitReason::Normal());
  std::string message = crash.ok() ? crash->message() : "";
  return Stop(ExitReason::Error("crash", message.empty() ? "crash requested" : std::move(message)));
}

absl::StatusOr<Payload> Kv::GetState() {
  pb::KvArgs state;
  state.set_name(name_);
  for (const auto& [key, value] : entries_) (*state.mutable_initial())[key] = value;
  return wire::MakePayload(std::move(state));
}

absl::Status Kv::ReplaceState(const Payload& state) {
  absl::StatusOr<pb::KvArgs> parsed = wire::UnpackOrError<pb::KvArgs>(state);
  absl::Status bad = parsed.ok() ? CheckArgs(*parsed) : parsed.status();
  if (!bad.ok()) return MakeError("STATE_INVALID", std::string(bad.message()));
  entries_ = {parsed->initial().begin(), parsed->initial().end()};
  return absl::OkStatus();
}

void Kv::Warn(const std::string& text) const {
  if (ProcessReports* reports = host().reports)
    reports->OnWarning(self().pid(), context().module, text);
}

}  // namespace banyan

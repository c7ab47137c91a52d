#include "tests/faults/probe.h"

#include <cstdlib>
#include <sstream>
#include <utility>

#include "fmt/format.h"
#include <unistd.h>

#include "banyan/modules/v1/kv.pb.h"
#include "common/base/error.h"
#include "common/wire/payload.h"
#include "server/behaviours/module.h"

namespace banyan::faults {
namespace {

namespace pb = modules::v1;

constexpr absl::Duration kLookEvery = absl::Milliseconds(5);
constexpr absl::Duration kCallLimit = absl::Seconds(30);
constexpr char kFiller = 'x';            // what fills large requests; no order begins with it
constexpr size_t kNotedBytesMax = 1000;  // larger messages are counted, not written down

bool IsThere(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

Pid ReadPid(std::istringstream& in) {
  Pid pid;
  in >> pid.node_id >> pid.incarnation >> pid.id;
  return pid;
}

std::string PidField(Pid pid) {
  return fmt::format("\"{} {} {}\"", pid.node_id, pid.incarnation, pid.id);
}

std::map<std::string, std::string> OptionsOf(const std::vector<Payload>& args) {
  if (args.empty()) return {};
  absl::StatusOr<pb::KvArgs> parsed = wire::UnpackOrError<pb::KvArgs>(args[0]);
  if (!parsed.ok()) return {};
  return {parsed->initial().begin(), parsed->initial().end()};
}

Payload Numbered(uint64_t number, int bytes) {
  pb::Put put;
  put.set_key(fmt::format("{}", number));
  put.set_value(std::string(bytes, kFiller));
  return wire::MessagePayload(put);
}

Payload Answer(std::string text) {
  pb::GetReply reply;
  reply.set_found(true);
  reply.set_value(std::move(text));
  return wire::MessagePayload(reply);
}

}  // namespace

// However the process ended, this is when nothing of it runs any more.
Probe::~Probe() {
  if (started_) Note("exit");
}

Task<GenServer::InitResult> Probe::Init(std::vector<Payload> args) {
  return InitWith(OptionsOf(args));
}

Task<GenServer::InitResult> Probe::InitWith(std::map<std::string, std::string> options) {
  history_ = &HistoryFile::Of(host().node);
  child_ = context().child_id;
  fence_ = self().fence();
  Note("init");
  while (IsThere(options["hold_init_if"])) co_await self().Sleep(kLookEvery);
  if (IsThere(options["fail_if"])) co_return Stop(ExitReason::Error("told_to_fail"));
  self().SetTrapExit(true);
  started_ = true;
  Note("start");
  if (!options["tick_ms"].empty()) tick_ = absl::Milliseconds(std::stoi(options["tick_ms"]));
  ArmTick();
  co_return Ok();
}

Task<GenServer::CallResult> Probe::HandleCall(Payload request, CallFrom) {
  absl::StatusOr<pb::Get> get = wire::UnpackOrError<pb::Get>(request);
  if (!get.ok()) return Reply(Answer("not an order"));
  if (get->key().starts_with(kFiller)) return Reply(Answer("done"));
  return Obey(get->key());
}

Task<GenServer::Result> Probe::HandleCast(Payload request) {
  absl::StatusOr<pb::Get> get = wire::UnpackOrError<pb::Get>(request);
  if (get.ok()) (void)co_await Obey(get->key());
  co_return NoReply();
}

Task<GenServer::Result> Probe::HandleInfo(Message message) {
  if (message.is_timeout()) {
    const int64_t begin = NowNs();
    ++count_;
    WriteRegister();
    Note("dispatch", fmt::format("\"end\":{}", NowNs()), begin);
    ArmTick();
  } else if (message.is_exit()) {
    Note("exit_signal", fmt::format("\"from\":{},\"reason\":\"{}\"", PidField(message.from()),
                                    static_cast<int>(message.reason().kind())));
  } else if (message.is_down()) {
    Note("down", fmt::format("\"ref\":{},\"from\":{},\"reason\":\"{}\"", message.ref(),
                             PidField(message.from()), static_cast<int>(message.reason().kind())));
  } else if (message.is_info()) {
    return OnNumbered(message.from(), message.payload());
  }
  return NoReply();
}

Task<void> Probe::Terminate(ExitReason) {
  while (!stubborn_.empty() && IsThere(stubborn_)) co_await self().Sleep(kLookEvery);
}

Task<GenServer::CallResult> Probe::Obey(std::string order) {
  const int64_t begin = NowNs();
  std::istringstream in(order);
  std::string verb, path, answer = "done";
  in >> verb;
  if (verb == "info") {
    answer = Info();
  } else if (verb == "count") {
    answer = Count();
  } else if (verb == "link" || verb == "unlink" || verb == "monitor") {
    answer = Link(verb, ReadPid(in));
  } else if (verb == "busy") {
    in >> path;
    answer = Busy(path);
  } else if (verb == "send") {
    const Pid to = ReadPid(in);
    int count = 0, bytes = 0;
    in >> count >> bytes;
    Send(to, count, bytes);
  } else if (verb == "big") {
    const Pid to = ReadPid(in);
    size_t bytes = 0;
    in >> bytes;
    answer = co_await CallBig(to, bytes);
  } else if (verb == "slow") {
    int ms = 0;
    in >> ms;
    slow_ = absl::Milliseconds(ms);
  } else if (verb == "received") {
    answer = fmt::format("{} {}", received_, out_of_order_);
  } else if (verb == "stubborn") {
    in >> stubborn_;
  } else if (verb == "crash") {
    co_return Stop(ExitReason::Error("told_to_crash"));
  } else if (verb == "stop") {
    co_return Stop(ExitReason::Normal());
  } else if (verb == "abort") {
    std::abort();
  } else if (verb == "pool") {
    int size = 0;
    in >> size;
    answer = pool_.Start(self(), size);
  } else if (verb == "mesh") {
    uint32_t node_id = 0, incarnation = 0;
    size_t first = 0, count = 0;
    std::string ids;
    in >> node_id >> incarnation >> first >> count >> ids;
    pool_.Mesh(self(), node_id, incarnation, ids, first, count);
  } else if (verb == "pool_linked") {
    answer = fmt::format("{}", pool_.Linked(self().runtime()));
  } else if (verb == "pool_stats") {
    answer = pool_.Stats();
  } else {
    co_return ReplyError(absl::InvalidArgumentError(fmt::format("key: no order '{}'", order)));
  }
  if (verb != "big") Note("dispatch", fmt::format("\"end\":{}", NowNs()), begin);
  co_return Reply(Answer(std::move(answer)));
}

Task<GenServer::Result> Probe::OnNumbered(Pid from, Payload payload) {
  absl::StatusOr<pb::Put> put = wire::UnpackOrError<pb::Put>(payload);
  if (!put.ok()) co_return NoReply();
  const uint64_t number = std::stoull(put->key());
  uint64_t& last = last_number_[from];
  ++received_;
  if (number <= last) ++out_of_order_;
  last = std::max(last, number);
  if (put->value().size() <= kNotedBytesMax)
    Note("recv", fmt::format("\"from\":{},\"number\":{}", PidField(from), number));
  if (slow_ > absl::ZeroDuration()) co_await self().Sleep(slow_);
  co_return NoReply();
}

// Written down before the deed: what follows from it cannot come earlier.
std::string Probe::Link(const std::string& verb, Pid to) {
  if (verb == "monitor") {
    const int64_t begin = NowNs();
    const Ref ref = self().Monitor(to);
    Note("monitor", fmt::format("\"ref\":{},\"to\":{}", ref, PidField(to)), begin);
    return fmt::format("{}", ref);
  }
  Note(verb, fmt::format("\"to\":{}", PidField(to)));
  if (verb == "link") {
    self().Link(to);
  } else {
    self().Unlink(to);
  }
  return "done";
}

void Probe::Send(Pid to, int count, int bytes) {
  uint64_t& number = last_number_[Pid{~0u, to.node_id, to.id}];  // of what was sent to `to`
  for (int i = 0; i < count; ++i) self().Send(to, Numbered(++number, bytes));
}

Task<std::string> Probe::CallBig(Pid to, size_t bytes) {
  pb::Get get;
  get.set_key(std::string(bytes, kFiller));
  absl::StatusOr<Payload> reply = co_await self().Call(to, wire::MessagePayload(get), kCallLimit);
  co_return reply.ok() ? "OK" : std::string(ErrorReason(reply.status()));
}

// Code on a thread, which nothing can freeze.
std::string Probe::Busy(const std::string& path) {
  int64_t noted = NowNs();
  Note("dispatch", fmt::format("\"end\":{}", noted), noted);
  while (IsThere(path)) {
    usleep(500);
    const int64_t now = NowNs();
    if (now - noted < 2'000'000) continue;
    Note("dispatch", fmt::format("\"end\":{}", now), noted);
    noted = now;
  }
  WriteRegister();
  return Info();
}

std::string Probe::Count() {
  ++count_;
  WriteRegister();
  return Info();
}

std::string Probe::Info() const { return fmt::format("{} {} {}", fence_, count_, getpid()); }

void Probe::WriteRegister() {
  if (history_->folder().empty()) return;
  uint64_t seq = 0;
  const bool accepted =
      WriteFenced(fmt::format("{}/register-{}", history_->folder(), child_), fence_, &seq);
  Note("ext_write", fmt::format("\"accepted\":{},\"seq\":{}", accepted, seq));
}

void Probe::ArmTick() {
  if (tick_ > absl::ZeroDuration()) self().StartTimer(tick_);
}

void Probe::Note(std::string_view event, const std::string& more, int64_t t_ns) const {
  history_->Write(event,
                  fmt::format("\"child\":\"{}\",\"fence\":{}{}{}", child_, fence_,
                              more.empty() ? "" : ",", more),
                  t_ns);
}

}  // namespace banyan::faults

// What code that is no process does to one of this runtime, with an answer or on another's behalf.
#include "fmt/format.h"

#include "common/base/error.h"
#include "server/runtime/process.h"
#include "server/runtime/process_table.h"
#include "server/runtime/runtime.h"
#include "server/runtime/undeliverable.h"

namespace banyan {

bool Runtime::TakeRoom(Process* p, Pid to) {
  const uint32_t waiting = p->queued_.fetch_add(1, std::memory_order_relaxed);
  if (waiting < p->max_messages_.load(std::memory_order_relaxed) || !p->Alive(to.generation()))
    return true;
  p->queued_.fetch_sub(1, std::memory_order_relaxed);
  counters_.mailbox_full.fetch_add(1, std::memory_order_relaxed);
  return false;
}

absl::Status Runtime::Put(Pid to, Payload payload, SignalKind kind) {
  Process* p = to.local() ? table_->Get(to) : nullptr;
  if (!p || !p->Alive(to.generation())) {
    return MakeError("NOPROC", fmt::format("there is no process {}", FormatPid(to)),
                     {{"target", FormatPid(to)}});
  }
  if (!TakeRoom(p, to))
    return MailboxFull(to, p->max_messages_.load(std::memory_order_relaxed), "messages");
  auto s = std::make_unique<Signal>(kind);
  s->to = to;
  s->payload = std::move(payload);
  p->Push(std::move(s));
  return absl::OkStatus();
}

// On the process's own turn, since the table is its own.
void Runtime::Unlink(Pid pid, Pid from) {
  auto s = std::make_unique<Signal>(SignalKind::kWake);
  s->to = pid;
  s->payload = Payload::Local(std::function<void(Process&)>([pid, from](Process& p) {
    if (p.Alive(pid.generation())) p.self_.Unlink(from);
  }));
  Enqueue(std::move(s));
}

}  // namespace banyan

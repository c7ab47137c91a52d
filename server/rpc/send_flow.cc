#include "server/rpc/send_flow.h"

#include <algorithm>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/wire/payload.h"
#include "server/rpc/validate.h"

namespace banyan::rpc {
namespace {

// Whether what was found for one is right for the other, which waits behind it. Not for groups:
// each message picks its member.
bool SameTarget(const v1::Target& a, const v1::Target& b) {
  if (a.kind_case() != b.kind_case()) return false;
  switch (a.kind_case()) {
    case v1::Target::kPid:
      return a.pid().id() == b.pid().id() && a.pid().node_id() == b.pid().node_id() &&
             a.pid().incarnation() == b.pid().incarnation();
    case v1::Target::kName:
      return a.name() == b.name();
    case v1::Target::kLocalName:
      return a.local_name().node() == b.local_name().node() &&
             a.local_name().name() == b.local_name().name();
    case v1::Target::kChild:
      return a.child().supervisor() == b.child().supervisor() &&
             std::equal(a.child().child_ids().begin(), a.child().child_ids().end(),
                        b.child().child_ids().begin(), b.child().child_ids().end());
    default:
      return false;
  }
}

// The word for a failure that carries none.
std::string ReasonOf(const absl::Status& status) {
  std::string reason = ErrorReason(status);
  return reason.empty() ? "NOT_DELIVERED" : reason;
}

bool MayHaveMoved(const std::string& reason) {
  return reason == "NOPROC" || reason == "NOT_DELIVERED" || reason == "NOCONNECTION";
}

}  // namespace

void SendFlow::Start(std::unique_ptr<Router> router) {
  router_ = std::move(router);
  Pump();
}

void SendFlow::Refuse(absl::Status status) {
  {
    MutexLock lock(&mu_);
    EndWith(std::move(status));
  }
  Pump();
}

// ------------------------------------------------------- the call's side

absl::Status SendFlow::Check(const std::optional<v1::SendStreamRequest>& message) const {
  if (!message) {
    return MakeError("REQUEST_INVALID",
                     "the message cannot be read as a banyan.v1.SendStreamRequest");
  }
  return Validate(*message, read_ + 1);
}

void SendFlow::OnRead(std::optional<v1::SendStreamRequest> message) {
  {
    MutexLock lock(&mu_);
    reading_ = false;
    if (!ending_) {
      if (absl::Status bad = Check(message); !bad.ok()) {
        ErrorInfo taken;
        taken.metadata["acceptedSeq"] = fmt::format("{}", read_);
        EndWith(WithErrorInfo(std::move(bad), taken));
      } else {
        Waiting next{++read_, router_->clock().Now() + kFindTargetMax, *std::move(message)};
        Entry& entry = unconfirmed_.emplace_back();
        entry.bytes = next.message.ByteSizeLong();
        if (next.message.target().kind_case() == v1::Target::kName)
          entry.name = next.message.target().name();
        unsettled_bytes_ += entry.bytes;
        waiting_.push_back(std::move(next));
      }
    }
  }
  Dispatch();
  Pump();
}

void SendFlow::OnReadsOver() {
  {
    MutexLock lock(&mu_);
    reading_ = false;
    EndWith(absl::OkStatus());
  }
  Pump();
}

void SendFlow::OnWritten(bool ok) {
  {
    MutexLock lock(&mu_);
    writing_ = false;
    if (ok) told_ = telling_;
  }
  ok ? Pump() : OnCancelled();
}

void SendFlow::OnCancelled() {
  {
    MutexLock lock(&mu_);
    gone_ = true;
    EndWith(absl::CancelledError("cancelled by the client"));
    waiting_.clear();
  }
  CloseLegs(true);
  Pump();
}

void SendFlow::OnOver() {
  {
    MutexLock lock(&mu_);
    wire_ = nullptr;
    gone_ = ending_ = ended_ = true;
    waiting_.clear();
  }
  CloseLegs(true);
}

void SendFlow::EndWith(absl::Status status) {
  if (std::exchange(ending_, true)) return;
  status_ = std::move(status);
}

// Under the lock although it starts an operation: only so is it certain that the call has not been
// ended meanwhile.
void SendFlow::Read() {
  const bool full = read_ - told_ >= kUnconfirmedMax || unsettled_bytes_ >= kUnsettledBytesMax;
  if (wire_ == nullptr || reading_ || ending_ || gone_ || full) return;
  reading_ = true;
  wire_->StartReading();
}

// Starts what can be started on the call: one read, and one write or the end. The write and the end
// are decided under the lock and begun after it, for their reactions may end the call; `writing_`
// and `ended_` keep others off.
void SendFlow::Pump() {
  Wire* wire = nullptr;
  bool write = false;
  v1::SendStreamResponse response;
  absl::Status status;
  {
    MutexLock lock(&mu_);
    Read();
    if (wire_ == nullptr || writing_ || ended_) return;
    const bool news = accepted_ > told_ || failures_.failures_size() > 0;
    if (news && !gone_) {
      response.Swap(&failures_);
      response.set_accepted_seq(telling_ = accepted_);
      writing_ = write = true;
    } else if (ending_ && (gone_ || accepted_ == read_)) {
      ended_ = true;
      status = gone_ && status_.ok() ? absl::CancelledError("the client is gone") : status_;
    } else {
      return;
    }
    wire = wire_;
  }
  if (write) return wire->StartWriting(response);
  CloseLegs(false);
  wire->End(status);
}

// ------------------------------------------------------------ the way on

// One thread at a time, and each message of the batch before the next is looked for: that is the
// order in which messages arrive.
void SendFlow::Dispatch() {
  {
    MutexLock lock(&mu_);
    if (std::exchange(dispatching_, true)) return;
  }
  for (;;) {
    std::vector<Waiting> batch;
    absl::StatusOr<Place> place = Place();
    std::optional<v1::Target> target;
    Instant deadline;
    {
      MutexLock lock(&mu_);
      if (found_) {
        place = *std::exchange(found_, std::nullopt);
        finding_ = false;
        while (!waiting_.empty() &&
               (batch.empty() ||
                SameTarget(batch.front().message.target(), waiting_.front().message.target()))) {
          batch.push_back(std::move(waiting_.front()));
          waiting_.pop_front();
        }
        if (!place.ok() && router_->stopping()) EndWith(place.status());
      } else if (!finding_ && !waiting_.empty()) {
        finding_ = true;
        target = waiting_.front().message.target();
        deadline = waiting_.front().deadline;
      } else {
        dispatching_ = false;
        return;
      }
    }
    if (target) {
      router_->Find(*target, deadline, [self = shared_from_this()](absl::StatusOr<Place> found) {
        self->OnFound(std::move(found));
      });
    }
    for (Waiting& message : batch) Deliver(std::move(message), place);
  }
}

void SendFlow::OnFound(absl::StatusOr<Place> place) {
  {
    MutexLock lock(&mu_);
    found_ = std::move(place);
  }
  Dispatch();
}

void SendFlow::Deliver(Waiting message, const absl::StatusOr<Place>& place) {
  if (!place.ok()) return OnSettled(message.seq, ReasonOf(place.status()));
  if (!place->pid.valid()) return SendOn(std::move(message), *place);
  const bool cast = message.message.cast();
  const absl::Status put = router_->Put(
      place->pid, wire::FromProto(std::move(*message.message.mutable_payload())), cast);
  OnSettled(message.seq, put.ok() ? "" : ReasonOf(put));
}

void SendFlow::SendOn(Waiting message, const Place& place) {
  *message.message.mutable_target() = place.target;
  std::shared_ptr<Leg> leg;
  {
    MutexLock lock(&mu_);
    if (auto it = legs_.find(place.address); it != legs_.end()) leg = it->second;
  }
  if (leg != nullptr && leg->Send(message.seq, &message.message)) return;
  absl::StatusOr<std::shared_ptr<Leg>> opened =
      router_->Open(place.address, [self = shared_from_this()](uint64_t seq, std::string reason) {
        self->OnSettled(seq, std::move(reason));
      });
  if (!opened.ok()) return OnSettled(message.seq, ReasonOf(opened.status()));
  bool gone = false;
  {
    MutexLock lock(&mu_);
    gone = gone_;
    if (!gone) legs_[place.address] = *opened;
  }
  if (gone) return (*opened)->Cut();
  if (!(*opened)->Send(message.seq, &message.message)) OnSettled(message.seq, "NOT_DELIVERED");
}

void SendFlow::OnSettled(uint64_t seq, std::string reason) {
  std::string name;
  {
    MutexLock lock(&mu_);
    if (seq <= accepted_ || seq > read_) return;
    Entry& entry = unconfirmed_[seq - accepted_ - 1];
    if (std::exchange(entry.settled, true)) return;
    unsettled_bytes_ -= entry.bytes;
    if (MayHaveMoved(reason)) name = std::move(entry.name);
    if (!reason.empty()) {
      v1::SendFailure* failure = failures_.add_failures();
      failure->set_seq(seq);
      failure->set_reason(std::move(reason));
    }
    while (!unconfirmed_.empty() && unconfirmed_.front().settled) {
      unconfirmed_.pop_front();
      ++accepted_;
    }
  }
  if (!name.empty()) router_->Lost(name);
  Pump();
}

void SendFlow::CloseLegs(bool cut) {
  std::map<std::string, std::shared_ptr<Leg>> legs;
  {
    MutexLock lock(&mu_);
    legs.swap(legs_);
  }
  for (const auto& [address, leg] : legs) cut ? leg->Cut() : leg->Close();
}

}  // namespace banyan::rpc

#include "server/coordinator/journal.h"

#include <utility>

#include "common/base/check.h"

namespace banyan {

void Journal::Put(std::string key, const google::protobuf::MessageLite& value) {
  // A key written twice in a turn keeps the last value; the store applies puts in order.
  txn_.Put(std::move(key), value.SerializeAsString());
}

void Journal::RunAll(std::vector<Fn>* fns) {
  for (Fn& fn : std::exchange(*fns, {})) fn();
}

void Journal::Commit() {
  while (!now_.empty()) RunAll(&now_);
  if (txn_.empty() && after_.empty()) return;
  if (txn_.empty()) {
    if (!batches_.empty()) {
      auto& last = batches_.back().after;
      last.insert(last.end(), std::make_move_iterator(after_.begin()),
                  std::make_move_iterator(after_.end()));
      after_.clear();
      return;
    }
    RunAll(&after_);
    // What they changed in turn.
    return Commit();
  }
  batches_.push_back({++last_number_, std::exchange(txn_, {}), std::exchange(after_, {})});
  if (!full_) Submit(&batches_.back());
}

void Journal::Submit(Batch* batch) {
  submitted_ = batch->number;
  batch->txn.attempt = attempt_;
  deps_.store->Commit(batch->txn, [this, number = batch->number, attempt = attempt_,
                                   post = post_](absl::StatusOr<uint64_t> revision) {
    const bool ok = revision.ok();
    const bool closing = absl::IsCancelled(revision.status());
    post([this, number, attempt, ok, closing] { OnDone(number, attempt, ok, closing); });
  });
}

void Journal::OnDone(uint64_t number, uint64_t attempt, bool ok, bool closing) {
  if (closing || batches_.empty()) return;
  if (!ok) return OnFailed(attempt);
  BANYAN_CHECK(number == batches_.front().number);
  Batch done = std::move(batches_.front());
  batches_.pop_front();
  deps_.run([this, &done] {
    if (std::exchange(full_, false)) {
      for (Batch& batch : batches_) {
        if (batch.number > submitted_) Submit(&batch);
      }
      deps_.on_full(false);
    }
    for (Fn& fn : done.after) fn();
  });
}

// Everything behind it fails too, whenever it was handed over: the store sees to that by `attempt`.
void Journal::OnFailed(uint64_t attempt) {
  if (attempt != attempt_ || std::exchange(waits_, true)) return;
  deps_.retry_later([this] {
    waits_ = false;
    ++attempt_;
    for (Batch& batch : batches_) Submit(&batch);
  });
  if (!std::exchange(full_, true)) deps_.run([this] { deps_.on_full(true); });
}

}  // namespace banyan

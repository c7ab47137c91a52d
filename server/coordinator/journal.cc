#include "server/coordinator/journal.h"

#include <utility>

namespace banyan {

void Journal::Put(std::string key, const google::protobuf::MessageLite& value) {
  // A key written twice in a turn keeps the last value; the store applies puts in order.
  txn_.Put(std::move(key), value.SerializeAsString());
}

void Journal::Commit() {
  if (txn_.empty() && after_.empty()) return;
  if (txn_.empty()) {
    if (!batches_.empty()) {
      auto& last = batches_.back().after;
      last.insert(last.end(), std::make_move_iterator(after_.begin()),
                  std::make_move_iterator(after_.end()));
      after_.clear();
      return;
    }
    std::vector<Fn> now = std::move(after_);
    after_.clear();
    for (Fn& fn : now) fn();
    // What they changed in turn.
    return Commit();
  }
  Batch batch{++last_number_, std::move(txn_), std::move(after_)};
  txn_ = {};
  after_.clear();
  batches_.push_back(std::move(batch));
  if (!full_) Submit(batches_.back());
}

void Journal::Submit(const Batch& batch) {
  deps_.store->Commit(
      batch.txn, [this, number = batch.number, post = post_](absl::StatusOr<uint64_t> revision) {
        const bool ok = revision.ok();
        const bool closing = absl::IsCancelled(revision.status());
        post([this, number, ok, closing] { OnDone(number, ok, closing); });
      });
}

void Journal::OnDone(uint64_t number, bool ok, bool closing) {
  if (closing || batches_.empty()) return;
  if (!ok) {
    // All that was queued fails with it, in order: wait for the last, then try them all again.
    full_ = true;
    if (++failed_ == 1) {
      deps_.retry_later([this] {
        failed_ = 0;
        full_ = false;
        for (const Batch& batch : batches_) Submit(batch);
      });
    }
    return;
  }
  Batch done = std::move(batches_.front());
  batches_.pop_front();
  deps_.run([&done] {
    for (Fn& fn : done.after) fn();
  });
}

}  // namespace banyan

#include "server/coordinator/journal.h"

#include <utility>

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

#include "common/base/check.h"

namespace banyan {

std::string StableBytes(const google::protobuf::MessageLite& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream out(&bytes);
    google::protobuf::io::CodedOutputStream coded(&out);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

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
  deps_.store->Commit(batch->txn, [this, number = batch->number, attempt = attempt_, post = post_,
                                   all = completions_](absl::StatusOr<uint64_t> revision) {
    bool first = false;
    {
      MutexLock lock(&all->mu);
      first = all->list.empty();
      all->list.push_back({number, attempt, revision.ok(), absl::IsCancelled(revision.status())});
    }
    if (first) post([this] { OnCompletions(); });
  });
}

void Journal::OnCompletions() {
  std::vector<Completion> all;
  {
    MutexLock lock(&completions_->mu);
    all.swap(completions_->list);
  }
  deps_.run([&] {
    for (const Completion& done : all) OnDone(done);
  });
}

void Journal::OnDone(const Completion& completion) {
  if (completion.closing || batches_.empty()) return;
  if (!completion.ok) return OnFailed(completion.attempt);
  BANYAN_CHECK(completion.number == batches_.front().number);
  const Batch done = std::move(batches_.front());
  batches_.pop_front();
  if (std::exchange(full_, false)) {
    for (Batch& batch : batches_) {
      if (batch.number > submitted_) Submit(&batch);
    }
    deps_.on_full(false);
  }
  for (const Fn& fn : done.after) fn();
}

// Everything behind it fails too, whenever it was handed over: the store sees to that by `attempt`.
void Journal::OnFailed(uint64_t attempt) {
  if (attempt != attempt_ || std::exchange(waits_, true)) return;
  deps_.retry_later([this] {
    waits_ = false;
    ++attempt_;
    for (Batch& batch : batches_) Submit(&batch);
  });
  if (!std::exchange(full_, true)) deps_.on_full(true);
}

}  // namespace banyan

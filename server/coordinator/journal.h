#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "google/protobuf/message_lite.h"

#include "common/base/mutex.h"
#include "server/coordinator/store/store.h"

namespace banyan {

// Bytes that are the same for the same message, maps included.
std::string StableBytes(const google::protobuf::MessageLite& message);

// The order between what is decided, what is durable and what others see.
//
// The state machine works in turns. What a turn changes is gathered into one transaction; what it
// wants to tell others (commands, answers, acks) is queued with After() and happens only when that
// transaction, and every earlier one, is in the store. So nothing that leaves the coordinator can
// be forgotten by it (W1, W4), and the state machine never waits.
//
// A store that is full fails transactions; they are kept and tried again in order until the first
// one succeeds. Until then full() tells the rest to refuse new changes, and reads are answered from
// memory although what they show may not be durable: they must go on (F-14).
class Journal {
 public:
  using Fn = std::function<void()>;
  struct Deps {
    Store* store = nullptr;
    std::function<void(Fn)> run;             // as one turn of the state machine
    std::function<void(Fn)> retry_later;     // after a pause
    std::function<void(bool full)> on_full;  // in a turn
  };
  explicit Journal(Deps deps) : deps_(std::move(deps)) {}
  // Hands over to the executor; called on the store's thread, and does nothing once the journal is
  // gone.
  void set_post(std::function<void(Fn)> post) { post_ = std::move(post); }

  void Put(std::string key, const google::protobuf::MessageLite& value);
  void Put(std::string key, std::string value) { txn_.Put(std::move(key), std::move(value)); }
  void Delete(std::string key) { txn_.Delete(std::move(key)); }
  // Takes back what this turn has put under `key`. To delete it would not do: a transaction's
  // deletes come before its puts.
  void Withdraw(std::string_view key) {
    std::erase_if(txn_.puts, [&](const KeyValue& put) { return put.key == key; });
  }
  void After(Fn fn) { after_.push_back(std::move(fn)); }
  // For what changes nothing: as After, but a full store does not hold it up.
  void AfterUnlessFull(Fn fn) { full_ ? now_.push_back(std::move(fn)) : After(std::move(fn)); }
  // Closes the turn.
  void Commit();
  bool full() const { return full_; }
  bool idle() const { return batches_.empty() && txn_.empty() && after_.empty() && now_.empty(); }

 private:
  struct Batch {
    uint64_t number = 0;
    Txn txn;
    std::vector<Fn> after;
  };
  // What the store has said and the state machine has not heard yet. A group of transactions is
  // done at once, and heard of in one turn.
  struct Completion {
    uint64_t number = 0;
    uint64_t attempt = 0;
    bool ok = false;
    bool closing = false;
  };
  struct Completions {
    Mutex mu;
    std::vector<Completion> list ABSL_GUARDED_BY(mu);
  };
  static void RunAll(std::vector<Fn>* fns);
  void Submit(Batch* batch);
  void OnCompletions();
  void OnDone(const Completion& done);
  void OnFailed(uint64_t attempt);

  const Deps deps_;
  std::function<void(Fn)> post_;
  Txn txn_;
  std::vector<Fn> after_;
  std::vector<Fn> now_;
  const std::shared_ptr<Completions> completions_ = std::make_shared<Completions>();
  std::deque<Batch> batches_;  // in order; those up to submitted_ were handed to the store
  uint64_t last_number_ = 0;
  uint64_t submitted_ = 0;
  uint64_t attempt_ = 1;  // rises with each retry: nothing of a failed one may still succeed
  bool waits_ = false;    // for the next attempt
  bool full_ = false;
};

}  // namespace banyan

#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "google/protobuf/message_lite.h"

#include "server/coordinator/store/store.h"

namespace banyan {

// The order between what is decided, what is durable and what others see.
//
// The state machine works in turns. What a turn changes is gathered into one transaction; what it
// wants to tell others (commands, answers, acks) is queued with After() and happens only when that
// transaction, and every earlier one, is in the store. So nothing that leaves the coordinator can
// be forgotten by it (W1, W4), and the state machine never waits.
//
// A store that is full fails transactions; they are kept and tried again in order, and full() tells
// the rest to refuse new changes meanwhile.
class Journal {
 public:
  using Fn = std::function<void()>;
  struct Deps {
    Store* store = nullptr;
    std::function<void(Fn)> run;          // as one turn of the state machine
    std::function<void(Fn)> retry_later;  // after a pause
  };
  explicit Journal(Deps deps) : deps_(std::move(deps)) {}
  // Hands over to the executor; called on the store's thread, and does nothing once the journal is
  // gone.
  void set_post(std::function<void(Fn)> post) { post_ = std::move(post); }

  void Put(std::string key, const google::protobuf::MessageLite& value);
  void Delete(std::string key) { txn_.Delete(std::move(key)); }
  void After(Fn fn) { after_.push_back(std::move(fn)); }
  // Closes the turn.
  void Commit();
  bool full() const { return full_; }
  bool idle() const { return batches_.empty() && txn_.empty() && after_.empty(); }

 private:
  struct Batch {
    uint64_t number = 0;
    Txn txn;
    std::vector<Fn> after;
  };
  void Submit(const Batch& batch);
  void OnDone(uint64_t number, bool ok, bool closing);

  const Deps deps_;
  std::function<void(Fn)> post_;
  Txn txn_;
  std::vector<Fn> after_;
  std::deque<Batch> batches_;  // submitted, in order
  uint64_t last_number_ = 0;
  uint64_t failed_ = 0;  // batches that failed and wait for the retry
  bool full_ = false;
};

}  // namespace banyan

#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "banyan/v1/actors.pb.h"
#include "common/base/mutex.h"
#include "common/time/instant.h"
#include "common/wire/pid.h"
#include "server/behaviours/start.h"

namespace banyan::rpc {

// How long and how many request ids are remembered, whichever ends sooner (types.proto).
inline constexpr absl::Duration kRequestIdKept = absl::Minutes(15);
inline constexpr size_t kRequestIdsMax = 100'000;

// A value by request id, for as long as ids are remembered.
template <typename T>
class ByRequestId {
 public:
  explicit ByRequestId(size_t max = kRequestIdsMax) : max_(max) {}

  T* Find(const std::string& id, Instant now) {
    while (!ages_.empty() && ages_.front().since + kRequestIdKept < now) DropOldest();
    auto it = values_.find(id);
    return it == values_.end() ? nullptr : &it->second.value;
  }
  void Add(const std::string& id, T value, Instant now) {
    while (!ages_.empty() && values_.size() >= max_) DropOldest();
    values_.insert_or_assign(id, Value{++serial_, std::move(value)});
    ages_.push_back({now, serial_, id});
  }
  void Erase(const std::string& id) { values_.erase(id); }

 private:
  struct Value {
    uint64_t serial;
    T value;
  };
  struct Age {
    Instant since;
    uint64_t serial;
    std::string id;
  };
  void DropOldest() {
    auto it = values_.find(ages_.front().id);
    if (it != values_.end() && it->second.serial == ages_.front().serial) values_.erase(it);
    ages_.pop_front();
  }

  const size_t max_;
  uint64_t serial_ = 0;
  std::map<std::string, Value> values_;
  std::deque<Age> ages_;
};

// The Spawn requests with an id that a node has carried out, and their answers: a repeated one
// starts nothing. Lives as long as the node's life, and so as the processes. Thread-safe.
class SpawnRequests {
 public:
  using Done = std::function<void(const absl::StatusOr<v1::SpawnResponse>&)>;
  struct Entry;

  // Not null: it is new, and Finish() or Refuse() must follow, which answer `done`. Else `done`
  // gets the answer of the one before, now or when there is one, or REQUEST_ID_REUSED. Where it was
  // to be started is no part of the contents, for it was found to be here.
  std::shared_ptr<Entry> Begin(const v1::SpawnRequest& request, Instant now, Done done);
  // The answer, also to all that repeat it.
  void Finish(const std::shared_ptr<Entry>& entry, const absl::StatusOr<v1::SpawnResponse>& answer);
  // The answer where nothing was begun: the same request may come again.
  void Refuse(const std::shared_ptr<Entry>& entry, const absl::Status& status);

 private:
  Mutex mu_;
  ByRequestId<std::shared_ptr<Entry>> entries_ ABSL_GUARDED_BY(mu_);
};

// What Spawn answers to a start that this node carried out.
absl::StatusOr<v1::SpawnResponse> SpawnAnswer(const StartResult& result,
                                              const wire::NodeIdentity& self);

}  // namespace banyan::rpc

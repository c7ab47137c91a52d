#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

namespace banyan {

// The events that a state machine (OTP's gen_statem) has received and not handled: those to be
// handled next, and those postponed until the state changes.
//
// Events only ever enter at the front, because the mailbox is looked into when there are none:
// inserted events before retried ones before those that were there already.
template <typename Event>
class StatemQueue {
 public:
  // The event just handled is to be handled again in another state.
  void Postpone(Event event) { postponed_.push_back(std::move(event)); }

  // The state has changed: the postponed events come next, oldest first.
  void Retry() {
    MoveToFront(postponed_);
    Release(postponed_);
  }

  // `events` come next, the first of them first. Leaves `events` empty.
  void Insert(std::vector<Event>& events) {
    MoveToFront(events);
    events.clear();
  }

  // The next event, taken out; nullopt: there is none but in the mailbox.
  std::optional<Event> Pop() {
    if (pending_.empty()) return std::nullopt;
    std::optional<Event> next(std::move(pending_.back()));
    pending_.pop_back();
    if (pending_.empty()) Release(pending_);
    return next;
  }

  bool empty() const { return pending_.empty(); }
  const std::vector<Event>& postponed() const { return postponed_; }  // oldest first
  const std::vector<Event>& pending() const { return pending_; }      // the next one last

 private:
  // An idle machine keeps no more memory than this many events need.
  static constexpr size_t kKept = 8;

  void MoveToFront(std::vector<Event>& events) {
    pending_.insert(pending_.end(), std::make_move_iterator(events.rbegin()),
                    std::make_move_iterator(events.rend()));
  }
  static void Release(std::vector<Event>& events) {
    events.clear();
    if (events.capacity() > kKept) events.shrink_to_fit();
  }

  std::vector<Event> pending_;  // the next one last
  std::vector<Event> postponed_;
};

}  // namespace banyan

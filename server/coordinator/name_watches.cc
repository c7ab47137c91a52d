#include "server/coordinator/name_watches.h"

#include <algorithm>
#include <utility>

#include "common/base/error.h"
#include "server/coordinator/core.h"

namespace banyan {
namespace {

// Entries in one answer.
constexpr int kBatchMax = 500;

bool Matches(const std::string& name, const std::string& prefix) {
  return name.compare(0, prefix.size(), prefix) == 0;
}

int Size(const v1::WatchNamesResponse& response) {
  return response.registered_size() + response.released_size() + response.unchanged_size();
}

}  // namespace

void NameWatches::Registered(const v1::NameEntry& entry) {
  v1::NameEntry& known = known_[entry.name()];
  if (known.reg_version() == entry.reg_version()) return;
  known = entry;
  Append(entry, true);
}

void NameWatches::Released(const v1::NameEntry& entry) {
  auto it = known_.find(entry.name());
  if (it == known_.end() || it->second.reg_version() != entry.reg_version()) return;
  const v1::NameEntry as_it_was = std::move(it->second);
  known_.erase(it);
  Append(as_it_was, false);
}

void NameWatches::ReleasedBefore(const v1::NameEntry& entry) { Append(entry, false); }

void NameWatches::Append(const v1::NameEntry& entry, bool registered) {
  highest_ = std::max(highest_, entry.reg_version());
  history_.push_back({entry, registered, highest_});
  while (history_.size() > core_->options.events_max) {
    forgotten_at_ = history_.front().at;
    history_.pop_front();
    ++first_;
  }
  FlushLater();
}

void NameWatches::OnHeard() {
  const bool waits = std::any_of(watches_.begin(), watches_.end(),
                                 [](const auto& entry) { return !entry.second.caught_up; });
  if (waits) FlushLater();
}

// Once a turn, after what else it brings.
void NameWatches::FlushLater() {
  if (!std::exchange(fresh_, true)) core_->reconciler.Do([this] { Flush(); });
}

absl::StatusOr<NameWatches::WatchId> NameWatches::Open(const std::string& prefix, uint64_t after) {
  const bool this_term = (after >> 40) == core_->epoch;
  if (this_term && after < forgotten_at_) {
    return MakeError("RESUME_TOKEN_EXPIRED",
                     "the changes after this reg_version are not kept any more: begin with 0");
  }
  const WatchId id = core_->NextWatchId();
  Watch& watch = watches_[id];
  watch.prefix = prefix;
  watch.after = after;
  watch.next = first_ + history_.size();
  if (after != 0) {
    for (const Change& change : history_) {
      const bool missed = !change.registered && (!this_term || change.at >= after);
      if (missed && Matches(change.entry.name(), prefix)) watch.first.push_back(change);
    }
  }
  for (auto it = known_.lower_bound(prefix); it != known_.end() && Matches(it->first, prefix);
       ++it) {
    if (it->second.reg_version() > after) watch.first.push_back({it->second, true, 0});
  }
  return id;
}

void NameWatches::Next(WatchId id, Reply<v1::WatchNamesResponse> done) {
  auto it = watches_.find(id);
  if (it == watches_.end()) return done(absl::CancelledError("the watch was closed"));
  it->second.waiting = std::move(done);
  if (it->second.next < first_) {
    auto answer = std::move(it->second.waiting);
    watches_.erase(it);
    return answer(MakeError("WATCHER_TOO_SLOW", "the stream is read too slowly"));
  }
  Serve(it->second);
}

bool NameWatches::Serve(Watch& watch) {
  v1::WatchNamesResponse response;
  const auto add = [&](const Change& change) {
    *(change.registered ? response.add_registered() : response.add_released()) = change.entry;
  };
  while (!watch.first.empty() && Size(response) < kBatchMax) {
    add(watch.first.front());
    watch.first.pop_front();
  }
  bool told = false;
  if (watch.first.empty() && !std::exchange(watch.snapshot_told, true)) {
    response.set_snapshot_complete(true);
    told = true;
  }
  while (watch.snapshot_told && watch.next < first_ + history_.size() &&
         Size(response) < kBatchMax) {
    const Change& change = history_[watch.next++ - first_];
    const bool known = change.registered && change.entry.reg_version() <= watch.after;
    if (!known && Matches(change.entry.name(), watch.prefix)) add(change);
  }
  told |= CatchUp(watch, &response);
  if (Size(response) == 0 && !told) return false;
  auto done = std::exchange(watch.waiting, nullptr);
  core_->journal.After(
      [done = std::move(done), response = std::move(response)] { done(response); });
  return true;
}

bool NameWatches::CatchUp(Watch& watch, v1::WatchNamesResponse* response) {
  if (watch.caught_up || !watch.snapshot_told || watch.next < first_ + history_.size())
    return false;
  if (core_->names.recovering()) return false;
  if (!std::exchange(watch.listed, true) && watch.after != 0) {
    for (auto it = known_.lower_bound(watch.prefix);
         it != known_.end() && Matches(it->first, watch.prefix); ++it) {
      if (it->second.reg_version() <= watch.after) watch.unchanged.push_back(it->first);
    }
  }
  while (!watch.unchanged.empty() && Size(*response) < kBatchMax) {
    response->add_unchanged(std::move(watch.unchanged.front()));
    watch.unchanged.pop_front();
  }
  if (!watch.unchanged.empty()) return false;
  response->set_caught_up(true);
  return watch.caught_up = true;
}

void NameWatches::Flush() {
  fresh_ = false;
  std::vector<WatchId> slow;
  for (auto& [id, watch] : watches_) {
    if (!watch.waiting) continue;
    if (watch.next < first_) {
      slow.push_back(id);
    } else {
      Serve(watch);
    }
  }
  for (WatchId id : slow) {
    auto entry = watches_.extract(id);
    entry.mapped().waiting(MakeError("WATCHER_TOO_SLOW", "the stream is read too slowly"));
  }
}

}  // namespace banyan

#include "server/core/mass_loss.h"

#include <algorithm>

namespace banyan {
namespace {

bool MoreThan(size_t part, uint32_t percent, size_t all) { return part * 100 > all * percent; }

}  // namespace

void MassLossGuard::OnSuspect(uint32_t node_id, size_t members, Instant now) {
  std::erase_if(recent_, [&](const auto& entry) {
    return now - entry.first > limits_.window || entry.second == node_id;
  });
  recent_.emplace_back(now, node_id);
  // Those that have died since count as members still.
  if (recent_.size() < limits_.least || !MoreThan(recent_.size(), limits_.brake_percent, members))
    return;
  for (const auto& [at, id] : recent_) lost_.insert(id);
  brake_until_ = now + limits_.hold;
  braked_ = true;
}

void MassLossGuard::Update(const std::vector<Suspect>& suspects, size_t members, Instant now) {
  // Over when all are back, or when the rest has been gone for long.
  if (lost_.empty() || now >= brake_until_) {
    braked_ = false;
    lost_.clear();
  }
  // Those lost one after another are no mass: the most within one window count.
  std::vector<Instant> times;
  for (const Suspect& suspect : suspects) times.push_back(suspect.since);
  std::sort(times.begin(), times.end());
  size_t most = 0;
  for (size_t first = 0, last = 0; last < times.size(); ++last) {
    while (times[last] - times[first] > limits_.window) ++first;
    most = std::max(most, last - first + 1);
  }
  mass_ = most >= limits_.least && MoreThan(most, limits_.hold_percent, members);
  if (!mass_) held_until_ = Instant::Infinite();
  held_ = mass_ && now < held_until_;
}

bool MassLossGuard::Hold(Instant now) {
  if (!mass_) return false;
  if (held_until_ == Instant::Infinite()) held_until_ = now + limits_.hold;
  held_ = now < held_until_;
  return held_;
}

bool FlapHistory::Note(std::vector<Instant>* times, Instant now, absl::Duration window,
                       size_t most) {
  std::erase_if(*times, [&](Instant at) { return now - at > window; });
  if (suspects_.empty() && deaths_.empty()) pauses_ = 0;  // it has been calm
  times->push_back(now);
  return times->size() > most;
}

bool FlapHistory::OnSuspect(Instant now) {
  return Note(&suspects_, now, kSuspectWindow, kSuspectMax);
}

bool FlapHistory::OnDeath(Instant now) { return Note(&deaths_, now, kDeathWindow, kDeathMax); }

absl::Duration FlapHistory::NextPause(absl::Duration first, absl::Duration most) {
  const uint32_t doublings = std::min(pauses_++, 5u);
  return std::min(first * (1 << doublings), most);
}

bool QuarantineBudget::Take(size_t members, size_t quarantined, Instant now) {
  const size_t most = std::max<size_t>(2, members / 10);
  tokens_ = tokens_ < 0 ? static_cast<double>(most)
                        : std::min(static_cast<double>(most),
                                   tokens_ + absl::FDivDuration(now - filled_, kRefill));
  filled_ = now;
  if (quarantined >= most || tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

}  // namespace banyan

#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "common/time/instant.h"

namespace banyan {

// Many nodes that fall silent at once are more likely the coordinator's own network than their end
// (cluster.md 2.6). Then replacements are braked, so that the survivors are not stampeded, and
// deaths by lease are held: holding is safe, it only costs availability. Pure; not thread-safe.
class MassLossGuard {
 public:
  struct Limits {
    absl::Duration window = absl::Seconds(30);  // silent "at once"
    absl::Duration hold = absl::Minutes(5);     // of deaths, and of the brake after the last loss
    size_t least = 3;                           // fewer nodes are no mass
    uint32_t brake_percent = 33;                // more than this part of the members: braked
    uint32_t hold_percent = 50;                 // more than this: deaths held too
  };
  struct Suspect {
    uint32_t node_id = 0;
    Instant since;
  };

  explicit MassLossGuard(const Limits& limits) : limits_(limits) {}

  // That member became suspect; `members`: how many there are that are not gone.
  void OnSuspect(uint32_t node_id, size_t members, Instant now);
  void OnTrusted(uint32_t node_id) { lost_.erase(node_id); }
  // Looks at all members; often, and before any death.
  void Update(const std::vector<Suspect>& suspects, size_t members, Instant now);

  // A death by lease is due: true while it must wait. The first one begins the hold.
  bool Hold(Instant now);
  bool braked() const { return braked_; }
  bool held() const { return held_; }

 private:
  const Limits limits_;
  std::vector<std::pair<Instant, uint32_t>> recent_;  // became suspect within the window
  std::set<uint32_t> lost_;                           // of the loss that braked, not back yet
  Instant brake_until_;
  Instant held_until_ = Instant::Infinite();
  bool braked_ = false;
  bool held_ = false;
  bool mass_ = false;
};

// One node that goes and comes (cluster.md 2.6). Pure; not thread-safe.
class FlapHistory {
 public:
  static constexpr absl::Duration kSuspectWindow = absl::Minutes(10);
  static constexpr size_t kSuspectMax = 3;  // more than this within the window are flapping
  static constexpr absl::Duration kDeathWindow = absl::Minutes(30);
  static constexpr size_t kDeathMax = 1;

  // True: it flaps.
  bool OnSuspect(Instant now);
  bool OnDeath(Instant now);
  // How long it shall get nothing this time: `first`, doubled each time, at most `most`.
  absl::Duration NextPause(absl::Duration first = absl::Seconds(30),
                           absl::Duration most = absl::Minutes(15));

 private:
  bool Note(std::vector<Instant>* times, Instant now, absl::Duration window, size_t most);
  std::vector<Instant> suspects_;
  std::vector<Instant> deaths_;
  uint32_t pauses_ = 0;
};

// How many nodes may be quarantined, so that a bad network card of the coordinator cannot
// quarantine the fleet: a tenth of them, at least two, and one more each five minutes.
class QuarantineBudget {
 public:
  static constexpr absl::Duration kRefill = absl::Minutes(5);
  // True: one more may be, and is counted. `quarantined`: how many are now.
  bool Take(size_t members, size_t quarantined, Instant now);

 private:
  double tokens_ = -1;  // below zero: full
  Instant filled_;
};

}  // namespace banyan

#include "tests/sim/mutants.h"

#include "common/base/mutant.h"

namespace banyan::sim {

const std::vector<MutantInfo>& Mutants() {
  static const auto* const kMutants = new std::vector<MutantInfo>{
#ifdef BANYAN_MUTANTS
      {"no-command-session-check", "a node obeys commands of older sessions and terms"},
      {"reassign-before-resync", "a new term replaces children whose node has not reported yet"},
      {"dead-before-lease-end", "a node is declared dead while its lease still runs"},
      {"start-before-commit", "a start is sent before its assignment is durable (W1)"},
      {"thaw-after-dead", "a node whose life is over goes on with its children"},
      {"lease-from-reply", "a lease counts from the acknowledgement's arrival (L1)"},
      {"no-stall-rule", "a coordinator that stood still judges at once (L4)"},
      {"no-term-grace", "a new term counts silence from before it began (L3)"},
      {"no-acceptor-teardown", "a new session is accepted while the old one stands (S3)"},
      {"naive-unlink", "an unlink forgets the link at once"},
      {"no-frame-session-check", "frames of a closed session are acted on (S1)"},
      {"release-on-suspect", "names of a suspect node are given away (N4)"},
      {"no-dedup-record", "requests are not remembered over a failover"},
      {"intensity-reset", "a new term forgets the restarts of the one before"},
      {"ack-after-death", "heartbeats are acknowledged after the death was decided (L7)"},
      {"death-told-early", "a node that asks hears of a death that is not durable (L7)"},
      {"report-ack-before-commit", "a report is acknowledged before it is durable (W4)"},
      {"no-epoch-gate", "older terms are obeyed (L5)"},
      {"orphan-not-killed", "what a node has too much of after a resync stays"},
      {"adopt-lower-fence", "a start of an older fence is taken for the present one"},
      {"rerun-old-start", "a node carries out a start whose fence is not above the highest seen"},
      {"fence-per-term", "fences begin anew in each term"},
      {"place-on-cordoned", "cordoned and draining nodes get new children"},
      {"incarnation-reused", "a node that died comes back under the same incarnation"},
      {"no-freeze", "children run on without a lease until the node hears that it is dead"},
      {"node-loss-counts", "the loss of a node counts against the supervisor's intensity"},
      {"overcommit", "capacity is not looked at"},
      {"epoch-kept", "a new term has the epoch of the one before"},
      {"answer-not-recorded", "the record of a finished request lacks its answer"},
      {"any-unlink-ack", "an unlink ends with the acknowledgement of an earlier one"},
      {"exit-after-unlink", "the exit of a link that is being taken away is delivered"},
      {"resync-releases-names", "names that a node holds are given back when it resyncs (N4)"},
      {"name-outlives-holder", "a holder's end does not give its name up (N4)"},
      {"no-recovery-barrier", "names are granted before all nodes have said what they hold (N2)"},
      {"exclusive-name-runs-on", "who holds an exclusive name runs on without a lease (N5)"},
      {"group-loss-untold", "what a node has no more when it resyncs is not told to the others"},
      {"group-not-awaited", "a group's members are started without waiting for those before"},
      {"group-stops-at-once", "a group's members are stopped all together"},
      {"intensity-not-kept", "restarts are counted, and never too many"},
      {"poison-unmarked", "children whose nodes were lost are not marked"},
      {"crash-unattributed", "what a dying process wrote down is not looked at"},
      {"lost-call-not-executed", "a call whose session was lost counts as one that did not run"},
      {"late-call-runs", "a call is run whose time is over"},
      {"no-credit", "messages do not wait for credit"},
      {"no-safe-mode", "that the store went back in time is not acted on"},
      // What the simulator has found and was repaired.
      {"retry-answered-early", "a retry is answered before the operation's end is durable"},
      {"drain-by-wall", "the deadline of a drain moves with the wall clock"},
      {"retention-by-wall", "requests are forgotten by the wall clock"},
      {"no-resync-after-replacement", "a node keeps its session when its children were replaced"},
      {"exits-forgotten-at-failover", "exits that a planner had put off are lost with the term"},
      {"group-cause-forgotten", "a group's cause that ended again is not retried in a new term"},
#endif
  };
  return *kMutants;
}

bool Activate(const std::string& mutant) {
  for (const MutantInfo& m : Mutants()) {
    if (m.name != mutant) continue;
#ifdef BANYAN_MUTANTS
    active_mutant = m.name;
#endif
    return true;
  }
  return false;
}

}  // namespace banyan::sim

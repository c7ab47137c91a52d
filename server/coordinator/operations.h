#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "google/protobuf/message_lite.h"

#include "banyan/internal/v1/store.pb.h"
#include "server/coordinator/coordinator.h"
#include "server/core/supervisor_action.h"

namespace banyan {

struct Child;
struct ClusterSupervisor;

// One change that was asked for. Its record is part of the very transaction that makes the change,
// so a repeated request finds it, over any number of coordinators (INV-8).
struct Operation {
  internal::v1::OperationRecord record;
  bool kept = false;    // has a record in the store
  Instant since;        // in this term
  bool orphan = false;  // began under an earlier coordinator: ended by looking at what became of it
  bool pending_told = false;
  std::string pending_answer;                                             // for repeated requests
  std::vector<std::function<void(absl::StatusOr<std::string>)>> waiters;  // serialized answers
  std::vector<std::function<void()>> end_waiters;                         // WaitOperation
};

class Operations {
 public:
  explicit Operations(Coordinator::Core* core) : core_(core) {}
  absl::Status Load();

  // Begins the operation, or answers `done` from what is known: the same answer for a repeated
  // request, REQUEST_ID_REUSED, REQUEST_TOO_OLD. Null: nothing is to be done. `request`: kind and
  // contents.
  template <typename T>
  Operation* Begin(const std::string& request_id, const std::string& kind,
                   const std::string& request, std::vector<std::string> path, Reply<T> done) {
    return BeginRaw(request_id, kind, request, std::move(path),
                    [done = std::move(done)](absl::StatusOr<std::string> bytes) {
                      if (!bytes.ok()) return done(bytes.status());
                      T answer;
                      answer.ParseFromString(*bytes);
                      done(std::move(answer));
                    });
  }
  Operation* BeginRaw(const std::string& request_id, const std::string& kind,
                      const std::string& request, std::vector<std::string> path,
                      std::function<void(absl::StatusOr<std::string>)> done);
  void Finish(Operation* op, const google::protobuf::MessageLite& answer, std::string result);
  void Fail(Operation* op, const absl::Status& status, std::string result = "failed");
  // Nothing was begun, and the same request may come again: answered and forgotten.
  void Refuse(Operation* op, const absl::Status& status);
  // Answers those who wait now; the operation goes on under its id.
  void TellPending(Operation* op, const std::string& message, Instant latest);

  // Answers all who ask, now and later; the operation goes on under its id until it is ended.
  void Answer(Operation* op, const google::protobuf::MessageLite& answer);
  void EndAnswered(Operation* op, std::string result);
  // Null: it is not known any more.
  Operation* Find(const std::string& id);

  // A planner's operation number whose reply goes to `fn`.
  OpId Track(std::function<void(const OpResult&)> fn);
  void OnReply(OpId op, const OpResult& result);
  void OnSupervisorStarted(ClusterSupervisor* sup);
  void OnSupervisorExited(ClusterSupervisor* sup, const ExitReason& reason);
  // Who waits for a supervisor to come up, or to end.
  void WaitForStart(ClusterSupervisor* sup, Operation* op) { starting_[PathOf(sup)].push_back(op); }
  void WaitForExit(ClusterSupervisor* sup, Operation* op) { stopping_[PathOf(sup)].push_back(op); }
  // The terminations of a child whose node cannot be reached are answered as pending; so are those
  // of the supervisors above it, which wait for it.
  void TerminateOf(Child* child, Operation* op);
  void OnStopOrdered(Child* child);
  void OnUnreachable(Child* child);
  // Its node's life has ended: what was pending ends with it.
  void OnDeathDecides(Child* child);
  // Whether the last stop of that child was its node's death; asked once.
  bool TakeDeath(const std::string& path_key) { return by_death_.erase(path_key) > 0; }

  void Wait(const std::string& id, Instant deadline, Reply<v1::WaitOperationResponse> done);
  // Ends those of an earlier coordinator whose outcome can be seen; at the end of each turn.
  void CheckOrphans();

 private:
  static std::string PathOf(const ClusterSupervisor* sup);
  void Store(Operation* op);
  void End(Operation* op, absl::StatusOr<std::string> answer, std::string result);
  void Evict();
  bool TooOld(const std::string& request_id) const;
  v1::WaitOperationResponse Outcome(const Operation& op) const;
  void CheckOrphan(Operation* op);

  Coordinator::Core* const core_;
  std::map<std::string, std::unique_ptr<Operation>> all_;  // by id
  std::deque<std::string> by_age_;
  absl::flat_hash_map<OpId, std::function<void(const OpResult&)>> replies_;
  std::map<std::string, std::vector<Operation*>> starting_, stopping_;  // by supervisor path
  std::map<std::string, std::vector<std::string>> terminating_;  // child path -> operation ids
  std::set<std::string> by_death_;
  std::set<std::string> orphans_;
  OpId last_op_ = 0;
  absl::Time floor_ = absl::InfinitePast();  // the newest UUIDv7 that was dropped
};

}  // namespace banyan

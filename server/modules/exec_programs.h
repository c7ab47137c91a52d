#pragma once

#include <memory>

#include "absl/container/flat_hash_map.h"

#include "common/base/mutex.h"
#include "server/modules/exec_program.h"

namespace banyan {

// The programs of a node's exec children, so that what freezes the exclusive ones at the end of the
// lease (decisions: SIGSTOP at T_freeze, SIGCONT on thaw) reaches them. Thread-safe. Outlives the
// runtime.
class ExecPrograms {
 public:
  // Exclusive programs are stopped with all their descendants, also those started from now on, or
  // go on.
  void SetFrozen(bool frozen);
  size_t size() const;

  // By the exec actor, when its program runs and when it is over.
  void Add(std::shared_ptr<ExecProgram> program, bool exclusive);
  void Remove(const ExecProgram* program);

 private:
  mutable Mutex mu_;
  bool frozen_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_map<const ExecProgram*, std::pair<std::shared_ptr<ExecProgram>, bool>> programs_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace banyan

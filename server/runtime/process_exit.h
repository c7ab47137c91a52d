#pragma once

#include <exception>
#include <utility>

#include "common/base/exit_reason.h"

namespace banyan {

// exit(Reason) as something to throw, from any depth of a process's code: the process ends with
// exactly this reason unless somebody catches it, and a behaviour runs its terminate first. As
// opposed to Self::ExitSelf, which nobody can catch and which runs nothing but destructors.
class ProcessExit : public std::exception {
 public:
  explicit ProcessExit(ExitReason reason) : reason_(std::move(reason)) {}
  const ExitReason& reason() const { return reason_; }
  const char* what() const noexcept override { return "exit of the process"; }

 private:
  ExitReason reason_;
};

}  // namespace banyan

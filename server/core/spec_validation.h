#pragma once

#include <string>
#include <vector>

#include "server/core/child_spec.h"

namespace banyan {

// One thing wrong with a specification.
struct SpecProblem {
  std::string field;        // path, e.g. "children[2].significant"
  std::string description;  // what is wrong and what is allowed
  std::string otp_error;    // OTP's error tag: "bad_combination", "duplicate_child_name", ...
};

// All problems of a specification made in code, in the order in which OTP checks, so the first is
// the one OTP would name: flags, then each child, then duplicate ids. Empty: valid.
std::vector<SpecProblem> ValidateSpec(const SupervisorSpec& spec);
std::vector<SpecProblem> ValidateFlags(const SupervisorFlags& flags, const std::string& path = "");
// `auto_shutdown`: that of the supervisor the child goes to; null: unknown (check_childspecs/1).
// `path`: what field names begin with, e.g. "spec".
std::vector<SpecProblem> ValidateChildSpec(const ChildSpec& child,
                                           const AutoShutdown* auto_shutdown,
                                           const std::string& path = "");
// The spec of a child that goes to a kDynamic supervisor.
std::vector<SpecProblem> ValidateDynamicChildSpec(const ChildSpec& child,
                                                  const std::string& path = "");

}  // namespace banyan

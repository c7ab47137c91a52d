#pragma once

#include <exception>

#include "common/base/exit_reason.h"

namespace banyan {

// What an exception that leaves a process's code becomes: ERROR with the exception's demangled C++
// type as `type` and its what() as message; a ProcessExit becomes its reason.
ExitReason CrashReason(std::exception_ptr error);

}  // namespace banyan

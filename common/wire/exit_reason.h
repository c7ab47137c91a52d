#pragma once

#include "banyan/v1/types.pb.h"
#include "common/base/exit_reason.h"
#include "common/wire/pid.h"

namespace banyan::wire {

// Limits of an exit reason on the wire. What is beyond them is left out, in both directions.
inline constexpr int kCauseDepthMax = 8;
inline constexpr int kStackFramesMax = 64;
inline constexpr size_t kExitReasonBytesMax = 64 * 1024;

// A local detail stays behind; texts are made UTF-8 and cut.
void ToProto(const ExitReason& in, const NodeIdentity& self, v1::ExitReason* out);
v1::ExitReason ToProto(const ExitReason& in, const NodeIdentity& self);
// An unknown kind reads as kError.
ExitReason FromProto(const v1::ExitReason& in, const NodeIdentity& self);

}  // namespace banyan::wire

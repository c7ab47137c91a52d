#pragma once

#include <string>

#include "banyan/v1/types.pb.h"
#include "common/wire/pid.h"
#include "server/runtime/runtime.h"

namespace banyan::rpc {

void EncodeActor(const ProcessSnapshot& in, const wire::NodeIdentity& self, const std::string& node,
                 v1::ActorInfo* out);

}  // namespace banyan::rpc

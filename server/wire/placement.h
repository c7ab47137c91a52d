#pragma once

#include <string>

#include "banyan/v1/types.pb.h"
#include "server/core/child_spec.h"
#include "server/wire/spec_problems.h"

namespace banyan::wire {

Placement DecodePlacement(const v1::Placement& in, const std::string& field,
                          SpecProblems* problems);
void EncodePlacement(const Placement& in, v1::Placement* out);

}  // namespace banyan::wire

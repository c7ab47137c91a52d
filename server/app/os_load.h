#pragma once

#include "banyan/v1/types.pb.h"

namespace banyan::app {

// CPUs and memory of this process.
void FillOsLoad(v1::NodeLoad* load);

}  // namespace banyan::app

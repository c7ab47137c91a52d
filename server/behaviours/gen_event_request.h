#pragma once

#include <cstdint>

#include "server/behaviours/gen_event_handler.h"

namespace banyan {

// What the functions of gen_event ask of a manager, as the local payload of a call.
struct GenEventRequest {
  enum class Op : uint8_t {
    kAdd,     // `handler`, `args`; no data
    kAddSup,  // the caller supervises it
    kDelete,  // `handler`, `args`; what Terminate returned
    kSwap,    // `handler`, `args`, `to`, `to_args`; no data
    kSwapSup,
    kWhich,  // std::vector<HandlerId>, newest first
    kCall,   // `handler`, `args` is the request; the handler's reply
  };
  Op op = Op::kWhich;
  HandlerId handler;
  Payload args;
  HandlerId to;
  Payload to_args;
};

}  // namespace banyan

#pragma once

#include <string>
#include <utility>

#include "common/base/payload.h"

namespace banyan::testing {

// What processes of tests say to each other.
inline Payload Text(std::string s) {
  return Payload::Any("type.googleapis.com/test.Text", std::move(s));
}

}  // namespace banyan::testing

#pragma once

#include <string>

namespace banyan::client {

// A new UUIDv7: unique, and ordered by time, by which the coordinator tells old ids from unknown
// ones.
std::string NewRequestId();

}  // namespace banyan::client

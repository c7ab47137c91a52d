#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

#include "banyan/v1/types.pb.h"

namespace banyan::client {

// The number of the node called `name`. Called only for texts that name a node in a pid.
using NodeResolver = std::function<absl::StatusOr<uint32_t>(const std::string& name)>;
// The name of node `id`, or empty if it isn't known.
using NodeNamer = std::function<std::string(uint32_t id)>;

// The text forms of banyan/v1/types.proto, read by common/base/target.h, as messages. Errors:
// InvalidArgument with what is wrong, or what the resolver returns.
//
// "NODE:INCARNATION:SLOT[.GENERATION]", NODE being a name or a number.
absl::StatusOr<v1::Pid> ParsePid(std::string_view text, const NodeResolver& resolve);
// Any target: "counter/eu", "name:counter/eu", "logger@n2", "n1:3:4711", "pid:n1:3:4711",
// "group:workers[#least|#random|#nearest|#hash=KEY]", "child:shop/payments/w3".
absl::StatusOr<v1::Target> ParseTarget(std::string_view text, const NodeResolver& resolve);
// A supervisor: as above, but "shop/carts" without a prefix is the child `carts` of `shop`. A
// supervisor registered under a name with a slash is "name:shop/carts".
absl::StatusOr<v1::Target> ParseSupervisor(std::string_view text, const NodeResolver& resolve);

std::string FormatPid(const v1::Pid& pid, const NodeNamer& name);

// InvalidArgument if it isn't a name by the rules of types.proto. `what` begins the message.
absl::Status CheckName(std::string_view name, std::string_view what);

}  // namespace banyan::client

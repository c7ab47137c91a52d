#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/error.h"

namespace banyan {

// The binary form in which an ErrorInfo rides on an absl::Status inside one process. It never
// leaves the process (common/wire has the wire form), so it needs no compatibility, but decoding
// survives any bytes. A local payload in an exit reason has no bytes and is left out.
std::string EncodeErrorInfo(const ErrorInfo& info);
// nullopt for anything that EncodeErrorInfo did not make.
std::optional<ErrorInfo> DecodeErrorInfo(std::string_view bytes);

}  // namespace banyan

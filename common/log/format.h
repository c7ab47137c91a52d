#pragma once

#include <string>
#include <string_view>

#include "absl/time/time.h"

#include "common/log/log.h"

namespace banyan::log {

// `2026-01-02T03:04:05.678Z INFO  child_started supervisor=shop child="a b"`. Always one line.
std::string FormatText(absl::Time now, Level level, std::string_view event, Fields fields);
// `{"time":"..","level":"info","event":"child_started","supervisor":"shop"}`.
std::string FormatJson(absl::Time now, Level level, std::string_view event, Fields fields);

}  // namespace banyan::log

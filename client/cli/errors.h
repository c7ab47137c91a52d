#pragma once

#include <iosfwd>
#include <string>

#include "client/transport/error.h"

namespace banyan::cli {

// What the command was about, for hints that can be typed as they stand.
struct HintContext {
  std::string target;
  std::string supervisor;
  std::string child;
  std::string name;
};

int ExitCodeOf(const client::ApiError& error);
// Three kinds of lines: "error: CODE: sentence", "  reason  ..", "  hint    ..".
void PrintError(std::ostream& err, const client::ApiError& error, const HintContext& context,
                bool color);

}  // namespace banyan::cli

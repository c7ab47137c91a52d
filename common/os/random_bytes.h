#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace banyan {

// Bytes from the kernel's generator, fit for ids and secrets.
std::string RandomBytes(size_t count);

// Two lower-case digits a byte.
std::string ToHex(std::string_view bytes);

// The machine's host name; "localhost" when it has none.
std::string Hostname();

}  // namespace banyan

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace banyan::wire {

// `text` as valid UTF-8 of at most `bytes_max` bytes: what is not UTF-8 becomes '?', a longer text
// is cut between two characters. Protobuf strings must be UTF-8, and texts from actors may be
// anything.
std::string Utf8(std::string_view text, size_t bytes_max = static_cast<size_t>(-1));

}  // namespace banyan::wire

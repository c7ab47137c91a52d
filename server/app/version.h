#pragma once

namespace banyan::app {

inline constexpr char kVersion[] = BANYAN_VERSION;
inline constexpr char kBuild[] = BANYAN_BUILD;  // commit, or empty

}  // namespace banyan::app

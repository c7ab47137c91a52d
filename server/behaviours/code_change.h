#pragma once

#include <string>

#include "common/base/payload.h"

namespace banyan {

// What a code change tells the behaviour (OTP's OldVsn and Extra).
struct CodeChange {
  std::string
      old_version;    // that the state comes from; with `down`: to go back to. Empty: not said
  bool down = false;  // {down,Vsn}: the newer code makes the state of the older
  Payload extra;
};

}  // namespace banyan

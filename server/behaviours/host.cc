#include "server/behaviours/host.h"

#include "server/runtime/runtime.h"

namespace banyan {

const Host& HostOf(const Runtime& runtime) {
  static const Host* const kNone = new Host();
  const auto* host = static_cast<const Host*>(runtime.host());
  return host ? *host : *kNone;
}

}  // namespace banyan

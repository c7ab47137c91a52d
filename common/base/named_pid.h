#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/pid.h"

namespace banyan {

// The address of a name on a node in the shape of a pid, so that whatever is sent to a pid can be
// sent there: whoever has the name when the signal arrives. Nobody ever has such a pid, for slot 0
// is not given out.
//
// It stands for its name as long as a KeptPid holds it, and until so many others have been used
// since. After that it reaches nobody, and never another name: who keeps an address, keeps the name
// and asks for the pid when it is needed.
inline constexpr size_t kNamedPidsIdleMax = 1 << 16;
inline constexpr uint32_t kNoNodeId = 0xFFFFFFFE;  // of NAME@NODE where there is no such node
Pid NamedPid(uint32_t node_id, uint32_t incarnation, std::string_view name);
// Null: an ordinary pid, or one whose name was forgotten.
std::shared_ptr<const std::string> NameOf(const Pid& pid);

// A pid that holds its name, if it has one.
class KeptPid : public Pid {
 public:
  KeptPid() = default;
  explicit KeptPid(const Pid& pid) : Pid(pid) { Hold(); }
  KeptPid(const KeptPid& other) : Pid(other) { Hold(); }
  KeptPid& operator=(const KeptPid& other) { return *this = static_cast<const Pid&>(other); }
  KeptPid& operator=(const Pid& other) {
    const Pid now = other;
    Release();
    Pid::operator=(now);
    Hold();
    return *this;
  }
  ~KeptPid() { Release(); }

 private:
  bool named() const { return slot() == 0 && generation() != 0; }
  void Hold() const {
    if (named()) [[unlikely]]
      HoldName();
  }
  void Release() const {
    if (named()) [[unlikely]]
      ReleaseName();
  }
  void HoldName() const;
  void ReleaseName() const;
};

}  // namespace banyan

#include "server/behaviours/host.h"

#include "server/behaviours/crash_report.h"
#include "server/runtime/runtime.h"

namespace banyan {

void ProcessReports::OnCrashReport(const CrashReport& report) {
  OnCrash(report.pid, report.module, report.reason);
}

const Host& HostOf(const Runtime& runtime) {
  static const Host* const kNone = new Host();
  const auto* host = static_cast<const Host*>(runtime.host());
  return host ? *host : *kNone;
}

}  // namespace banyan

#include "server/app/node_reports.h"

#include "common/log/log.h"
#include "server/behaviours/crash_report.h"

namespace banyan::app {
namespace {

std::string_view ContextName(SupervisorReport::Context context) {
  switch (context) {
    case SupervisorReport::Context::kProgress:
      return "progress";
    case SupervisorReport::Context::kStartError:
      return "start_error";
    case SupervisorReport::Context::kChildTerminated:
      return "child_terminated";
    case SupervisorReport::Context::kShutdown:
      return "shutdown";
    case SupervisorReport::Context::kShutdownError:
      return "shutdown_error";
  }
  return "report";
}

}  // namespace

void NodeReports::OnEvent(const SupervisorEvent& event) {
  Node* node = node_.load(std::memory_order_acquire);
  if (node != nullptr) node->supervisor_events()->OnEvent(event);
}

void NodeReports::OnReport(Pid supervisor, const std::string& name,
                           const SupervisorReport& report) {
  const bool progress = report.context == SupervisorReport::Context::kProgress;
  const log::Level level = progress ? log::Level::kDebug : log::Level::kWarn;
  if (!log::Enabled(level)) return;
  log::Write(level, "supervisor_report",
             {{"context", ContextName(report.context)},
              {"supervisor", name.empty() ? FormatPid(supervisor, name_) : name},
              {"child", report.spec != nullptr ? report.spec->id : std::string()},
              {"pid", FormatPid(report.pid, name_)},
              {"reason", progress ? std::string() : report.reason.ToString()}});
}

void NodeReports::OnCrashReport(const CrashReport& report) {
  log::Warn("process_crashed", {{"pid", FormatPid(report.pid, name_)},
                                {"module", report.module},
                                {"name", report.name},
                                {"reason", report.reason.ToString()},
                                {"state", FormatPayload(report.view.state)}});
  for (const SysEvent& event : report.view.log) {
    log::Warn("process_crashed_after",
              {{"pid", FormatPid(report.pid, name_)}, {"event", FormatSysEvent(event)}});
  }
}

void NodeReports::OnHandlerCrash(Pid pid, const std::string& handler, const ExitReason& reason) {
  log::Warn("event_handler_crashed",
            {{"pid", FormatPid(pid, name_)}, {"handler", handler}, {"reason", reason.ToString()}});
}

void NodeReports::OnWarning(Pid pid, const std::string& module, const std::string& text) {
  log::Warn("process_warning",
            {{"pid", FormatPid(pid, name_)}, {"module", module}, {"what", text}});
}

}  // namespace banyan::app

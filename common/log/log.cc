#include "common/log/log.h"

#include <atomic>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "spdlog/logger.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/stdout_sinks.h"

#include "common/base/check.h"
#include "common/base/mutex.h"
#include "common/log/format.h"

namespace banyan::log {
namespace {

std::atomic<Level> min_level = Level::kInfo;
std::atomic<Format> line_format = Format::kText;
std::atomic<bool> capturing = false;

struct Captured {
  Mutex mu;
  std::vector<Line> lines ABSL_GUARDED_BY(mu);
};
// Never destroyed: threads may log while the process ends.
Captured& TheCaptured() {
  static Captured* const captured = new Captured;
  return *captured;
}

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// spdlog serialises the writers and writes; the line is ours. Never destroyed either.
spdlog::logger& TheLogger() {
  static spdlog::logger* const logger = [] {
    auto* made = new spdlog::logger("banyan", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_formatter(
        std::make_unique<spdlog::pattern_formatter>("%v", spdlog::pattern_time_type::utc, "\n"));
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::warn);
    return made;
  }();
  return *logger;
}

}  // namespace

bool Enabled(Level level) { return level >= min_level.load(std::memory_order_relaxed); }
void SetLevel(Level level) { min_level = level; }
void SetFormat(Format format) { line_format = format; }
void Flush() { TheLogger().flush(); }

void Write(Level level, std::string_view event, Fields fields) {
  const absl::Time now = absl::Now();
  std::string text = line_format == Format::kJson ? FormatJson(now, level, event, fields)
                                                  : FormatText(now, level, event, fields);
  if (!capturing) {
    TheLogger().log(ToSpdlog(level), spdlog::string_view_t(text.data(), text.size()));
    return;
  }
  Line line{level, std::string(event), {}, std::move(text)};
  for (const Field& field : fields) line.fields.emplace_back(std::string(field.key), field.value);
  MutexLock lock(&TheCaptured().mu);
  TheCaptured().lines.push_back(std::move(line));
}

std::string_view LevelName(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarn:
      return "warn";
    case Level::kError:
      return "error";
  }
  return "error";
}

std::optional<Level> ParseLevel(std::string_view name) {
  for (Level level : {Level::kDebug, Level::kInfo, Level::kWarn, Level::kError}) {
    if (LevelName(level) == name) return level;
  }
  return std::nullopt;
}

std::optional<Format> ParseFormat(std::string_view name) {
  if (name == "text") return Format::kText;
  if (name == "json") return Format::kJson;
  return std::nullopt;
}

std::string Line::field(std::string_view key) const {
  for (const auto& [k, v] : fields) {
    if (k == key) return v;
  }
  return {};
}

CaptureForTest::CaptureForTest() : level_before_(min_level) {
  BANYAN_CHECK(!capturing.exchange(true));
  min_level = Level::kDebug;
}

CaptureForTest::~CaptureForTest() {
  min_level = level_before_;
  capturing = false;
  MutexLock lock(&TheCaptured().mu);
  TheCaptured().lines.clear();
}

std::vector<Line> CaptureForTest::lines() const {
  MutexLock lock(&TheCaptured().mu);
  return TheCaptured().lines;
}

}  // namespace banyan::log

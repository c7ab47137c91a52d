#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "fmt/format.h"

// Structured logging: a line is an event name and fields, as OTP's reports are, never a sentence
// with values in it. Thread-safe; goes to stderr. Levels are by who must act: error - an operator,
// now; warn - an operator, some day; info - nobody, what happened; debug - developers.
namespace banyan::log {

enum class Level : uint8_t { kDebug, kInfo, kWarn, kError };
enum class Format : uint8_t { kText, kJson };

// One key with its value. Numbers and booleans stay such in JSON.
struct Field {
  std::string_view key;
  std::string value;
  bool quoted = true;  // a text; false for numbers and booleans

  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), quoted(false) {}
  template <typename T>
    requires std::is_arithmetic_v<T>
  Field(std::string_view k, T v) : key(k), value(fmt::format("{}", v)), quoted(false) {
    // JSON has no infinities.
    if constexpr (std::is_floating_point_v<T>) quoted = !(v - v == T{0});
  }
};
using Fields = std::initializer_list<Field>;

bool Enabled(Level level);
// `event` is lower_snake_case: "child_started".
void Write(Level level, std::string_view event, Fields fields);

inline void Debug(std::string_view event, Fields fields = {}) {
  if (Enabled(Level::kDebug)) Write(Level::kDebug, event, fields);
}
inline void Info(std::string_view event, Fields fields = {}) {
  if (Enabled(Level::kInfo)) Write(Level::kInfo, event, fields);
}
inline void Warn(std::string_view event, Fields fields = {}) {
  if (Enabled(Level::kWarn)) Write(Level::kWarn, event, fields);
}
inline void Error(std::string_view event, Fields fields = {}) {
  if (Enabled(Level::kError)) Write(Level::kError, event, fields);
}

// The least level that is written; kInfo at first.
void SetLevel(Level level);
// kText at first.
void SetFormat(Format format);
std::string_view LevelName(Level level);                   // "debug", "info", "warn", "error"
std::optional<Level> ParseLevel(std::string_view name);    // the same words
std::optional<Format> ParseFormat(std::string_view name);  // "text", "json"
// Writes out what is buffered; called before the process ends on purpose.
void Flush();

// A written line, for tests.
struct Line {
  Level level;
  std::string event;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string text;  // as formatted, without the newline
  // The field's value, or empty.
  std::string field(std::string_view key) const;
};

// While it lives, lines come here instead of to stderr, debug ones too. One at a time.
class CaptureForTest {
 public:
  CaptureForTest();
  ~CaptureForTest();
  CaptureForTest(const CaptureForTest&) = delete;
  CaptureForTest& operator=(const CaptureForTest&) = delete;
  std::vector<Line> lines() const;

 private:
  Level level_before_;
};

}  // namespace banyan::log

#include "common/log/format.h"

#include "fmt/format.h"

namespace banyan::log {
namespace {

std::string Timestamp(absl::Time now) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", now, absl::UTCTimeZone());
}

// JSON's escapes, which are also what the text form uses within quotes. Bytes that are not ASCII
// are left alone: valid UTF-8 stays readable.
void AppendEscaped(std::string_view in, std::string& out) {
  for (char c : in) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        } else {
          out += c;
        }
    }
  }
}

bool NeedsQuotes(std::string_view value) {
  if (value.empty()) return true;
  for (char c : value) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '=' || c == '\\' || c == 0x7F) {
      return true;
    }
  }
  return false;
}

void AppendQuoted(std::string_view in, std::string& out) {
  out += '"';
  AppendEscaped(in, out);
  out += '"';
}

}  // namespace

std::string FormatText(absl::Time now, Level level, std::string_view event, Fields fields) {
  std::string name(LevelName(level));
  for (char& c : name) c = static_cast<char>(c - 'a' + 'A');
  std::string out = fmt::format("{} {:<5} {}", Timestamp(now), name, event);
  for (const Field& field : fields) {
    out += ' ';
    out.append(field.key);
    out += '=';
    if (NeedsQuotes(field.value)) {
      AppendQuoted(field.value, out);
    } else {
      out += field.value;
    }
  }
  return out;
}

std::string FormatJson(absl::Time now, Level level, std::string_view event, Fields fields) {
  std::string out =
      fmt::format(R"({{"time":"{}","level":"{}","event":)", Timestamp(now), LevelName(level));
  AppendQuoted(event, out);
  for (const Field& field : fields) {
    out += ',';
    AppendQuoted(field.key, out);
    out += ':';
    if (field.quoted) {
      AppendQuoted(field.value, out);
    } else {
      out += field.value;
    }
  }
  out += '}';
  return out;
}

}  // namespace banyan::log

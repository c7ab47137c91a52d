#include "common/base/error_codec.h"

#include <cstdint>
#include <memory>
#include <utility>

namespace banyan {
namespace {

constexpr char kVersion = 1;
// A chain of causes is cut here; deeper ones tell nobody anything.
constexpr int kCauseDepthMax = 16;

class Writer {
 public:
  void Number(uint64_t n) {
    while (n >= 0x80) {
      out_.push_back(static_cast<char>((n & 0x7F) | 0x80));
      n >>= 7;
    }
    out_.push_back(static_cast<char>(n));
  }
  void Text(std::string_view s) {
    Number(s.size());
    out_.append(s);
  }
  void Map(const std::map<std::string, std::string>& map) {
    Number(map.size());
    for (const auto& [key, value] : map) {
      Text(key);
      Text(value);
    }
  }
  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
};

// After the first malformed value every read gives zero or empty and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && in_.empty(); }

  uint64_t Number() {
    uint64_t n = 0;
    for (int shift = 0; ok_ && shift < 64 && !in_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(in_.front());
      in_.remove_prefix(1);
      n |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return n;
    }
    ok_ = false;
    return 0;
  }
  std::string Text() {
    const uint64_t size = Number();
    if (!ok_ || size > in_.size()) {
      ok_ = false;
      return {};
    }
    std::string out(in_.substr(0, size));
    in_.remove_prefix(size);
    return out;
  }
  // A count of things of at least one byte each, so that a false count cannot make a loop long.
  uint64_t Count() {
    const uint64_t n = Number();
    if (n > in_.size()) ok_ = false;
    return ok_ ? n : 0;
  }
  std::map<std::string, std::string> Map() {
    std::map<std::string, std::string> out;
    for (uint64_t n = Count(); ok_ && n > 0; --n) {
      std::string key = Text();
      out[std::move(key)] = Text();
    }
    return out;
  }

 private:
  std::string_view in_;
  bool ok_ = true;
};

void WritePayload(const Payload& payload, Writer& out) {
  const bool present = !payload.empty() && !payload.is_local();
  out.Number(present ? 1 : 0);
  if (!present) return;
  out.Text(payload.type_url());
  out.Text(payload.bytes());
  out.Map(payload.headers());
}

Payload ReadPayload(Reader& in) {
  if (in.Number() == 0) return {};
  std::string url = in.Text();
  std::string bytes = in.Text();
  return Payload::Any(std::move(url), std::move(bytes), in.Map());
}

void WriteExitReason(const ExitReason& reason, int depth, Writer& out) {
  out.Number(static_cast<uint64_t>(reason.kind()));
  out.Text(reason.message());
  out.Text(reason.type());
  WritePayload(reason.detail(), out);
  out.Number(reason.stack().size());
  for (const std::string& frame : reason.stack()) out.Text(frame);
  out.Number(reason.origin().node_id);
  out.Number(reason.origin().incarnation);
  out.Number(reason.origin().id);
  const bool cause = reason.cause() != nullptr && depth < kCauseDepthMax;
  out.Number(cause ? 1 : 0);
  if (cause) WriteExitReason(*reason.cause(), depth + 1, out);
}

ExitReason ReadExitReason(Reader& in, int depth) {
  const uint64_t kind = in.Number();
  ExitReason::Info info;
  info.message = in.Text();
  info.type = in.Text();
  info.detail = ReadPayload(in);
  for (uint64_t n = in.Count(); in.ok() && n > 0; --n) info.stack.push_back(in.Text());
  info.origin.node_id = static_cast<uint32_t>(in.Number());
  info.origin.incarnation = static_cast<uint32_t>(in.Number());
  info.origin.id = in.Number();
  if (in.Number() != 0 && depth < kCauseDepthMax) {
    info.cause = std::make_shared<const ExitReason>(ReadExitReason(in, depth + 1));
  }
  const bool known = kind >= 1 && kind <= static_cast<uint64_t>(ExitReason::Kind::kError);
  const auto k = known ? static_cast<ExitReason::Kind>(kind) : ExitReason::Kind::kError;
  const bool bare = info.message.empty() && info.type.empty() && info.detail.empty() &&
                    info.stack.empty() && !info.origin && !info.cause;
  return bare ? ExitReason(k) : ExitReason(k, std::move(info));
}

}  // namespace

std::string EncodeErrorInfo(const ErrorInfo& info) {
  Writer out;
  out.Number(kVersion);
  out.Text(info.reason);
  out.Map(info.metadata);
  out.Number(info.fields.size());
  for (const ErrorInfo::FieldViolation& field : info.fields) {
    out.Text(field.field);
    out.Text(field.description);
  }
  out.Number(static_cast<uint64_t>(info.retry_after_ms < 0 ? 0 : info.retry_after_ms));
  out.Number(info.exit_reason ? 1 : 0);
  if (info.exit_reason) WriteExitReason(*info.exit_reason, 0, out);
  return out.Take();
}

std::optional<ErrorInfo> DecodeErrorInfo(std::string_view bytes) {
  Reader in(bytes);
  if (in.Number() != static_cast<uint64_t>(kVersion)) return std::nullopt;
  ErrorInfo info;
  info.reason = in.Text();
  info.metadata = in.Map();
  for (uint64_t n = in.Count(); in.ok() && n > 0; --n) {
    std::string field = in.Text();
    info.fields.push_back({std::move(field), in.Text()});
  }
  info.retry_after_ms = static_cast<int>(in.Number() & 0x7FFFFFFF);
  if (in.Number() != 0) info.exit_reason = ReadExitReason(in, 0);
  if (!in.AtEnd()) return std::nullopt;
  return info;
}

}  // namespace banyan

#include "common/wire/exit_reason.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "common/wire/utf8.h"

namespace banyan::wire {
namespace {

constexpr size_t kTypeBytesMax = 255;
constexpr size_t kFrameBytesMax = 512;

// Takes as much of `text` as the budget has left.
std::string Cut(std::string_view text, size_t bytes_max, size_t& budget) {
  std::string out = Utf8(text, std::min(bytes_max, budget));
  budget -= out.size();
  return out;
}

// The outermost reason, which is what programs branch on, is served first from the budget.
void Encode(const ExitReason& in, const NodeIdentity& self, int depth, size_t& budget,
            v1::ExitReason* out) {
  out->set_kind(static_cast<v1::ExitReason::Kind>(in.kind()));
  if (!in.type().empty()) out->set_type(Cut(in.type(), kTypeBytesMax, budget));
  const Payload& detail = in.detail();
  if (!detail.empty() && !detail.is_local() && detail.size() <= budget) {
    out->mutable_detail()->set_type_url(detail.type_url());
    out->mutable_detail()->set_value(detail.bytes());
    budget -= detail.size();
  }
  if (!in.message().empty()) out->set_message(Cut(in.message(), budget, budget));
  if (in.origin()) ToProto(in.origin(), self, out->mutable_origin());
  if (in.cause() != nullptr && depth < kCauseDepthMax) {
    Encode(*in.cause(), self, depth + 1, budget, out->mutable_cause());
  }
  for (const std::string& frame : in.stack()) {
    if (out->stack_size() >= kStackFramesMax || budget == 0) break;
    out->add_stack(Cut(frame, kFrameBytesMax, budget));
  }
}

ExitReason::Kind KindOf(const v1::ExitReason& in) {
  const int kind = in.kind();
  const bool known = kind >= static_cast<int>(ExitReason::Kind::kNormal) &&
                     kind <= static_cast<int>(ExitReason::Kind::kError);
  return known ? static_cast<ExitReason::Kind>(kind) : ExitReason::Kind::kError;
}

ExitReason Decode(const v1::ExitReason& in, const NodeIdentity& self, int depth) {
  ExitReason::Info info;
  info.message = in.message().substr(0, kExitReasonBytesMax);
  info.type = in.type().substr(0, kTypeBytesMax);
  if (in.has_detail() && in.detail().ByteSizeLong() <= kExitReasonBytesMax) {
    info.detail = Payload::Any(in.detail().type_url(), in.detail().value());
  }
  const int frames = std::min(in.stack_size(), kStackFramesMax);
  info.stack.assign(in.stack().begin(), in.stack().begin() + frames);
  if (in.has_origin()) info.origin = FromProto(in.origin(), self);
  if (in.has_cause() && depth < kCauseDepthMax) {
    info.cause = std::make_shared<const ExitReason>(Decode(in.cause(), self, depth + 1));
  }
  const bool bare = info.message.empty() && info.type.empty() && info.detail.empty() &&
                    info.stack.empty() && !info.origin && !info.cause;
  return bare ? ExitReason(KindOf(in)) : ExitReason(KindOf(in), std::move(info));
}

}  // namespace

void ToProto(const ExitReason& in, const NodeIdentity& self, v1::ExitReason* out) {
  out->Clear();
  size_t budget = kExitReasonBytesMax;
  Encode(in, self, 0, budget, out);
}

v1::ExitReason ToProto(const ExitReason& in, const NodeIdentity& self) {
  v1::ExitReason out;
  ToProto(in, self, &out);
  return out;
}

ExitReason FromProto(const v1::ExitReason& in, const NodeIdentity& self) {
  return Decode(in, self, 0);
}

}  // namespace banyan::wire

#include "server/wire/spec_problems.h"

#include "fmt/format.h"

#include "common/base/target.h"
#include "common/wire/time.h"
#include "common/wire/utf8.h"
#include "server/wire/child_spec.h"

namespace banyan::wire {
namespace {

constexpr size_t kProblemsMax = 1000;
constexpr size_t kLabelKeyMax = 255;
constexpr size_t kLabelValueMax = 1024;

}  // namespace

void SpecProblems::Add(std::string field, std::string what) {
  if (fields_.size() >= kProblemsMax) {
    ++more_;
    return;
  }
  fields_.push_back({std::move(field), std::move(what)});
}

absl::Status SpecProblems::ToStatus() && {
  if (more_ > 0) {
    fields_.push_back({"spec", fmt::format("has {} more violations that are not listed", more_)});
  }
  return MakeFieldError("SPEC_INVALID", std::move(fields_));
}

absl::Duration DecodeDuration(bool present, const google::protobuf::Duration& in,
                              absl::Duration fallback, absl::Duration min, const std::string& field,
                              SpecProblems* problems) {
  if (!present) return fallback;
  if (auto problem = Problem(in)) {
    problems->Add(field, *std::move(problem));
    return fallback;
  }
  const absl::Duration d = FromProto(in);
  if (d < min) {
    problems->Add(field, fmt::format("is {}; it must be at least {}", absl::FormatDuration(d),
                                     absl::FormatDuration(min)));
  }
  return d;
}

std::optional<std::string> LabelKeyProblem(std::string_view key) {
  if (key.empty()) return "a label's key is empty";
  const size_t slash = key.find('/');
  if (key.size() > kLabelKeyMax || NameProblem(key) ||
      (slash != std::string_view::npos && key.find('/', slash + 1) != std::string_view::npos)) {
    return fmt::format(
        "the label key '{}' is not of the form [prefix/]name out of A-Z a-z 0-9 . _ "
        "- ~ with at most {} characters",
        Utf8(key, 100), kLabelKeyMax);
  }
  return std::nullopt;
}

std::map<std::string, std::string> DecodeLabels(
    const google::protobuf::Map<std::string, std::string>& in, const std::string& field,
    SpecProblems* problems) {
  if (in.size() > static_cast<size_t>(kSpecLabelsMax)) {
    problems->Add(field,
                  fmt::format("has {} labels; at most {} are allowed", in.size(), kSpecLabelsMax));
  }
  // Sorted first, so that the violations come in the same order each time.
  std::map<std::string, std::string> out(in.begin(), in.end());
  for (const auto& [key, value] : out) {
    if (auto problem = LabelKeyProblem(key)) {
      problems->Add(field, *std::move(problem));
    } else if (const std::string_view prefix = std::string_view(key).substr(0, key.find('/'));
               key.find('/') != std::string::npos &&
               (prefix == "banyan" || prefix.starts_with("banyan."))) {
      problems->Add(field,
                    fmt::format("the label key '{}' has a prefix that is the platform's", key));
    }
    if (value.size() > kLabelValueMax) {
      problems->Add(field, fmt::format("the value of '{}' has {} bytes; at most {} are allowed",
                                       Utf8(key, 100), value.size(), kLabelValueMax));
    }
  }
  return out;
}

}  // namespace banyan::wire

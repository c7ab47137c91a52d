#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/map.h"

#include "common/base/error.h"

namespace banyan::wire {

// Collects the violations of one specification. Beyond a limit they are only counted, so that a
// hostile specification of ten thousand wrong children does not make an error of megabytes.
class SpecProblems {
 public:
  void Add(std::string field, std::string what);
  void AddIf(std::string field, std::optional<std::string> what) {
    if (what) Add(std::move(field), *std::move(what));
  }
  bool empty() const { return fields_.empty(); }
  // SPEC_INVALID with all of them. Not for empty().
  absl::Status ToStatus() &&;

  // What counts over the whole specification.
  int children = 0;
  size_t args_bytes = 0;

 private:
  std::vector<ErrorInfo::FieldViolation> fields_;
  size_t more_ = 0;
};

// The duration, or `fallback` if it is unset; a violation if it is malformed or less than `min`.
absl::Duration DecodeDuration(bool present, const google::protobuf::Duration& in,
                              absl::Duration fallback, absl::Duration min, const std::string& field,
                              SpecProblems* problems);

// Label keys follow [prefix/]name; "banyan" and "banyan.*" are reserved.
std::map<std::string, std::string> DecodeLabels(
    const google::protobuf::Map<std::string, std::string>& in, const std::string& field,
    SpecProblems* problems);

// What is wrong with a label's key, apart from being reserved.
std::optional<std::string> LabelKeyProblem(std::string_view key);

}  // namespace banyan::wire

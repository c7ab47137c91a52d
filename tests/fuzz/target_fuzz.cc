// The text form of targets: what is read is written in the same words.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/check.h"
#include "common/base/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)banyan::ParsePid(text);
  absl::StatusOr<banyan::Target> target = banyan::ParseTarget(text);
  if (!target.ok()) return 0;
  absl::StatusOr<banyan::Target> again = banyan::ParseTarget(banyan::FormatTarget(*target));
  BANYAN_CHECK(again.ok());
  BANYAN_CHECK(*again == *target);
  return 0;
}

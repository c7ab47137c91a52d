// The bytes that ride on a status: what is decoded is encoded to something that decodes.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/base/check.h"
#include "common/base/error_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::optional<banyan::ErrorInfo> info =
      banyan::DecodeErrorInfo({reinterpret_cast<const char*>(data), size});
  if (info) BANYAN_CHECK(banyan::DecodeErrorInfo(banyan::EncodeErrorInfo(*info)).has_value());
  return 0;
}

#include "common/base/payload.h"

namespace banyan {

const std::string Payload::kEmpty;
const std::map<std::string, std::string> Payload::kNoHeaders;

namespace {
class BytesRep : public Payload::Rep {
 public:
  BytesRep(std::string type_url, std::string bytes)
      : type_url_(std::move(type_url)), bytes_(std::move(bytes)) {}
  const std::string& type_url() const override { return type_url_; }
  const std::string& bytes() const override { return bytes_; }

 private:
  const std::string type_url_, bytes_;
};
}  // namespace

Payload Payload::Any(std::string type_url, std::string bytes,
                     std::map<std::string, std::string> headers) {
  auto rep = std::allocate_shared<BytesRep>(SlabAllocator<BytesRep>(), std::move(type_url),
                                            std::move(bytes));
  rep->headers = std::move(headers);
  return Payload(std::move(rep));
}

std::string_view Payload::type_name() const {
  std::string_view url = type_url();
  size_t slash = url.rfind('/');
  return slash == std::string_view::npos ? url : url.substr(slash + 1);
}

bool operator==(const Payload& a, const Payload& b) {
  if (a.rep_ == b.rep_) return true;
  if (a.empty() || b.empty() || a.is_local() || b.is_local()) return false;
  return a.type_url() == b.type_url() && a.bytes() == b.bytes();
}

}  // namespace banyan

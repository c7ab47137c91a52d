#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>

#include "common/base/slab.h"

namespace banyan {

// What actors send each other and get as arguments: an immutable, shared value shaped like
// google.protobuf.Any plus small string headers. Copying copies a pointer; a local send never
// serialises.
//
// Three forms behind one interface:
//   bytes    a type URL and serialized bytes (Payload::Any), as they came from the wire
//   message  a parsed protobuf message that is serialized once, when somebody asks (common/wire)
//   local    any C++ value (Payload::Local); has no type URL and cannot leave its runtime
class Payload {
 public:
  // One representation. Immutable once shared; type_url() and bytes() must be thread-safe.
  class Rep {
   public:
    virtual ~Rep() = default;
    // "type.googleapis.com/full.Name"; empty for a local value.
    virtual const std::string& type_url() const = 0;
    // The serialized message; empty for a local value.
    virtual const std::string& bytes() const = 0;
    // The C++ value in there if it is exactly of that type, else nullptr.
    virtual const void* Get(const std::type_info& type) const { return nullptr; }
    virtual bool is_local() const { return false; }
    // Bytes in a mailbox's account. A parsed message answers without serialising itself.
    virtual size_t size() const { return bytes().size() + type_url().size(); }
    std::map<std::string, std::string> headers;
  };

  Payload() = default;  // "no data", which is legal
  explicit Payload(std::shared_ptr<const Rep> rep) : rep_(std::move(rep)) {}

  static Payload Any(std::string type_url, std::string bytes,
                     std::map<std::string, std::string> headers = {});
  template <typename T>
  static Payload Local(T value) {
    return Payload(
        std::allocate_shared<LocalRep<T>>(SlabAllocator<LocalRep<T>>(), std::move(value)));
  }

  bool empty() const { return rep_ == nullptr; }
  const std::string& type_url() const { return rep_ ? rep_->type_url() : kEmpty; }
  // The part of the type URL after the last '/': the message's full name.
  std::string_view type_name() const;
  const std::string& bytes() const { return rep_ ? rep_->bytes() : kEmpty; }
  bool is_local() const { return rep_ && rep_->is_local(); }
  const std::map<std::string, std::string>& headers() const {
    return rep_ ? rep_->headers : kNoHeaders;
  }
  // The value, if this holds exactly a T in memory (local values, parsed messages); else nullptr.
  template <typename T>
  const T* As() const {
    return rep_ ? static_cast<const T*>(rep_->Get(typeid(T))) : nullptr;
  }
  // Bytes that this takes in a mailbox's account.
  size_t size() const { return rep_ ? rep_->size() : 0; }

  // Same type URL, same bytes, or the same local value object.
  friend bool operator==(const Payload& a, const Payload& b);

 private:
  template <typename T>
  class LocalRep : public Rep {
   public:
    explicit LocalRep(T value) : value_(std::move(value)) {}
    const std::string& type_url() const override { return kEmpty; }
    const std::string& bytes() const override { return kEmpty; }
    const void* Get(const std::type_info& t) const override {
      return t == typeid(T) ? &value_ : nullptr;
    }
    bool is_local() const override { return true; }

   private:
    T value_;
  };

  static const std::string kEmpty;
  static const std::map<std::string, std::string> kNoHeaders;
  std::shared_ptr<const Rep> rep_;
};

}  // namespace banyan

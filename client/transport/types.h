#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/util/type_resolver.h"

namespace banyan::client {

inline constexpr std::string_view kTypePrefix = "type.googleapis.com/";

// Finds message types by full name: first those compiled in (the public API, the shipped modules,
// Protobuf's own), then those of .proto files added by hand, then what `fetch` brings.
class TypeRegistry {
 public:
  // Brings the files that define `symbol`, dependencies first or in any order; empty if unknown.
  using Fetch =
      std::function<std::vector<google::protobuf::FileDescriptorProto>(const std::string& symbol)>;

  explicit TypeRegistry(Fetch fetch = nullptr);
  TypeRegistry(const TypeRegistry&) = delete;
  TypeRegistry& operator=(const TypeRegistry&) = delete;

  // Takes in a .proto file by running protoc; what it imports is looked for beside it and in the
  // working directory. A file whose name does not end in .proto must be a serialized
  // FileDescriptorSet. InvalidArgument with protoc's words: file, line and problem.
  absl::Status AddProtoFile(const std::string& path);

  // Null if nobody knows it. Valid as long as the registry.
  const google::protobuf::Descriptor* Find(const std::string& full_name);
  google::protobuf::util::TypeResolver* resolver() { return resolver_.get(); }

 private:
  void AddFiles(const std::vector<google::protobuf::FileDescriptorProto>& files);

  const Fetch fetch_;
  google::protobuf::DescriptorPool pool_;
  std::unique_ptr<google::protobuf::util::TypeResolver> resolver_;
};

}  // namespace banyan::client

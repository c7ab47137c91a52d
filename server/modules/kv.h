#pragma once

#include <map>
#include <string>
#include <vector>

#include "banyan/modules/v1/kv.pb.h"
#include "server/behaviours/gen_server.h"

namespace banyan {

// The module `kv`: a key-value store in the memory of one actor. Its requests, answers and start
// argument are those of proto/banyan/modules/v1/kv.proto. Its state is a KvArgs.
class Kv : public GenServer {
 public:
  static constexpr size_t kKeyBytesMax = 1024;

  Task<InitResult> Init(std::vector<Payload> args) override;
  Task<CallResult> HandleCall(Payload request, CallFrom from) override;
  Task<Result> HandleCast(Payload request) override;

  absl::StatusOr<Payload> GetState() override;
  absl::Status ReplaceState(const Payload& state) override;

 private:
  // Each: the answer, or INVALID_ARGUMENT naming the field, or PAYLOAD_INVALID.
  absl::StatusOr<Payload> Get(const Payload& request) const;
  absl::StatusOr<Payload> Put(const Payload& request);
  absl::StatusOr<Payload> Delete(const Payload& request);
  Payload Size() const;
  static Stopping Crash(const Payload& request);
  void Warn(const std::string& text) const;

  std::string name_;
  std::map<std::string, std::string, std::less<>> entries_;
};

}  // namespace banyan

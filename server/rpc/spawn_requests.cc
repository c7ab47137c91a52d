#include "server/rpc/spawn_requests.h"

#include <optional>

#include "absl/hash/hash.h"
#include "fmt/format.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

#include "common/base/error.h"

namespace banyan::rpc {
namespace {

size_t ContentsOf(v1::SpawnRequest request) {
  request.clear_request_id();
  request.clear_placement();
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    request.SerializePartialToCodedStream(&coded);
  }
  return absl::HashOf(bytes);
}

}  // namespace

// Under the lock of the requests.
struct SpawnRequests::Entry {
  std::string id;
  size_t contents = 0;
  std::vector<Done> waiting;
  std::optional<absl::StatusOr<v1::SpawnResponse>> answer;
};

std::shared_ptr<SpawnRequests::Entry> SpawnRequests::Begin(const v1::SpawnRequest& request,
                                                           Instant now, Done done) {
  const size_t contents = ContentsOf(request);
  const std::string& id = request.request_id();
  absl::StatusOr<v1::SpawnResponse> answer;
  {
    MutexLock lock(&mu_);
    const std::shared_ptr<Entry>* before = entries_.Find(id, now);
    if (before == nullptr) {
      auto entry = std::make_shared<Entry>(Entry{id, contents, {}, std::nullopt});
      entry->waiting.push_back(std::move(done));
      entries_.Add(id, entry, now);
      return entry;
    }
    if ((*before)->contents != contents) {
      answer = MakeError("REQUEST_ID_REUSED",
                         fmt::format("request id {} was used for another request", id));
    } else if (!(*before)->answer) {
      (*before)->waiting.push_back(std::move(done));
      return nullptr;
    } else {
      answer = *(*before)->answer;
    }
  }
  done(answer);
  return nullptr;
}

void SpawnRequests::Finish(const std::shared_ptr<Entry>& entry,
                           const absl::StatusOr<v1::SpawnResponse>& answer) {
  std::vector<Done> waiting;
  {
    MutexLock lock(&mu_);
    entry->answer = answer;
    waiting.swap(entry->waiting);
  }
  for (const Done& done : waiting) done(answer);
}

void SpawnRequests::Refuse(const std::shared_ptr<Entry>& entry, const absl::Status& status) {
  std::vector<Done> waiting;
  {
    MutexLock lock(&mu_);
    waiting.swap(entry->waiting);
    entries_.Erase(entry->id);
  }
  for (const Done& done : waiting) done(status);
}

absl::StatusOr<v1::SpawnResponse> SpawnAnswer(const StartResult& result,
                                              const wire::NodeIdentity& self) {
  if (result.failed()) {
    if (result.reason == ExitReason::Timeout()) {
      return MakeError("START_TIMEOUT", "init took longer than start.start_timeout", {},
                       result.reason);
    }
    const bool taken = result.reason.type() == kAlreadyStarted;
    return MakeError(taken ? "NAME_TAKEN" : "START_FAILED",
                     fmt::format("the process did not start: {}", result.reason.ToString()), {},
                     result.reason);
  }
  v1::SpawnResponse out;
  out.set_ignored(result.ignored());
  if (result.started()) wire::ToProto(result.pid, self, out.mutable_pid());
  return out;
}

}  // namespace banyan::rpc

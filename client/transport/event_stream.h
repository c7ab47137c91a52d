#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "absl/time/time.h"
#include "client/transport/session.h"

#include "banyan/v1/supervisors.pb.h"
#include "common/base/mutex.h"

namespace banyan::client {

// Supervisors.WatchEvents without end: a stream that breaks is opened again with the last token, at
// whichever address answers, so that no event is missed and none comes twice. Where the server no
// longer has the history it starts over with a snapshot.
class EventStream {
 public:
  // What to do after a message.
  enum class Next { kContinue, kStop };
  struct Callbacks {
    std::function<Next(const v1::WatchEventsResponse&)> on_message;
    // The stream broke and will be opened again. May be empty.
    std::function<void(const ApiError&)> on_break;
    // How long a stream that can't be opened again is tried for.
    absl::Duration patience = absl::InfiniteDuration();
  };

  EventStream(Session* session, v1::WatchEventsRequest request)
      : session_(session), request_(std::move(request)) {}

  // Blocks until on_message says stop (OK), Cancel is called (CANCELLED), or an error comes that no
  // repetition mends. A server that has never answered is such an error; one that is gone is waited
  // for.
  ApiError Run(const Callbacks& callbacks);
  // Ends Run. From any thread.
  void Cancel();

  // To continue after the last message given to on_message.
  const std::string& resume_token() const { return request_.resume_token(); }

 private:
  ApiError RunOnce(const Callbacks& callbacks, bool* stopped, bool* had_message);
  bool cancelled();
  // Returns early when cancelled.
  void Pause(absl::Duration length);

  Session* const session_;
  v1::WatchEventsRequest request_;
  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace banyan::client

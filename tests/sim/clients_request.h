#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "tests/sim/clients.h"

namespace banyan::sim {

// How Clients repeats a request until it is answered.

// Not the request's outcome: it has not been looked at, or may be repeated later.
inline bool Again(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable ||
         status.code() == absl::StatusCode::kResourceExhausted;
}

inline StatusReply Told(Reply<bool> done) {
  return [done = std::move(done)](absl::Status status) {
    done(status.ok() ? absl::StatusOr<bool>(true) : absl::StatusOr<bool>(status));
  };
}

template <typename T>
std::string Bytes(const T& message) {
  if constexpr (std::is_base_of_v<google::protobuf::MessageLite, T>) {
    return message.SerializeAsString();
  } else {
    return "";
  }
}

template <typename T>
struct Clients::Request {
  std::string id;
  std::function<void(const std::string&, Reply<T>)> send;
  std::function<void(absl::StatusOr<T>)> done;
  int attempts = 0;
  bool answered = false;
  std::string answer;
};

template <typename T>
void Clients::Do(std::string id, std::function<void(const std::string&, Reply<T>)> send,
                 std::function<void(absl::StatusOr<T>)> done) {
  auto request = std::make_shared<Request<T>>();
  request->id = std::move(id);
  request->send = std::move(send);
  request->done = std::move(done);
  ++open_;
  Try(std::move(request));
}

template <typename T>
void Clients::Try(std::shared_ptr<Request<T>> request) {
  if (request->answered) return;
  const int attempt = ++request->attempts;
  const auto late = [this] { return absl::Microseconds(300 + net_->Below(3000)); };
  cluster_->After(late(), [this, request, attempt, late] {
    if (!cluster_->coordinator_up()) return;
    const bool known = cluster_->disk().data.contains("op/" + request->id);
    request->send(request->id, [this, request, attempt, late, known](absl::StatusOr<T> answer) {
      if (cluster_->AtPoint("before_reply")) return cluster_->CrashCoordinatorNow("before_reply");
      if (net_->Unit() < lose_) return cluster_->history().Mark("reply lost");
      if (known && attempt > 1 && answer.ok())
        cluster_->history().Mark("retry answered from record");
      cluster_->After(late(), [this, request, attempt, answer = std::move(answer)] {
        OnAnswer(request, attempt, answer);
      });
    });
  });
  cluster_->After(absl::Milliseconds(500 + net_->Below(4000)), [this, request] { Try(request); });
}

template <typename T>
void Clients::OnAnswer(std::shared_ptr<Request<T>> request, int attempt, absl::StatusOr<T> answer) {
  if (!answer.ok() && Again(answer.status())) {
    if (ErrorReason(answer.status()) == "RECOVERING") cluster_->history().Mark("barrier waited");
    return;
  }
  const std::string bytes = answer.ok() ? Bytes(*answer) : ErrorReason(answer.status());
  if (request->answered) {
    // A terminate may be answered as pending first, and as done later.
    if (bytes != request->answer && !request->id.starts_with("terminate")) {
      cluster_->history().Violation(
          fmt::format("INV-8: request {} was answered differently at attempt {}: {}", request->id,
                      attempt, answer.ok() ? "OK" : answer.status().ToString()));
    }
    return;
  }
  request->answered = true;
  request->answer = bytes;
  --open_;
  cluster_->history().Event(
      "client", "answer",
      fmt::format("{} {}", request->id, answer.ok() ? "OK" : ErrorReason(answer.status())));
  request->done(std::move(answer));
}

}  // namespace banyan::sim

#include "server/node/watcher/report.h"

#include <chrono>
#include <condition_variable>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_split.h"
#include "fmt/format.h"
#include "grpcpp/create_channel.h"

#include "banyan/internal/v1/membership.grpc.pb.h"
#include "common/base/mutex.h"

namespace banyan {
namespace {

using internal::v1::WatcherRequest;
using internal::v1::WatcherResponse;

// One stream: says who was watched and how it ended, and waits for the record of it.
class ReportCall : public grpc::ClientBidiReactor<WatcherRequest, WatcherResponse> {
 public:
  ReportCall(const WatchPage& page, const NodeEnd& end) {
    auto* watching = watching_.mutable_watching();
    watching->set_node_id(page.node_id());
    watching->set_incarnation(page.incarnation());
    watching->set_process_id(page.process_id());
    exited_.mutable_exited()->set_status(end.wait_status);
    exited_.mutable_exited()->set_killed(end.killed);
    const WatchPage::Crash crash = page.crash();
    if (crash.signal == 0) return;
    auto* last = exited_.mutable_exited()->mutable_last_crash();
    last->set_incarnation(page.incarnation());
    last->set_fence(crash.fence);
    last->set_signal(crash.signal);
    for (const auto& id : absl::StrSplit(crash.path, '/')) last->add_path(std::string(id));
  }

  // Returns whether the end is recorded; `error` says why not.
  bool Run(internal::v1::Membership::Stub* stub, absl::Time deadline, grpc::Status* error) {
    context_.set_deadline(absl::ToChronoTime(deadline));
    stub->async()->Watcher(&context_, this);
    StartRead(&response_);
    StartWrite(&watching_);
    StartCall();
    MutexLock lock(&mu_);
    while (!done_) changed_.wait(mu_);
    *error = status_;
    return recorded_;
  }

 private:
  void OnWriteDone(bool ok) override {
    if (!ok || exited_sent_) return;
    exited_sent_ = true;
    StartWriteLast(&exited_, grpc::WriteOptions());
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (!response_.recorded()) return StartRead(&response_);
    {
      MutexLock lock(&mu_);
      recorded_ = true;
    }
    context_.TryCancel();  // nothing more is wanted
  }
  void OnDone(const grpc::Status& status) override {
    // Under the lock to the end: once it is free, the waiting thread destroys this.
    MutexLock lock(&mu_);
    status_ = status;
    done_ = true;
    changed_.notify_all();
  }

  grpc::ClientContext context_;
  WatcherRequest watching_;
  WatcherRequest exited_;
  WatcherResponse response_;
  bool exited_sent_ = false;  // only in the stream's reactions
  Mutex mu_;
  std::condition_variable_any changed_;
  bool recorded_ ABSL_GUARDED_BY(mu_) = false;
  bool done_ ABSL_GUARDED_BY(mu_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

absl::Status ReportNodeEnd(const WatchPage& page, const NodeEnd& end,
                           const ReportOptions& options) {
  const std::vector<std::string> addresses = page.coordinators();
  if (addresses.empty()) return absl::FailedPreconditionError("no coordinator's address is known");
  const auto credentials =
      options.credentials ? options.credentials : grpc::InsecureChannelCredentials();
  std::vector<std::unique_ptr<internal::v1::Membership::Stub>> stubs;
  for (const std::string& address : addresses) {
    stubs.push_back(internal::v1::Membership::NewStub(grpc::CreateChannel(address, credentials)));
  }
  const absl::Time limit = absl::Now() + options.limit;
  std::string last;
  for (size_t turn = 0; absl::Now() < limit; ++turn) {
    const size_t i = turn % stubs.size();
    ReportCall call(page, end);
    grpc::Status error;
    if (call.Run(stubs[i].get(), std::min(limit, absl::Now() + options.answer_limit), &error)) {
      return absl::OkStatus();
    }
    last = fmt::format("{}: {} (code {})", addresses[i], error.error_message(),
                       static_cast<int>(error.error_code()));
    // Between rounds: a refused connection comes back at once.
    if (i + 1 == stubs.size()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return absl::UnavailableError(fmt::format("no coordinator recorded the end; last {}", last));
}

}  // namespace banyan

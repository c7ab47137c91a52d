#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <ostream>
#include <set>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "client/cli/commands/commands.h"
#include "client/cli/output.h"
#include <fmt/format.h>

#include "banyan/v1/registry.grpc.pb.h"

namespace banyan::cli {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestPause = absl::Seconds(2);

// What an interrupt ends: the stream in use, and the pauses between two.
class Interrupt {
 public:
  void Set(grpc::ClientContext* context) {
    std::lock_guard lock(mutex_);
    context_ = context;
    if (done_ && context_ != nullptr) context_->TryCancel();
  }
  void Now() {
    std::lock_guard lock(mutex_);
    done_ = true;
    if (context_ != nullptr) context_->TryCancel();
  }
  bool done() {
    std::lock_guard lock(mutex_);
    return done_;
  }

 private:
  std::mutex mutex_;
  grpc::ClientContext* context_ = nullptr;
  bool done_ = false;
};

void PrintChange(Cli& cli, const v1::NameEntry& entry, bool registered) {
  if (cli.names_only()) {
    cli.out() << entry.name() << "\n" << std::flush;
    return;
  }
  cli.out() << fmt::format("{:<10}  {:<32}  {:<14}  {}\n", registered ? "registered" : "released",
                           entry.name(), cli.Pid(entry.pid()), entry.reg_version())
            << std::flush;
}

// What was told so far, over all streams.
class Known {
 public:
  explicit Known(std::string prefix) { request_.set_prefix(std::move(prefix)); }

  const v1::WatchNamesRequest& request() const { return request_; }

  void OnStream() {
    unchanged_.clear();
    caught_up_ = false;
  }
  // Leaves what is news, and adds the releases that nobody can tell any more.
  void Take(v1::WatchNamesResponse* message) {
    google::protobuf::RepeatedPtrField<v1::NameEntry> registered;
    registered.Swap(message->mutable_registered());
    for (v1::NameEntry& entry : registered) {
      v1::NameEntry& known = names_[entry.name()];
      if (known.reg_version() == entry.reg_version()) continue;
      known = entry;
      highest_ = std::max(highest_, entry.reg_version());
      *message->add_registered() = std::move(entry);
    }
    for (const v1::NameEntry& entry : message->released()) {
      auto it = names_.find(entry.name());
      if (it != names_.end() && it->second.reg_version() <= entry.reg_version()) names_.erase(it);
    }
    for (const std::string& name : message->unchanged()) unchanged_.insert(name);
    if (message->caught_up()) CatchUp(message);
    if (caught_up_) request_.set_after_reg_version(highest_);
  }

 private:
  void CatchUp(v1::WatchNamesResponse* message) {
    caught_up_ = true;
    for (auto it = names_.begin(); it != names_.end();) {
      auto now = it++;
      if (now->second.reg_version() > request_.after_reg_version()) continue;
      if (unchanged_.contains(now->first)) continue;
      *message->add_released() = now->second;
      names_.erase(now);
    }
    unchanged_.clear();
  }

  v1::WatchNamesRequest request_;
  std::map<std::string, v1::NameEntry> names_;
  std::set<std::string> unchanged_;  // on this stream, so far
  bool caught_up_ = false;
  uint64_t highest_ = 0;
};

void Print(Cli& cli, const v1::WatchNamesResponse& message) {
  if (cli.structured()) return PrintMessage(cli, message);
  for (const v1::NameEntry& entry : message.registered()) PrintChange(cli, entry, true);
  for (const v1::NameEntry& entry : message.released()) PrintChange(cli, entry, false);
}

}  // namespace

// Names that are there, then every change. A broken stream is opened again where it broke off.
int RunNameWatch(Cli& cli, const NameOptions& options) {
  Known known(options.name);
  Interrupt interrupt;
  if (cli.env().on_interrupt) cli.env().on_interrupt([&] { interrupt.Now(); });
  client::ApiError error;
  absl::Duration pause = kFirstPause;
  bool answered = false;
  for (;;) {
    error = cli.session().Connect();
    if (error.ok()) {
      grpc::ClientContext context;
      interrupt.Set(&context);
      auto stub = v1::Registry::NewStub(cli.session().channel());
      known.OnStream();
      auto stream = stub->WatchNames(&context, known.request());
      v1::WatchNamesResponse message;
      while (stream->Read(&message)) {
        answered = true;
        pause = kFirstPause;
        known.Take(&message);
        Print(cli, message);
      }
      error = client::DecodeError(stream->Finish(), &context);
      interrupt.Set(nullptr);
    }
    const bool again = error.ok() || error.code == grpc::StatusCode::UNAVAILABLE ||
                       error.code == grpc::StatusCode::RESOURCE_EXHAUSTED;
    if (interrupt.done() || !answered || !again) break;
    cli.err() << "warning: the stream broke; opening it again\n";
    cli.session().Disconnect();
    absl::SleepFor(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
  if (cli.env().on_interrupt) cli.env().on_interrupt({});
  if (interrupt.done()) return kInterrupted;
  return cli.Fail(error, {.name = options.name});
}

}  // namespace banyan::cli

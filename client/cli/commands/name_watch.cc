#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <ostream>

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

void Print(Cli& cli, const v1::WatchNamesResponse& message) {
  if (cli.structured()) return PrintMessage(cli, message);
  for (const v1::NameEntry& entry : message.registered()) PrintChange(cli, entry, true);
  for (const v1::NameEntry& entry : message.released()) PrintChange(cli, entry, false);
}

}  // namespace

// Names that are there, then every change. A broken stream is opened again where it broke off.
int RunNameWatch(Cli& cli, const NameOptions& options) {
  v1::WatchNamesRequest request;
  request.set_prefix(options.name);
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
      auto stream = stub->WatchNames(&context, request);
      v1::WatchNamesResponse message;
      while (stream->Read(&message)) {
        answered = true;
        pause = kFirstPause;
        Print(cli, message);
        for (const v1::NameEntry& entry : message.registered()) {
          request.set_after_reg_version(std::max(request.after_reg_version(), entry.reg_version()));
        }
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

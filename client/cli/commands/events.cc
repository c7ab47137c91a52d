#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <ostream>
#include <thread>

#include "client/cli/commands/commands.h"
#include "client/cli/output.h"
#include "client/transport/event_stream.h"
#include <fmt/format.h>

namespace banyan::cli {
namespace {

// Without -f, history after a token has no end mark: it is over when nothing comes for this long.
constexpr auto kQuiet = std::chrono::milliseconds(1000);

std::string EventWords(v1::SupervisorEvent::Kind kind) {
  std::string words = Word(kind);
  std::replace(words.begin(), words.end(), '_', ' ');
  return words;
}

std::string Detail(Cli& cli, const v1::SupervisorEvent& event) {
  std::string detail;
  const auto add = [&](const std::string& text) { detail += (detail.empty() ? "" : ", ") + text; };
  if (event.has_reason()) add(client::FormatExitReason(event.reason()));
  if (event.has_previous_pid()) add(fmt::format("was {}", cli.Pid(event.previous_pid())));
  if (event.child().fence() != 0) add(fmt::format("fence {}", FenceText(event.child().fence())));
  if (!event.child().state_reason().empty()) add(event.child().state_reason());
  return detail;
}

// Fixed widths, since what is still to come can't be measured.
void PrintEvent(Cli& cli, const v1::SupervisorEvent& event) {
  if (cli.structured()) return PrintMessage(cli, event);
  const std::string where = fmt::format("{}", fmt::join(event.path(), "/"));
  if (cli.names_only()) {
    cli.out() << where << "\n" << std::flush;
    return;
  }
  const v1::Pid& pid = event.child().has_pid() ? event.child().pid() : event.supervisor();
  std::string line = fmt::format("{:<12}  {:<20}  {:<24}  {:<12}  {}", Clock(event.time()),
                                 EventWords(event.kind()), where, cli.Pid(pid), Detail(cli, event));
  line.erase(line.find_last_not_of(' ') + 1);
  cli.out() << line << "\n" << std::flush;
}

void PrintHeader(Cli& cli) {
  if (cli.structured() || cli.names_only() || cli.options().no_headers) return;
  cli.out() << fmt::format("{:<12}  {:<20}  {:<24}  {:<12}  {}\n", "TIME", "EVENT", "WHERE", "PID",
                           "DETAIL")
            << std::flush;
}

// Cancels the stream when nothing has come for a while. Joined before the stream goes.
class QuietTimer {
 public:
  explicit QuietTimer(client::EventStream* stream) : thread_([this, stream] { Watch(stream); }) {}
  ~QuietTimer() {
    {
      std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  void Restart() {
    std::lock_guard lock(mutex_);
    ++messages_;
    changed_.notify_all();
  }

 private:
  void Watch(client::EventStream* stream) {
    std::unique_lock lock(mutex_);
    for (;;) {
      const int before = messages_;
      if (!changed_.wait_for(lock, kQuiet, [&] { return done_ || messages_ != before; }))
        return stream->Cancel();
      if (done_) return;
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int messages_ = 0;
  bool done_ = false;
  std::thread thread_;
};

std::string ResumeCommand(const EventsOptions& options, const std::string& token) {
  std::string command = "banyan events";
  if (!options.supervisor.empty()) command += " " + options.supervisor;
  if (options.follow) command += " -f";
  for (const std::string& kind : options.kinds) command += " --kind " + kind;
  return fmt::format("{} --since {}", command, token);
}

int BuildRequest(Cli& cli, const EventsOptions& options, v1::WatchEventsRequest* request) {
  for (const std::string& word : options.kinds) {
    const int kind = EnumFromWord(v1::SupervisorEvent::Kind_descriptor(), word);
    if (kind <= 0) {
      return cli.Usage(fmt::format("--kind: \"{}\" is not one of {}", word,
                                   EnumWords(v1::SupervisorEvent::Kind_descriptor())));
    }
    request->add_kinds(static_cast<v1::SupervisorEvent::Kind>(kind));
  }
  if (!options.supervisor.empty()) {
    auto target = cli.Supervisor(options.supervisor);
    if (!target.ok()) return cli.FailTarget(target.status(), options.supervisor);
    *request->mutable_supervisor() = *target;
  }
  request->set_resume_token(options.since);
  // What is there now is all there is to tell without following; when following, only news.
  request->set_send_snapshot(!options.follow && options.since.empty());
  return kDone;
}

}  // namespace

int RunEvents(Cli& cli, const EventsOptions& options) {
  v1::WatchEventsRequest request;
  if (int code = BuildRequest(cli, options, &request)) return code;
  if (auto error = cli.session().Connect(); !error.ok()) return cli.Fail(error);
  client::EventStream stream(&cli.session(), request);
  if (cli.env().on_interrupt) cli.env().on_interrupt([&stream] { stream.Cancel(); });
  std::unique_ptr<QuietTimer> timer;
  const bool until_quiet = !options.follow && !options.since.empty();
  if (until_quiet) timer = std::make_unique<QuietTimer>(&stream);
  PrintHeader(cli);
  client::EventStream::Callbacks callbacks;
  callbacks.on_message = [&](const v1::WatchEventsResponse& message) {
    for (const v1::SupervisorEvent& event : message.events()) PrintEvent(cli, event);
    if (timer) timer->Restart();
    const bool stop = !options.follow && message.snapshot_complete();
    return stop ? client::EventStream::Next::kStop : client::EventStream::Next::kContinue;
  };
  callbacks.on_break = [&](const client::ApiError& error) {
    cli.err() << fmt::format("warning: the stream broke ({}); opening it again\n",
                             error.message.empty() ? client::CodeWords(error.code) : error.message);
  };
  if (!options.follow) callbacks.patience = cli.options().timeout;
  const client::ApiError error = stream.Run(callbacks);
  timer.reset();
  if (cli.env().on_interrupt) cli.env().on_interrupt({});
  if (error.ok() || (until_quiet && error.code == grpc::StatusCode::CANCELLED)) return kDone;
  if (error.code == grpc::StatusCode::CANCELLED) {
    if (!stream.resume_token().empty()) {
      cli.err() << fmt::format("resume with: {}\n", ResumeCommand(options, stream.resume_token()));
    }
    return kInterrupted;
  }
  return cli.Fail(error, {.supervisor = options.supervisor, .name = options.supervisor});
}

}  // namespace banyan::cli

#include "modules.h"

#include <cstdio>
#include <sstream>

#include "google/protobuf/wrappers.pb.h"

#include "common/wire/payload.h"
#include "job_queue.h"

namespace jobs {
namespace {

using namespace banyan;  // NOLINT: this file is about nothing else
using google::protobuf::Int64Value;
using google::protobuf::StringValue;

class WordCount : public JobQueue {
 public:
  Task<absl::StatusOr<Payload>> HandleJob(Payload job) override {
    absl::StatusOr<StringValue> text = wire::UnpackOrError<StringValue>(job);
    if (!text.ok()) return text.status();
    Int64Value count;
    std::istringstream words(text->value());
    for (std::string word; words >> word;) count.set_value(count.value() + 1);
    if (count.value() == 0) return absl::InvalidArgumentError("there are no words");
    return wire::MakePayload(std::move(count));
  }
  Verdict HandleFailure(const Payload&, const absl::Status&, int) override {
    return Verdict::kGiveUp;
  }
};

absl::StatusOr<Payload> Append(const std::string& path, const std::string& line) {
  std::FILE* file = std::fopen(path.c_str(), "a");
  if (!file) return absl::UnavailableError("cannot open " + path);
  const bool written = std::fputs((line + "\n").c_str(), file) >= 0;
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed) return absl::UnavailableError("cannot write " + path);
  return Payload();
}

class AppendFile : public JobQueue {
 public:
  absl::Status HandleStart(const std::vector<Payload>& args) override {
    if (args.size() != 1) return absl::InvalidArgumentError("the argument is a file's path");
    return SetPath(args[0]);
  }
  absl::Status HandleUpgrade(const CodeChange& change) override { return SetPath(change.extra); }
  Task<absl::StatusOr<Payload>> HandleJob(Payload job) override {
    absl::StatusOr<StringValue> line = wire::UnpackOrError<StringValue>(job);
    if (!line.ok()) co_return line.status();
    // On a thread that may wait for the disk; the other processes of this worker go on.
    co_return co_await self().Blocking(
        [path = path_, text = line->value()] { return Append(path, text); });
  }
  Verdict HandleFailure(const Payload&, const absl::Status&, int attempt) override {
    return attempt < 3 ? Verdict::kRetry : Verdict::kCrash;
  }

 private:
  absl::Status SetPath(const Payload& payload) {
    absl::StatusOr<StringValue> path = wire::UnpackOrError<StringValue>(payload);
    if (path.ok()) path_ = path->value();
    return path.status();
  }

  std::string path_;
};

}  // namespace

void AddModules(Modules* modules) {
  modules->Add<WordCount>("word_count", {.version = "1", .description = "counts words"});
  modules->Add<AppendFile>("append_file", {.version = "1", .description = "appends to a file"});
}

}  // namespace jobs

#include "client/transport/types.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>

#include "absl/status/statusor.h"
#include "google/protobuf/util/type_resolver_util.h"
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "banyan/modules/v1/exec.pb.h"
#include "banyan/modules/v1/kv.pb.h"

namespace banyan::client {
namespace {

// A file of our own that is gone when this is.
class TempFile {
 public:
  TempFile() { fd_ = mkstemp(path_.data()); }
  ~TempFile() {
    if (fd_ < 0) return;
    close(fd_);
    unlink(path_.c_str());
  }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  const std::string& path() const { return path_; }
  std::string Read() const {
    std::ifstream file(path_, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

 private:
  std::string path_ = "/tmp/banyan-proto-XXXXXX";
  int fd_ = -1;
};

// Runs protoc, whose messages go to the file `log`. -1: it could not be run.
int RunProtoc(std::vector<std::string> args, const std::string& log) {
  args.insert(args.begin(), "protoc");
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(), O_WRONLY, 0);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, "protoc", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (failed != 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

// The serialized FileDescriptorSet of a .proto file with all that it imports.
absl::StatusOr<std::string> Compile(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "."
                             : slash == 0               ? "/"
                                                        : path.substr(0, slash);
  TempFile out;
  TempFile log;
  const int code =
      RunProtoc({"--include_imports", "-I" + folder, "-I.", "--descriptor_set_out=" + out.path(),
                 slash == std::string::npos ? path : path.substr(slash + 1)},
                log.path());
  if (code == 0) return out.Read();
  if (code < 0 || code == 127) {
    return absl::InvalidArgumentError(
        fmt::format("{}: protoc is needed to read it (Debian: protobuf-compiler); or give what "
                    "`protoc --include_imports "
                    "--descriptor_set_out` made elsewhere",
                    path));
  }
  std::string problems = log.Read();
  while (!problems.empty() && problems.back() == '\n') problems.pop_back();
  return absl::InvalidArgumentError(problems.empty() ? fmt::format("{}: can't be read", path)
                                                     : problems);
}

class Silence : public google::protobuf::DescriptorPool::ErrorCollector {
 public:
  void AddError(const std::string&, const std::string&, const google::protobuf::Message*,
                ErrorLocation, const std::string&) override {}
};

}  // namespace

TypeRegistry::TypeRegistry(Fetch fetch)
    : fetch_(std::move(fetch)), pool_(google::protobuf::DescriptorPool::generated_pool()) {
  // Naming them keeps the linker from dropping the modules' messages.
  (void)modules::v1::KvArgs::descriptor();
  (void)modules::v1::ExecArgs::descriptor();
  resolver_.reset(
      google::protobuf::util::NewTypeResolverForDescriptorPool("type.googleapis.com", &pool_));
}

void TypeRegistry::AddFiles(const std::vector<google::protobuf::FileDescriptorProto>& files) {
  std::map<std::string, const google::protobuf::FileDescriptorProto*> waiting;
  for (const auto& file : files) waiting.emplace(file.name(), &file);
  Silence silence;
  // Each round adds those whose imports are there; a round without progress ends it.
  for (bool progress = true; progress && !waiting.empty();) {
    progress = false;
    for (auto it = waiting.begin(); it != waiting.end();) {
      const bool known = pool_.FindFileByName(it->first) != nullptr;
      bool ready = true;
      for (const std::string& import : it->second->dependency()) {
        ready = ready && pool_.FindFileByName(import) != nullptr;
      }
      if (known || (ready && pool_.BuildFileCollectingErrors(*it->second, &silence) != nullptr)) {
        it = waiting.erase(it);
        progress = true;
      } else {
        ++it;
      }
    }
  }
}

absl::Status TypeRegistry::AddProtoFile(const std::string& path) {
  std::string bytes;
  if (path.size() > 6 && path.substr(path.size() - 6) == ".proto") {
    absl::StatusOr<std::string> compiled = Compile(path);
    if (!compiled.ok()) return compiled.status();
    bytes = *std::move(compiled);
  } else {
    std::ifstream file(path, std::ios::binary);
    if (!file) return absl::InvalidArgumentError(fmt::format("{}: can't be read", path));
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  google::protobuf::FileDescriptorSet set;
  if (!set.ParseFromString(bytes)) {
    return absl::InvalidArgumentError(
        fmt::format("{}: neither a .proto file nor a descriptor set", path));
  }
  AddFiles({set.file().begin(), set.file().end()});
  return absl::OkStatus();
}

const google::protobuf::Descriptor* TypeRegistry::Find(const std::string& full_name) {
  const auto* found = pool_.FindMessageTypeByName(full_name);
  if (found != nullptr || !fetch_) return found;
  AddFiles(fetch_(full_name));
  return pool_.FindMessageTypeByName(full_name);
}

}  // namespace banyan::client

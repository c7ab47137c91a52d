#include "diff.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

namespace banyan::otp_diff {
namespace {

namespace fs = std::filesystem;

std::map<uint32_t, Trace> ReadTraces(const std::string& path) {
  std::map<uint32_t, Trace> traces;
  std::ifstream file(path);
  Trace* current = nullptr;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) {
      current = &traces[static_cast<uint32_t>(std::stoul(line.substr(1)))];
    } else if (line != "." && current != nullptr) {
      current->push_back(line);
    }
  }
  return traces;
}

// The argument, else the variable, else `otherwise`.
uint32_t Number(int argc, char** argv, int i, const char* variable, uint32_t otherwise) {
  const char* text = argc > i ? argv[i] : std::getenv(variable);
  return text == nullptr ? otherwise : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
}

}  // namespace

Otp::Otp(std::string source) : source_(std::move(source)) {
  std::string pattern = (fs::temp_directory_path() / "otp_diff.XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  dir_ = pattern;
}

Otp::~Otp() { fs::remove_all(dir_); }

std::map<uint32_t, Trace> Otp::Run(const std::string& terms) const {
  std::ofstream(dir_ + "/scenarios") << terms;
  // All modules first: who waits for one to be loaded would look idle.
  const std::string eval = fmt::format(
      "[ok=code:ensure_modules_loaded(element(2,application:get_key(A,modules))) || "
      "A <- [kernel,stdlib]], {{ok,M}}=compile:file(\"{}\",[{{outdir,\"{}\"}}]), "
      "code:add_patha(\"{}\"), M:main(\"{}/scenarios\"), init:stop().",
      fs::path(source_).replace_extension().string(), dir_, dir_, dir_);
  // One scheduler: a scenario that says who comes first is run in that order.
  const std::string command = fmt::format(
      "ERL_CRASH_DUMP=/dev/null timeout 300 erl +S 1 -noshell -eval '{}' > {}/trace 2> {}/errors",
      eval, dir_, dir_);
  if (std::system(command.c_str()) != 0) {
    std::fputs("erl failed:\n", stderr);
    std::system(fmt::format("tail -c 3000 {}/trace {}/errors >&2", dir_, dir_).c_str());
    return {};
  }
  return ReadTraces(dir_ + "/trace");
}

Arguments ParseArguments(int argc, char** argv, uint32_t count) {
  const bool replay = argc < 3 && std::getenv("BANYAN_SEED") != nullptr;
  Arguments arguments;
  if (argc > 1) {
    arguments.source = argv[1];
    arguments.first = Number(argc, argv, 2, "BANYAN_SEED", 1);
    arguments.count = replay ? 1 : Number(argc, argv, 3, "BANYAN_SEEDS", count);
  }
  if (arguments.count == 0) {
    fmt::print(stderr, "usage: {} ERL_SOURCE [FIRST_SEED [COUNT]]\n", argc > 0 ? argv[0] : "");
  }
  return arguments;
}

}  // namespace banyan::otp_diff

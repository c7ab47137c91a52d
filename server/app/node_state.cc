#include "server/app/node_state.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>

#include "fmt/format.h"

#include "common/os/filesystem.h"
#include "common/os/random_bytes.h"

namespace banyan::app {
namespace {

std::optional<std::string> FromHex(std::string_view hex) {
  std::string out;
  if (hex.size() % 2 != 0) return std::nullopt;
  for (size_t i = 0; i < hex.size(); i += 2) {
    uint8_t byte = 0;
    const auto [end, error] = std::from_chars(hex.data() + i, hex.data() + i + 2, byte, 16);
    if (error != std::errc() || end != hex.data() + i + 2) return std::nullopt;
    out.push_back(static_cast<char>(byte));
  }
  return out;
}

template <typename Number>
bool ReadNumber(const std::string& text, Number* out, int base = 10) {
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, *out, base);
  return error == std::errc() && at == end;
}

}  // namespace

absl::StatusOr<NodeState> LoadNodeState(const std::string& path) {
  std::ifstream file(path);
  NodeState state;
  if (!file) {
    if (!std::filesystem::exists(path)) return state;
    return absl::PermissionDeniedError(fmt::format("cannot read {}", path));
  }
  const auto broken = [&](std::string_view line) {
    return absl::DataLossError(fmt::format(
        "{} is damaged at \"{}\"; remove it, and the node joins as a new one", path, line));
  };
  std::string line;
  while (std::getline(file, line)) {
    const size_t space = line.find(' ');
    if (space == std::string::npos) return broken(line);
    const std::string key = line.substr(0, space);
    const std::string value = line.substr(space + 1);
    const bool number = key == "epoch" || key == "revision";
    std::optional<std::string> bytes = number ? std::string() : FromHex(value);
    if (!bytes) return broken(line);
    if (key == "cluster") {
      state.cluster_id = *bytes;
    } else if (key == "store") {
      state.store_id = *bytes;
    } else if (key == "epoch") {
      if (!ReadNumber(value, &state.epoch)) return broken(line);
    } else if (key == "revision") {
      if (!ReadNumber(value, &state.revision)) return broken(line);
    } else if (key == "starts") {
      if (!ReadNumber(value, &state.starts, 16)) return broken(line);
    }
  }
  return state;
}

absl::Status SaveNodeState(const std::string& path, const NodeState& state) {
  return WriteFileAtomically(
      // What a release does not know it reads as bytes.
      path, fmt::format("cluster {}\nstore {}\nepoch {}\nrevision {}\nstarts {:016x}\n",
                        ToHex(state.cluster_id), ToHex(state.store_id), state.epoch, state.revision,
                        state.starts));
}

}  // namespace banyan::app

#include "server/core/feature_level.h"

#include "fmt/format.h"

namespace banyan {
namespace {

struct Feature {
  uint64_t bit;
  uint32_t level;
  const char* name;
};
constexpr Feature kFeatures[] = {
    {feature::kKeepAll, 1, "keep-all"},
    {feature::kWatcherNews, 1, "watcher-news"},
    {feature::kRelay, 1, "relay"},
};

}  // namespace

uint64_t FeaturesOfLevel(uint32_t level) {
  uint64_t bits = 0;
  for (const Feature& f : kFeatures) {
    if (f.level <= level) bits |= f.bit;
  }
  return bits;
}

std::vector<std::string> FeatureNames(uint64_t features) {
  std::vector<std::string> names;
  for (const Feature& f : kFeatures) {
    if ((features & f.bit) != 0) names.push_back(f.name);
  }
  return names;
}

uint64_t SessionFeatures(uint64_t ours, uint64_t theirs, uint32_t cluster_level) {
  return ours & theirs & FeaturesOfLevel(cluster_level);
}

std::optional<std::string> JoinProblem(uint32_t major, uint32_t level, uint32_t cluster_level,
                                       uint32_t own) {
  if (major != kProtocolMajor) {
    return fmt::format("it speaks protocol {}, this coordinator {}", major, kProtocolMajor);
  }
  if (level < cluster_level) {
    return fmt::format(
        "it has feature level {}, and the upgrade to level {} was finalized: install a newer "
        "release on it",
        level, cluster_level);
  }
  if (level > own + 1) {
    return fmt::format(
        "it has feature level {}, this coordinator {}: more than one release apart; upgrade the "
        "coordinator first",
        level, own);
  }
  return std::nullopt;
}

std::optional<std::string> FinalizeProblem(uint32_t level, uint32_t cluster_level,
                                           uint32_t possible) {
  if (level == cluster_level) return std::nullopt;
  if (level < cluster_level) {
    return fmt::format("level {} is in force; it never goes back", cluster_level);
  }
  if (level > possible) {
    return fmt::format(
        "level {} is not supported by all members yet: the lowest of them has level {}", level,
        possible);
  }
  return std::nullopt;
}

}  // namespace banyan

#include "server/core/placement.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace banyan {
namespace {

// What a score is made of; the lowest wins.
constexpr double kLoadWeight = 1.0;            // share of the capacity taken after placement
constexpr double kZoneWeight = 0.5;            // per sibling in the same zone
constexpr double kNodeWeight = 0.5;            // per sibling on the node
constexpr double kPreviousBonus = 0.3;         // no needless moves
constexpr double kFailureWeight = 0.2;         // per recent failed start
constexpr double kPreferenceWeight = 0.1;      // per unit of a preference's weight, 1 to 100
constexpr double kSkewWeight = 1.0;            // per child above a wished-for skew
constexpr int64_t kUnlimitedCapacity = 10000;  // what load is a share of where there is no limit
constexpr size_t kScoreAllMax = 64;
constexpr size_t kSample = 8;

const Placement kNoWishes;

uint32_t CountOf(const std::map<std::string, uint32_t>& counts, const std::string& node) {
  const auto it = counts.find(node);
  return it == counts.end() ? 0 : it->second;
}

const std::string* LabelOf(const NodeView& node, const std::string& key) {
  if (key == kNodeSpreadKey) return &node.name;
  const auto it = node.labels.find(key);
  return it == node.labels.end() ? nullptr : &it->second;
}

std::string Describe(const Constraint& c) {
  switch (c.op) {
    case Constraint::Op::kIn:
      return fmt::format("{} in [{}]", c.key, fmt::join(c.values, " "));
    case Constraint::Op::kNotIn:
      return fmt::format("{} not in [{}]", c.key, fmt::join(c.values, " "));
    case Constraint::Op::kExists:
      return fmt::format("{} exists", c.key);
    case Constraint::Op::kNotExists:
      return fmt::format("{} does not exist", c.key);
  }
  return c.key;
}

class Placer {
 public:
  Placer(const PlacementRequest& request, const std::vector<NodeView>& nodes, Random* random)
      : request_(request),
        placement_(request.placement != nullptr ? *request.placement : kNoWishes),
        nodes_(nodes),
        random_(random),
        weight_(WeightOf(request.resources)) {}

  PlacementResult Run() {
    std::vector<const NodeView*> eligible;
    for (const NodeView& node : nodes_) {
      if (!Refuse(node)) eligible.push_back(&node);
    }
    CountDomains(eligible);
    std::erase_if(eligible, [&](const NodeView* node) { return BreaksSpread(*node) != nullptr; });
    if (eligible.empty()) return Refusals();
    return {.node = Choose(std::move(eligible))->name};
  }

 private:
  using Refusal = PlacementResult::Refusal;

  // Why the node cannot take the child, leaving spread aside. Texts are only made on demand: most
  // calls succeed.
  std::optional<Refusal> Refuse(const NodeView& node, bool text = false) const {
    const auto refusal = [&](auto make, bool capacity = false) {
      return Refusal{node.name, text ? make() : std::string(), capacity};
    };
    if (!placement_.node.empty() && node.name != placement_.node) {
      return refusal([&] { return fmt::format("pinned to {}", placement_.node); });
    }
    if (!node.schedulable) return refusal([] { return std::string("takes no new children"); });
    if (node.suspect) return refusal([] { return std::string("suspect"); });
    if (request_.exclusive && !node.exclusive_ok) {
      return refusal([] { return std::string("its clock drifts too far for exclusive children"); });
    }
    if (!request_.module.empty() && !node.any_module && !node.modules.contains(request_.module)) {
      return refusal([&] { return fmt::format("has no module {}", request_.module); });
    }
    for (const Constraint& c : placement_.constraints) {
      if (!LabelMatches(c, node)) {
        return refusal([&] { return fmt::format("label does not match: {}", Describe(c)); });
      }
    }
    if (placement_.max_per_node > 0 &&
        CountOf(request_.same_key, node.name) >= placement_.max_per_node) {
      return refusal(
          [&] { return fmt::format("has max_per_node {} already", placement_.max_per_node); });
    }
    if (node.capacity_weight > 0 && node.assigned_weight + weight_ > node.capacity_weight) {
      return refusal(
          [&] {
            return fmt::format("weight: {} of {} taken, {} needed", node.assigned_weight,
                               node.capacity_weight, weight_);
          },
          true);
    }
    return RefuseResources(node, text);
  }

  std::optional<Refusal> RefuseResources(const NodeView& node, bool text) const {
    if (request_.resources == nullptr) return std::nullopt;
    for (const auto& [name, need] : *request_.resources) {
      if (name == "weight" || need <= 0) continue;
      const auto capacity = node.capacity.find(name);
      if (capacity == node.capacity.end()) {
        return Refusal{node.name, text ? fmt::format("offers no {}", name) : "", false};
      }
      const auto assigned = node.assigned.find(name);
      const int64_t taken = assigned == node.assigned.end() ? 0 : assigned->second;
      if (taken + need <= capacity->second) continue;
      return Refusal{
          node.name,
          text ? fmt::format("{}: {} of {} taken, {} needed", name, taken, capacity->second, need)
               : "",
          true};
    }
    return std::nullopt;
  }

  // Siblings by zone and by the domains of each spread rule. Domains without an eligible node do
  // not count: nothing could be placed there to even things out.
  void CountDomains(const std::vector<const NodeView*>& eligible) {
    domains_.resize(placement_.spread.size());
    for (size_t i = 0; i < domains_.size(); ++i) {
      for (const NodeView* node : eligible) {
        if (const std::string* value = LabelOf(*node, placement_.spread[i].key))
          domains_[i][*value];
      }
    }
    if (request_.siblings.empty()) return;
    for (const NodeView& node : nodes_) {
      const uint32_t count = CountOf(request_.siblings, node.name);
      if (count == 0) continue;
      if (const std::string* zone = LabelOf(node, std::string(kZoneLabel))) zones_[*zone] += count;
      for (size_t i = 0; i < domains_.size(); ++i) {
        const std::string* value = LabelOf(node, placement_.spread[i].key);
        if (value == nullptr) continue;
        const auto domain = domains_[i].find(*value);
        if (domain != domains_[i].end()) domain->second += count;
      }
    }
  }

  // How far placing on `node` would exceed the rule's skew.
  uint32_t SkewExcess(const NodeView& node, size_t rule) const {
    const Spread& spread = placement_.spread[rule];
    const std::string* value = LabelOf(node, spread.key);
    if (value == nullptr) return spread.required ? 1 : 0;
    uint32_t least = std::numeric_limits<uint32_t>::max();
    for (const auto& [name, count] : domains_[rule]) least = std::min(least, count);
    const auto domain = domains_[rule].find(*value);
    if (domain == domains_[rule].end()) return 0;
    const uint32_t skew = domain->second + 1 - least;
    const uint32_t allowed = std::max(1u, spread.max_skew);
    return skew > allowed ? skew - allowed : 0;
  }

  const Spread* BreaksSpread(const NodeView& node) const {
    for (size_t i = 0; i < placement_.spread.size(); ++i) {
      if (placement_.spread[i].required && SkewExcess(node, i) > 0) return &placement_.spread[i];
    }
    return nullptr;
  }

  double Score(const NodeView& node) const {
    const int64_t capacity = node.capacity_weight > 0 ? node.capacity_weight : kUnlimitedCapacity;
    double score = kLoadWeight * static_cast<double>(node.assigned_weight + weight_) /
                   static_cast<double>(capacity);
    if (const std::string* zone = LabelOf(node, std::string(kZoneLabel))) {
      const auto it = zones_.find(*zone);
      if (it != zones_.end()) score += kZoneWeight * it->second;
    }
    score += kNodeWeight * CountOf(request_.siblings, node.name);
    score += kFailureWeight * node.recent_start_failures;
    if (node.name == request_.previous_node) score -= kPreviousBonus;
    for (const Preference& p : placement_.preferences) {
      if (LabelMatches(p.constraint, node)) score -= kPreferenceWeight * p.weight;
    }
    for (size_t i = 0; i < placement_.spread.size(); ++i)
      score += kSkewWeight * SkewExcess(node, i);
    return score;
  }

  const NodeView* Choose(std::vector<const NodeView*> candidates) const {
    const bool by_hash = placement_.mode == Placement::Mode::kHash;
    // A few at random, lest all choosers rush to the one node that is least loaded.
    if (!by_hash && random_ != nullptr && candidates.size() > kScoreAllMax) {
      for (size_t i = 0; i < kSample; ++i) {
        std::swap(candidates[i], candidates[i + random_->Below(candidates.size() - i)]);
      }
      candidates.resize(kSample);
    }
    const NodeView* best = nullptr;
    double best_score = 0;
    uint64_t best_hash = 0;
    for (const NodeView* node : candidates) {
      const double score = by_hash ? 0 : Score(*node);
      const uint64_t hash = RendezvousHash(request_.child, node->name);
      const bool better = best == nullptr || score < best_score ||
                          (score == best_score &&
                           (hash > best_hash || (hash == best_hash && node->name < best->name)));
      if (!better) continue;
      best = node;
      best_score = score;
      best_hash = hash;
    }
    return best;
  }

  PlacementResult Refusals() const {
    PlacementResult result;
    for (const NodeView& node : nodes_) {
      if (std::optional<Refusal> refusal = Refuse(node, true)) {
        result.refusals.push_back(*std::move(refusal));
      } else if (const Spread* spread = BreaksSpread(node)) {
        result.refusals.push_back({node.name, fmt::format("would exceed max_skew {} of {}",
                                                          spread->max_skew, spread->key)});
      }
    }
    std::sort(result.refusals.begin(), result.refusals.end(),
              [](const Refusal& a, const Refusal& b) { return a.node < b.node; });
    return result;
  }

  const PlacementRequest& request_;
  const Placement& placement_;
  const std::vector<NodeView>& nodes_;
  Random* const random_;
  const int64_t weight_;
  std::map<std::string, uint32_t> zones_;
  std::vector<std::map<std::string, uint32_t>> domains_;  // per spread rule
};

}  // namespace

bool PlacementResult::no_capacity() const {
  return std::any_of(refusals.begin(), refusals.end(), [](const Refusal& r) { return r.capacity; });
}

PlacementResult Place(const PlacementRequest& request, const std::vector<NodeView>& nodes,
                      Random* random) {
  return Placer(request, nodes, random).Run();
}

int64_t WeightOf(const std::map<std::string, int64_t>* resources) {
  if (resources == nullptr) return 1;
  const auto it = resources->find("weight");
  return it == resources->end() ? 1 : std::max<int64_t>(0, it->second);
}

bool LabelMatches(const Constraint& c, const NodeView& node) {
  const std::string* label = LabelOf(node, c.key);
  const bool exists = label != nullptr;
  const bool listed =
      exists && std::find(c.values.begin(), c.values.end(), *label) != c.values.end();
  switch (c.op) {
    case Constraint::Op::kIn:
      return listed;
    case Constraint::Op::kNotIn:
      return !listed;
    case Constraint::Op::kExists:
      return exists;
    case Constraint::Op::kNotExists:
      return !exists;
  }
  return false;
}

// FNV-1a over both names, then a finalizer, since FNV alone mixes the last bytes badly. Its value
// is part of what a cluster agrees on, so it must not depend on the build as absl's hash does.
uint64_t RendezvousHash(std::string_view child, std::string_view node) {
  uint64_t h = 0xcbf29ce484222325;
  const auto mix = [&](unsigned char c) { h = (h ^ c) * 0x100000001b3; };
  for (char c : child) mix(static_cast<unsigned char>(c));
  mix(0);
  for (char c : node) mix(static_cast<unsigned char>(c));
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccd;
  h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53;
  return h ^ (h >> 33);
}

}  // namespace banyan

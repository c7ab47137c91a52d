#include "server/coordinator/node_requests.h"

#include <algorithm>
#include <map>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/coordinator/core.h"
#include "server/coordinator/snapshot.h"

namespace banyan {
namespace {

void SetLabel(internal::v1::NodeRecord* record, const std::string& key, const std::string& value) {
  record->mutable_given_labels()->erase(key);
  auto* hidden = record->mutable_hidden_labels();
  hidden->erase(std::remove(hidden->begin(), hidden->end(), key), hidden->end());
  const auto own = record->labels().find(key);
  const bool has = own != record->labels().end();
  if (value.empty()) {
    if (has) record->add_hidden_labels(key);
  } else if (!has || own->second != value) {
    (*record->mutable_given_labels())[key] = value;
  }
}

// Replaces what operators said about labels before: those not given are hidden.
void SetLabels(internal::v1::NodeRecord* record, const v1::NodeInfo& node) {
  record->clear_given_labels();
  record->clear_hidden_labels();
  // In order: what is written must not depend on how a map hashes.
  const std::map<std::string, std::string> own(record->labels().begin(), record->labels().end());
  for (const auto& [key, value] : own) {
    if (!node.labels().contains(key)) SetLabel(record, key, "");
  }
  for (const auto& [key, value] : node.labels()) SetLabel(record, key, value);
}

void SetCapacity(internal::v1::NodeRecord* record, const v1::NodeInfo& node,
                 const std::string& key) {
  record->mutable_given_capacity()->erase(key);
  const auto given = node.capacity().find(key);
  if (given != node.capacity().end()) (*record->mutable_given_capacity())[key] = given->second;
}

// False: the mask names something else.
bool Apply(internal::v1::NodeRecord* record, const v1::NodeInfo& node, const std::string& path) {
  if (path == "labels") {
    SetLabels(record, node);
  } else if (path == "capacity") {
    *record->mutable_given_capacity() = node.capacity();
  } else if (path.starts_with("labels.")) {
    const std::string key = path.substr(7);
    const auto value = node.labels().find(key);
    SetLabel(record, key, value == node.labels().end() ? "" : value->second);
  } else if (path.starts_with("capacity.")) {
    SetCapacity(record, node, path.substr(9));
  } else {
    return false;
  }
  return true;
}

// Maps in order, so that the same request has the same text.
std::string Contents(const v1::NodeInfo& node, const std::vector<std::string>& mask) {
  std::string text = node.name() + "\n" + node.etag();
  for (const std::string& path : mask) text += "\n" + path;
  const std::map<std::string, std::string> labels(node.labels().begin(), node.labels().end());
  const std::map<std::string, int64_t> capacity(node.capacity().begin(), node.capacity().end());
  for (const auto& [key, value] : labels) text += fmt::format("\n{}={}", key, value);
  for (const auto& [key, value] : capacity) text += fmt::format("\n{}:{}", key, value);
  return text;
}

}  // namespace

void NodeRequests::Update(const v1::NodeInfo& node, const std::vector<std::string>& mask,
                          const std::string& request_id, Reply<v1::NodeInfo> done) {
  Operation* op = core_->operations.Begin<v1::NodeInfo>(request_id, "UpdateNode",
                                                        Contents(node, mask), {}, std::move(done));
  if (op == nullptr) return;
  Member* member = core_->members.Find(node.name());
  if (member == nullptr) {
    return core_->operations.Fail(
        op, MakeError("NODE_NOT_FOUND", fmt::format("no node \"{}\"", node.name()),
                      {{"node", node.name()}}));
  }
  if (!node.etag().empty() && node.etag() != EtagOf(*member)) {
    return core_->operations.Fail(
        op, MakeError("ETAG_MISMATCH",
                      fmt::format("node \"{}\" has changed since it was read", node.name()),
                      {{"etag", EtagOf(*member)}}));
  }
  internal::v1::NodeRecord record = member->record;
  for (const std::string& path : mask) {
    if (Apply(&record, node, path)) continue;
    return core_->operations.Fail(
        op, MakeFieldError("REQUEST_INVALID",
                           {{"update_mask", fmt::format("\"{}\" cannot be changed; only labels, "
                                                        "labels.KEY, capacity, capacity.KEY",
                                                        path)}}));
  }
  member->record = std::move(record);
  core_->membership.Store(*member);
  core_->membership.Changed(member);
  core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_UPDATED, member->name());
  core_->reconciler.OnViewChanged();
  core_->operations.Finish(op, EncodeNode(*core_, *member, /*for_view=*/false), "done");
}

uint32_t NodeRequests::PossibleLevel() const {
  uint32_t level = core_->options.feature_level;
  for (const auto& [name, member] : core_->members.all()) {
    if (!member->gone()) level = std::min(level, member->record.level());
  }
  return std::max(level, core_->meta.level());
}

void NodeRequests::Finalize(uint32_t level, const std::string& request_id,
                            Reply<v1::FinalizeUpgradeResponse> done) {
  Operation* op = core_->operations.Begin<v1::FinalizeUpgradeResponse>(
      request_id, "FinalizeUpgrade", fmt::format("{}", level), {}, std::move(done));
  if (op == nullptr) return;
  if (auto problem = FinalizeProblem(level, core_->meta.level(), PossibleLevel()))
    return core_->operations.Fail(op, MakeError("FEATURE_LEVEL", *problem));
  if (level != core_->meta.level()) {
    core_->meta.set_level(level);
    core_->journal.Put("meta", core_->meta);
    // Sessions are opened anew with what may be used from now on.
    core_->journal.After([this] {
      std::vector<ControlSession*> open;
      for (const auto& [name, member] : core_->members.all()) {
        if (member->control != nullptr) open.push_back(member->control);
      }
      for (ControlSession* session : open)
        session->Close(absl::UnavailableError("the feature level has risen"));
    });
  }
  v1::FinalizeUpgradeResponse response;
  response.set_level(level);
  core_->operations.Finish(op, response, "done");
}

}  // namespace banyan

#include "common/wire/target.h"

#include <utility>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/error.h"

namespace banyan::wire {
namespace {

Target::Group::Selection SelectionOf(const v1::GroupTarget& in) {
  switch (in.selection()) {
    case v1::GroupTarget::SELECTION_RANDOM:
      return Target::Group::Selection::kRandom;
    case v1::GroupTarget::SELECTION_LEAST_LOADED:
      return Target::Group::Selection::kLeastLoaded;
    case v1::GroupTarget::SELECTION_HASH:
      return Target::Group::Selection::kHash;
    default:
      return Target::Group::Selection::kNearest;  // UNSPECIFIED and what we do not know
  }
}

struct Encoder {
  const NodeIdentity& self;
  v1::Target* out;

  void operator()(const Target::ByPid& by) const { ToProto(by.pid, self, out->mutable_pid()); }
  void operator()(const Target::Name& name) const { out->set_name(name.name); }
  void operator()(const Target::LocalName& local) const {
    out->mutable_local_name()->set_node(local.node);
    out->mutable_local_name()->set_name(local.name);
  }
  void operator()(const Target::Group& group) const {
    out->mutable_group()->set_group(group.group);
    out->mutable_group()->set_selection(static_cast<v1::GroupTarget::Selection>(group.selection));
    out->mutable_group()->set_hash_key(group.hash_key);
  }
  void operator()(const Target::ChildPath& path) const {
    out->mutable_child()->set_supervisor(path.supervisor);
    for (const std::string& id : path.child_ids) out->mutable_child()->add_child_ids(id);
  }
};

}  // namespace

absl::StatusOr<Target> FromProto(const v1::Target& in, const NodeIdentity& self,
                                 std::string_view field) {
  Target out;
  std::string_view part;
  switch (in.kind_case()) {
    case v1::Target::kPid:
      out = Target::Of(FromProto(in.pid(), self));
      part = "pid";
      break;
    case v1::Target::kName:
      out = Target::Named(in.name());
      part = "name";
      break;
    case v1::Target::kLocalName:
      out.kind = Target::LocalName{in.local_name().node(), in.local_name().name()};
      part = "local_name";
      break;
    case v1::Target::kGroup:
      out.kind = Target::Group{in.group().group(), SelectionOf(in.group()), in.group().hash_key()};
      part = "group";
      break;
    case v1::Target::kChild:
      out.kind = Target::ChildPath{in.child().supervisor(),
                                   {in.child().child_ids().begin(), in.child().child_ids().end()}};
      part = "child";
      break;
    case v1::Target::KIND_NOT_SET:
      return MakeFieldError("TARGET_INVALID", {{std::string(field),
                                                "is unset; set one of pid, name, local_name, "
                                                "group, child"}});
  }
  BANYAN_RETURN_IF_ERROR(CheckTarget(out, fmt::format("{}.{}", field, part)));
  return out;
}

absl::Status ToProto(const Target& in, const NodeIdentity& self, v1::Target* out) {
  out->Clear();
  if (const auto* by = std::get_if<Target::ByPid>(&in.kind); by != nullptr && !by->node.empty()) {
    return MakeFieldError(
        "TARGET_INVALID",
        {{"target.pid", fmt::format("no number is known for the node '{}'", by->node)}});
  }
  std::visit(Encoder{self, out}, in.kind);
  return absl::OkStatus();
}

}  // namespace banyan::wire

#include "server/wire/placement.h"

#include "fmt/format.h"

#include "common/base/target.h"
#include "common/wire/time.h"

namespace banyan::wire {
namespace {

constexpr int kRulesMax = 64;
constexpr int kValuesMax = 256;
constexpr uint32_t kWeightMax = 100;

Placement::Mode DecodeMode(v1::Placement::Mode in) {
  switch (in) {
    case v1::Placement::MODE_LOCAL:
      return Placement::Mode::kLocal;
    case v1::Placement::MODE_BALANCED:
      return Placement::Mode::kBalanced;
    case v1::Placement::MODE_HASH:
      return Placement::Mode::kHash;
    default:
      return Placement::Mode::kUnspecified;
  }
}

Constraint::Op DecodeOp(v1::Constraint::Operator in) {
  switch (in) {
    case v1::Constraint::OPERATOR_NOT_IN:
      return Constraint::Op::kNotIn;
    case v1::Constraint::OPERATOR_EXISTS:
      return Constraint::Op::kExists;
    case v1::Constraint::OPERATOR_NOT_EXISTS:
      return Constraint::Op::kNotExists;
    default:
      return Constraint::Op::kIn;
  }
}

Constraint DecodeConstraint(const v1::Constraint& in, const std::string& field,
                            SpecProblems* problems) {
  Constraint out{.key = in.key(), .op = DecodeOp(in.op())};
  out.values.assign(in.values().begin(), in.values().end());
  problems->AddIf(field + ".key", LabelKeyProblem(in.key()));
  const bool takes_values = out.op == Constraint::Op::kIn || out.op == Constraint::Op::kNotIn;
  if (takes_values && out.values.empty()) {
    problems->Add(field + ".values", "is empty; IN and NOT_IN need at least one value");
  }
  if (!takes_values && !out.values.empty()) {
    problems->Add(field + ".values", "must be empty for EXISTS and NOT_EXISTS");
  }
  if (in.values_size() > kValuesMax) {
    problems->Add(field + ".values", fmt::format("has {} values; at most {} are allowed",
                                                 in.values_size(), kValuesMax));
  }
  return out;
}

Preference DecodePreference(const v1::Preference& in, const std::string& field,
                            SpecProblems* problems) {
  if (in.weight() < 1 || in.weight() > kWeightMax) {
    problems->Add(field + ".weight",
                  fmt::format("is {}; it must be 1 to {}", in.weight(), kWeightMax));
  }
  return {DecodeConstraint(in.constraint(), field + ".constraint", problems), in.weight()};
}

Spread DecodeSpread(const v1::Spread& in, const std::string& field, SpecProblems* problems) {
  problems->AddIf(field + ".key", LabelKeyProblem(in.key()));
  if (in.has_max_skew() && in.max_skew() == 0) {
    problems->Add(field + ".max_skew", "is 0; it must be at least 1");
  }
  return {in.key(), in.has_max_skew() ? in.max_skew() : 1, in.required()};
}

void CheckCount(int count, const std::string& field, SpecProblems* problems) {
  if (count > kRulesMax) {
    problems->Add(field, fmt::format("has {} entries; at most {} are allowed", count, kRulesMax));
  }
}

void EncodeConstraint(const Constraint& in, v1::Constraint* out) {
  out->set_key(in.key);
  out->set_op(static_cast<v1::Constraint::Operator>(in.op));
  for (const std::string& value : in.values) out->add_values(value);
}

}  // namespace

Placement DecodePlacement(const v1::Placement& in, const std::string& field,
                          SpecProblems* problems) {
  Placement out{.mode = DecodeMode(in.mode())};
  CheckCount(in.constraints_size(), field + ".constraints", problems);
  CheckCount(in.preferences_size(), field + ".preferences", problems);
  CheckCount(in.spread_size(), field + ".spread", problems);
  for (int i = 0; i < in.constraints_size(); ++i) {
    out.constraints.push_back(
        DecodeConstraint(in.constraints(i), fmt::format("{}.constraints[{}]", field, i), problems));
  }
  for (int i = 0; i < in.preferences_size(); ++i) {
    out.preferences.push_back(
        DecodePreference(in.preferences(i), fmt::format("{}.preferences[{}]", field, i), problems));
  }
  for (int i = 0; i < in.spread_size(); ++i) {
    out.spread.push_back(
        DecodeSpread(in.spread(i), fmt::format("{}.spread[{}]", field, i), problems));
  }
  out.node = in.node();
  if (!in.node().empty()) problems->AddIf(field + ".node", NodeNameProblem(in.node()));
  out.max_per_node = in.max_per_node();
  out.max_per_node_key = in.max_per_node_key();
  if (!in.max_per_node_key().empty()) {
    problems->AddIf(field + ".max_per_node_key", NameProblem(in.max_per_node_key()));
    if (in.max_per_node() == 0) {
      problems->Add(field + ".max_per_node_key", "has no meaning without max_per_node");
    }
  }
  out.lost_after = DecodeDuration(in.has_lost_after(), in.lost_after(), out.lost_after,
                                  absl::ZeroDuration(), field + ".lost_after", problems);
  out.priority = in.priority();
  return out;
}

void EncodePlacement(const Placement& in, v1::Placement* out) {
  out->set_mode(static_cast<v1::Placement::Mode>(in.mode));
  for (const Constraint& c : in.constraints) EncodeConstraint(c, out->add_constraints());
  for (const Preference& p : in.preferences) {
    v1::Preference* preference = out->add_preferences();
    EncodeConstraint(p.constraint, preference->mutable_constraint());
    preference->set_weight(p.weight);
  }
  for (const Spread& s : in.spread) {
    v1::Spread* spread = out->add_spread();
    spread->set_key(s.key);
    spread->set_max_skew(s.max_skew);
    spread->set_required(s.required);
  }
  out->set_node(in.node);
  out->set_max_per_node(in.max_per_node);
  out->set_max_per_node_key(in.max_per_node_key);
  *out->mutable_lost_after() = ToProto(in.lost_after);
  out->set_priority(in.priority);
}

}  // namespace banyan::wire

#include "common/base/target.h"

#include <charconv>
#include <utility>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/error.h"

namespace banyan {
namespace {

constexpr size_t kNameMax = 255;
constexpr std::string_view kSlash = "%2F";

template <class... Fs>
struct Overload : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overload(Fs...) -> Overload<Fs...>;

bool IsLetter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool AllDigits(std::string_view s) {
  for (char c : s) {
    if (!IsDigit(c)) return false;
  }
  return !s.empty();
}

absl::Status Invalid(std::string_view field, std::string what) {
  return MakeFieldError("TARGET_INVALID", {{std::string(field), std::move(what)}});
}

std::optional<uint32_t> Number(std::string_view s) {
  uint32_t n = 0;
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), n);
  if (error != std::errc() || end != s.data() + s.size() || !AllDigits(s)) return std::nullopt;
  return n;
}

bool Consume(std::string_view& s, std::string_view prefix) {
  if (!s.starts_with(prefix)) return false;
  s.remove_prefix(prefix.size());
  return true;
}

// Two colons with numbers after them: what no name can look like.
bool LooksLikePid(std::string_view s) {
  const size_t first = s.find(':');
  if (first == std::string_view::npos) return false;
  const size_t second = s.find(':', first + 1);
  return second != std::string_view::npos && AllDigits(s.substr(first + 1, second - first - 1)) &&
         s.find(':', second + 1) == std::string_view::npos && second + 1 < s.size() &&
         IsDigit(s[second + 1]);
}

std::optional<std::string> NodeProblem(std::string_view node) {
  if (AllDigits(node)) {
    if (Number(node)) return std::nullopt;
    return fmt::format("node number {} is too large", node);
  }
  return NodeNameProblem(node);
}

absl::StatusOr<Target> ParseName(std::string_view text) {
  const size_t at = text.find('@');
  if (at == std::string_view::npos) return Target::Named(std::string(text));
  return Target{Target::LocalName{.node = std::string(text.substr(at + 1)),
                                  .name = std::string(text.substr(0, at))}};
}

absl::StatusOr<Target> ParseGroup(std::string_view text) {
  using Selection = Target::Group::Selection;
  Target::Group out;
  const size_t hash = text.find('#');
  out.group = std::string(text.substr(0, hash));
  if (hash == std::string_view::npos) return Target{std::move(out)};
  std::string_view how = text.substr(hash + 1);
  if (how == "nearest") {
    out.selection = Selection::kNearest;
  } else if (how == "random") {
    out.selection = Selection::kRandom;
  } else if (how == "least") {
    out.selection = Selection::kLeastLoaded;
  } else if (Consume(how, "hash=")) {
    out.selection = Selection::kHash;
    out.hash_key = std::string(how);
  } else {
    return Invalid("target", fmt::format("'#{}' is not a way to pick a member: use #nearest, "
                                         "#random, #least or #hash=KEY",
                                         how));
  }
  return Target{std::move(out)};
}

absl::StatusOr<Target> ParseChild(std::string_view text) {
  Target::ChildPath out;
  size_t slash = text.find('/');
  out.supervisor = std::string(text.substr(0, slash));
  for (size_t i; (i = out.supervisor.find(kSlash)) != std::string::npos;) {
    out.supervisor.replace(i, kSlash.size(), "/");
  }
  while (slash != std::string_view::npos) {
    text.remove_prefix(slash + 1);
    slash = text.find('/');
    out.child_ids.emplace_back(text.substr(0, slash));
  }
  return Target{std::move(out)};
}

absl::StatusOr<Target> ParseUnchecked(std::string_view text) {
  // A pid's shape is looked for before the prefixes: a node may be called "pid" or "group".
  if (LooksLikePid(text) || Consume(text, "pid:")) {
    BANYAN_ASSIGN_OR_RETURN(Target::ByPid pid, ParsePid(text));
    return Target{std::move(pid)};
  }
  if (Consume(text, "group:")) return ParseGroup(text);
  if (Consume(text, "child:")) return ParseChild(text);
  Consume(text, "name:");
  return ParseName(text);
}

std::optional<std::string> Problem(const Target::ByPid& by) {
  if (!by.pid) return "the pid's id is 0, which names no process";
  return by.node.empty() ? std::nullopt : NodeNameProblem(by.node);
}

std::optional<std::string> Problem(const Target::Name& name) { return NameProblem(name.name); }

std::optional<std::string> Problem(const Target::LocalName& local) {
  if (auto problem = NameProblem(local.name)) return problem;
  return NodeProblem(local.node);
}

std::optional<std::string> Problem(const Target::Group& group) {
  if (auto problem = NameProblem(group.group)) return problem;
  if (group.selection == Target::Group::Selection::kHash && group.hash_key.empty()) {
    return "picking a group's member by hash needs a hash key";
  }
  return std::nullopt;
}

std::optional<std::string> Problem(const Target::ChildPath& path) {
  if (auto problem = NameProblem(path.supervisor)) return problem;
  if (path.child_ids.empty())
    return "a child path needs at least one child id: child:SUPERVISOR/ID";
  for (const std::string& id : path.child_ids) {
    if (auto problem = ChildIdProblem(id)) return problem;
  }
  return std::nullopt;
}

std::string Format(const Target::Group& group) {
  switch (group.selection) {
    case Target::Group::Selection::kNearest:
      break;
    case Target::Group::Selection::kRandom:
      return fmt::format("group:{}#random", group.group);
    case Target::Group::Selection::kLeastLoaded:
      return fmt::format("group:{}#least", group.group);
    case Target::Group::Selection::kHash:
      return fmt::format("group:{}#hash={}", group.group, group.hash_key);
  }
  return fmt::format("group:{}", group.group);
}

std::string Format(const Target::ChildPath& path) {
  std::string out = "child:";
  for (char c : path.supervisor) {
    if (c == '/') {
      out += kSlash;
    } else {
      out += c;
    }
  }
  for (const std::string& id : path.child_ids) out += "/" + id;
  return out;
}

}  // namespace

std::optional<std::string> NameProblem(std::string_view name) {
  if (name.empty()) return "the name is empty";
  if (name.size() > kNameMax) {
    return fmt::format("the name has {} characters; at most {} are allowed", name.size(), kNameMax);
  }
  for (char c : name) {
    if (IsLetter(c) || IsDigit(c) || c == '.' || c == '_' || c == '-' || c == '~' || c == '/')
      continue;
    const auto byte = static_cast<unsigned char>(c);
    return fmt::format(
        "the name has the character {}; allowed are A-Z a-z 0-9 . _ - ~ and '/' "
        "between segments",
        byte >= 0x20 && byte < 0x7F ? fmt::format("'{}'", c) : fmt::format("0x{:02X}", byte));
  }
  if (name.front() == '/' || name.back() == '/' || name.find("//") != std::string_view::npos) {
    return fmt::format("the name '{}' has an empty segment", name);
  }
  return std::nullopt;
}

std::optional<std::string> ChildIdProblem(std::string_view id) {
  if (id.empty()) return "the child id is empty";
  if (id.find('/') != std::string_view::npos) {
    return fmt::format("the child id '{}' has a '/', which is not allowed there",
                       id.substr(0, kNameMax));
  }
  return NameProblem(id);
}

std::optional<std::string> NodeNameProblem(std::string_view name) {
  if (auto problem = NameProblem(name)) return problem;
  if (name.find('/') != std::string_view::npos) {
    return fmt::format("the node name '{}' has a '/', which is not allowed there", name);
  }
  for (char c : name) {
    if (IsLetter(c)) return std::nullopt;
  }
  return fmt::format("the node name '{}' has no letter", name);
}

absl::StatusOr<Target::ByPid> ParsePid(std::string_view text) {
  const auto fail = [&](std::string_view what) {
    return Invalid("target", fmt::format("'{}' is not a pid ({}); the form is "
                                         "NODE:INCARNATION:SLOT[.GENERATION]",
                                         text.substr(0, 300), what));
  };
  const size_t first = text.find(':');
  const size_t second = first == std::string_view::npos ? first : text.find(':', first + 1);
  if (second == std::string_view::npos) return fail("it needs two colons");
  const std::string_view node = text.substr(0, first);
  const auto incarnation = Number(text.substr(first + 1, second - first - 1));
  if (!incarnation) return fail("the incarnation is not a 32-bit number");
  const std::string_view last = text.substr(second + 1);
  const size_t dot = last.find('.');
  const auto slot = Number(last.substr(0, dot));
  if (!slot || *slot == 0) return fail("the slot is not a 32-bit number from 1");
  std::optional<uint32_t> generation = 0;
  if (dot != std::string_view::npos) generation = Number(last.substr(dot + 1));
  if (!generation) return fail("the generation is not a 32-bit number");
  Target::ByPid out{.pid = Pid::Local(*slot, *generation), .node = {}};
  out.pid.incarnation = *incarnation;
  if (AllDigits(node)) {
    const auto number = Number(node);
    if (!number) return fail("the node's number is too large");
    out.pid.node_id = *number;
  } else {
    if (auto problem = NodeNameProblem(node)) return fail(*problem);
    out.node = std::string(node);
  }
  return out;
}

absl::StatusOr<Target> ParseTarget(std::string_view text) {
  if (text.empty()) return Invalid("target", "the target is empty");
  BANYAN_ASSIGN_OR_RETURN(Target target, ParseUnchecked(text));
  BANYAN_RETURN_IF_ERROR(CheckTarget(target));
  return target;
}

std::string FormatTarget(const Target& target) {
  return std::visit(
      Overload{[](const Target::ByPid& by) { return FormatPid(by.pid, by.node); },
               [](const Target::Name& name) { return fmt::format("name:{}", name.name); },
               [](const Target::LocalName& local) {
                 return fmt::format("name:{}@{}", local.name, local.node);
               },
               [](const Target::Group& group) { return Format(group); },
               [](const Target::ChildPath& path) { return Format(path); }},
      target.kind);
}

absl::Status CheckTarget(const Target& target, std::string_view field) {
  auto problem = std::visit([](const auto& kind) { return Problem(kind); }, target.kind);
  return problem ? Invalid(field, *std::move(problem)) : absl::OkStatus();
}

}  // namespace banyan

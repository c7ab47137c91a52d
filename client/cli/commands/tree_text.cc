#include "client/cli/commands/tree_text.h"

#include <fmt/format.h>

namespace banyan::cli {
namespace {

std::string Label(const v1::TreeNode& node) {
  if (!node.child().id().empty()) return node.child().id();
  if (!node.supervisor().name().empty()) return node.supervisor().name();
  return node.supervisor().path_size() > 0
             ? node.supervisor().path(node.supervisor().path_size() - 1)
             : "?";
}

bool IsSupervisor(const v1::TreeNode& node) {
  return node.has_supervisor() || node.child().type() == v1::CHILD_TYPE_SUPERVISOR;
}

std::string Where(Cli& cli, const v1::TreeNode& node) {
  if (node.supervisor().cluster_wide()) return "cluster";
  if (node.child().has_pid()) return cli.Pid(node.child().pid());
  return cli.Pid(node.supervisor().pid());
}

std::string State(const v1::TreeNode& node) {
  const v1::ChildState state = node.child().state();
  const bool up = state == v1::CHILD_STATE_RUNNING ||
                  (state == v1::CHILD_STATE_UNSPECIFIED && node.has_supervisor());
  if (!up) return Word(state);
  const auto& since =
      node.child().has_start_time() ? node.child().start_time() : node.supervisor().start_time();
  const std::string age = Age(since);
  return age == "-" ? "up" : fmt::format("up {}", age);
}

std::string Details(Cli& cli, const v1::TreeNode& node) {
  std::string details;
  const auto add = [&](const std::string& text) {
    details += (details.empty() ? "" : "  ") + text;
  };
  const v1::ChildInfo& child = node.child();
  if (node.has_supervisor()) {
    add(StrategyText(node.supervisor().spec()));
    // Cut off by --depth: say how many there are.
    const uint64_t below = node.supervisor().counts().active();
    if (node.children_size() == 0 && below > 0) add(fmt::format("{} children", Count(below)));
  } else if (!child.module().empty()) {
    add(child.module());
  }
  if (child.fence() != 0) add(fmt::format("fence {}", FenceText(child.fence())));
  if (child.restarts() > 0) add(fmt::format("restarts {}", Count(child.restarts())));
  if (child.has_last_exit_reason())
    add(fmt::format("last: {}", client::FormatExitReason(child.last_exit_reason())));
  if (!child.state_reason().empty()) add(child.state_reason());
  if (cli.options().output == Format::kWide && !child.node().empty())
    add(fmt::format("on {}", child.node()));
  return details;
}

void AddLines(Cli& cli, const v1::TreeNode& node, const std::string& lead, const std::string& below,
              Table* table) {
  table->Add({lead + Label(node), IsSupervisor(node) ? "supervisor" : "worker", Where(cli, node),
              Colored(cli, State(node)), Details(cli, node)});
  for (int i = 0; i < node.children_size(); ++i) {
    const bool last = i + 1 == node.children_size();
    AddLines(cli, node.children(i), below + (last ? "└─ " : "├─ "), below + (last ? "   " : "│  "),
             table);
  }
}

// Text inside a Mermaid label: quotes end it, angle brackets are markup.
std::string Escape(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '"') {
      out += "#quot;";
    } else if (c == '<') {
      out += "#lt;";
    } else if (c == '>') {
      out += "#gt;";
    } else {
      out += c;
    }
  }
  return out;
}

void AddMermaid(Cli& cli, const v1::TreeNode& node, int parent, int* next, std::string* out) {
  const int id = (*next)++;
  const bool supervisor = IsSupervisor(node);
  const std::string second =
      supervisor ? StrategyText(node.supervisor().spec()) : node.child().module();
  *out += fmt::format("  n{}{}\"{}<br/>{}<br/>{}\"{}\n", id, supervisor ? "[" : "(",
                      Escape(Label(node)), Escape(second),
                      Escape(fmt::format("{}, {}", Where(cli, node), State(node))),
                      supervisor ? "]" : ")");
  if (parent >= 0) *out += fmt::format("  n{} --> n{}\n", parent, id);
  const v1::ChildState state = node.child().state();
  if (state != v1::CHILD_STATE_RUNNING && state != v1::CHILD_STATE_UNSPECIFIED)
    *out += fmt::format("  class n{} down\n", id);
  for (const v1::TreeNode& child : node.children()) AddMermaid(cli, child, id, next, out);
}

}  // namespace

void AddTree(Cli& cli, const v1::TreeNode& root, Table* table) {
  AddLines(cli, root, "", "", table);
}

std::string TreeMermaid(Cli& cli, const std::vector<v1::GetTreeResponse>& trees) {
  std::string out = "graph TD\n";
  int next = 0;
  for (const v1::GetTreeResponse& tree : trees) AddMermaid(cli, tree.root(), -1, &next, &out);
  out += "  classDef down fill:#fdd,stroke:#c00\n";
  return out;
}

}  // namespace banyan::cli

#include <ostream>
#include <sstream>

#include "absl/time/clock.h"
#include "client/cli/commands/commands.h"
#include "client/cli/commands/tree_text.h"
#include "client/transport/payload.h"
#include <fmt/format.h>

#include "banyan/v1/supervisors.grpc.pb.h"

namespace banyan::cli {
namespace {

constexpr absl::Duration kWatchPause = absl::Seconds(1);

client::ApiError FetchTree(Cli& cli, const v1::Target& target, uint32_t depth,
                           std::vector<v1::GetTreeResponse>* trees) {
  v1::GetTreeRequest request;
  *request.mutable_supervisor() = target;
  request.set_depth(depth);
  return cli.session().Invoke<v1::Supervisors>(&v1::Supervisors::Stub::GetTree, request,
                                               &trees->emplace_back(), client::kSafe);
}

// The trees of all roots. One that ends between the list and the look is left out.
client::ApiError FetchAll(Cli& cli, uint32_t depth, std::vector<v1::GetTreeResponse>* trees) {
  v1::ListSupervisorsRequest request;
  request.set_page_size(1000);
  v1::ListSupervisorsResponse roots;
  auto error = client::ListAll<v1::Supervisors, decltype(&v1::Supervisors::Stub::ListSupervisors),
                               v1::ListSupervisorsRequest, v1::ListSupervisorsResponse>(
      &cli.session(), &v1::Supervisors::Stub::ListSupervisors, request, &roots,
      [](v1::ListSupervisorsResponse* sum, const v1::ListSupervisorsResponse& page) {
        sum->MergeFrom(page);
      });
  if (!error.ok()) return error;
  for (const v1::SupervisorInfo& root : roots.supervisors()) {
    v1::Target target;
    if (!root.name().empty()) {
      target.set_name(root.name());
    } else {
      *target.mutable_pid() = root.pid();
    }
    error = FetchTree(cli, target, depth, trees);
    if (error.ok()) continue;
    trees->pop_back();
    if (error.code != grpc::StatusCode::NOT_FOUND) return error;
  }
  return client::ApiError{};
}

std::string Text(Cli& cli, const std::vector<v1::GetTreeResponse>& trees) {
  std::ostringstream text;
  Cli into(Environment{.in = cli.env().in,
                       .out = text,
                       .err = cli.err(),
                       .out_is_terminal = cli.env().out_is_terminal,
                       .width = cli.env().width},
           cli.options());
  Table table({});
  for (const v1::GetTreeResponse& tree : trees) AddTree(cli, tree.root(), &table);
  table.Print(into);
  return text.str();
}

void PrintTrees(Cli& cli, const TreeOptions& options,
                const std::vector<v1::GetTreeResponse>& trees) {
  if (cli.options().mermaid) {
    cli.out() << TreeMermaid(cli, trees);
  } else if (cli.names_only()) {
    for (const auto& tree : trees) cli.out() << tree.root().supervisor().name() << "\n";
  } else if (cli.structured() &&
             (!options.supervisor.empty() || cli.options().output == Format::kJsonl)) {
    for (const auto& tree : trees) PrintMessage(cli, tree);
  } else if (cli.structured()) {
    std::string json = "[";
    for (const auto& tree : trees) {
      json += fmt::format("{}{}", json.size() > 1 ? "," : "",
                          client::MessageToJson(tree, &cli.types(), true));
    }
    json += "]";
    cli.out() << (cli.options().output == Format::kYaml ? JsonToYaml(json) : json) << "\n";
  } else {
    cli.out() << Text(cli, trees) << std::flush;
  }
  for (const auto& tree : trees) {
    for (const std::string& node : tree.unreachable())
      cli.err() << fmt::format("warning: {} did not answer\n", node);
  }
}

}  // namespace

int RunTree(Cli& cli, const TreeOptions& options) {
  v1::Target target;
  if (!options.supervisor.empty()) {
    auto parsed = cli.Supervisor(options.supervisor);
    if (!parsed.ok()) return cli.FailTarget(parsed.status(), options.supervisor);
    target = *parsed;
  }
  if (options.watch && (cli.structured() || cli.options().mermaid)) {
    return cli.Usage("-w shows text only", "for programs: banyan events -f -o jsonl");
  }
  std::string shown;
  for (;;) {
    std::vector<v1::GetTreeResponse> trees;
    const auto error = options.supervisor.empty() ? FetchAll(cli, options.depth, &trees)
                                                  : FetchTree(cli, target, options.depth, &trees);
    if (!error.ok())
      return cli.Fail(error, {.supervisor = options.supervisor, .name = options.supervisor});
    if (!options.watch) {
      if (trees.empty() && !cli.structured() && !cli.names_only()) cli.err() << "no supervisors\n";
      PrintTrees(cli, options, trees);
      return kDone;
    }
    const std::string text = Text(cli, trees);
    if (text != shown) {
      cli.out() << (cli.env().out_is_terminal ? "\033[H\033[2J"
                    : shown.empty()           ? ""
                                              : "\n")
                << text << std::flush;
      shown = text;
    }
    absl::SleepFor(kWatchPause);
  }
}

}  // namespace banyan::cli

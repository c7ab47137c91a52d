#include "client/cli/commands/node.h"

#include <map>

#include "client/cli/commands/commands.h"
#include <fmt/format.h>

#include "banyan/v1/cluster.grpc.pb.h"

namespace banyan::cli {
namespace {

std::string Memory(const v1::NodeLoad& load) {
  if (load.memory_bytes() == 0) return "-";
  if (load.memory_limit_bytes() == 0) return Bytes(load.memory_bytes());
  return fmt::format("{}/{}", Bytes(load.memory_bytes()), Bytes(load.memory_limit_bytes()));
}

std::string StateText(const v1::NodeInfo& node) {
  std::string text = Word(node.state());
  if (node.frozen()) text += ",frozen";
  if (node.quarantined()) text += ",quarantined";
  if (!node.schedulable() && node.state() == v1::NODE_STATE_ACTIVE) text += ",cordoned";
  return text;
}

template <typename Map>
std::string Labels(const Map& labels) {
  const std::map<std::string, std::string> sorted(labels.begin(), labels.end());
  std::string text;
  for (const auto& [key, value] : sorted)
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, value);
  return text.empty() ? "-" : text;
}

void PrintNode(Cli& cli, const v1::NodeInfo& node) {
  Facts facts;
  facts.Add("Name", node.name());
  facts.Add("State", StateText(node));
  facts.Add("Number", fmt::format("{}, incarnation {}", node.node_id(), node.incarnation()));
  facts.Add("Address", node.address());
  facts.Add("Version", node.version());
  facts.Add("Labels", Labels(node.labels()));
  facts.Add("Death", node.death_cause());
  facts.Add("Watcher",
            node.has_watcher() ? "yes" : "no_watcher: a crash is known by the lease only");
  if (node.has_clock_drift())
    facts.Add("Clock",
              fmt::format("{:+.3f} % against the coordinator's", node.clock_drift() * 100));
  facts.Add("Actors", Count(node.load().actors()));
  facts.Add("Queued", Count(node.load().queued_messages()));
  facts.Add("Late replies", Count(node.load().late_replies()));
  facts.Add("CPU",
            fmt::format("{:.0f}% of {} schedulers", node.load().scheduler_utilization() * 100,
                        node.load().schedulers()));
  facts.Add("Memory", Memory(node.load()));
  std::string modules;
  for (const auto& module : node.modules()) {
    modules += fmt::format("{}{}{}{}", modules.empty() ? "" : ", ", module.name(),
                           module.version().empty() ? "" : " ", module.version());
  }
  facts.Add("Modules", modules);
  facts.Add("Joined", node.has_join_time() ? fmt::format("{} ago", Age(node.join_time())) : "");
  if (node.has_drain()) {
    facts.Add("Drain", fmt::format("{} moved, {} left, {} stuck", node.drain().moved_children(),
                                   node.drain().remaining_children(), node.drain().stuck_size()));
  }
  facts.Print(cli);
}

}  // namespace

client::ApiError FetchNodes(Cli& cli, const v1::ListNodesRequest& request,
                            v1::ListNodesResponse* all) {
  return client::ListAll<v1::Cluster, decltype(&v1::Cluster::Stub::ListNodes), v1::ListNodesRequest,
                         v1::ListNodesResponse>(
      &cli.session(), &v1::Cluster::Stub::ListNodes, request, all,
      [](v1::ListNodesResponse* sum, const v1::ListNodesResponse& page) { sum->MergeFrom(page); });
}

Table NodeTable(Cli& cli, const v1::ListNodesResponse& nodes) {
  const bool wide = cli.options().output == Format::kWide;
  std::vector<std::string> headers = {"NODE", "STATE",   ">ACTORS", ">QUEUED",
                                      ">CPU", ">MEMORY", "VERSION", ">AGE"};
  if (wide) headers.insert(headers.end(), {"ADDRESS", ">ID", ">INCARNATION", "LABELS"});
  Table table(headers);
  for (const v1::NodeInfo& node : nodes.nodes()) {
    const v1::NodeLoad& load = node.load();
    std::vector<std::string> row = {
        node.name(),
        Colored(cli, StateText(node)),
        Count(load.actors()),
        Count(load.queued_messages()),
        fmt::format("{:.0f}%", load.scheduler_utilization() * 100),
        Memory(load),
        node.version().empty() ? "-" : node.version(),
        Age(node.has_start_time() ? node.start_time() : node.join_time())};
    if (wide) {
      row.insert(row.end(), {node.address(), std::to_string(node.node_id()),
                             std::to_string(node.incarnation()), Labels(node.labels())});
    }
    table.Add(row);
  }
  return table;
}

int RunNodeList(Cli& cli, const NodeListOptions& options) {
  v1::ListNodesRequest request;
  request.set_page_size(1000);
  request.set_show_gone(options.all);
  request.set_filter(options.filter);
  v1::ListNodesResponse nodes;
  if (auto error = FetchNodes(cli, request, &nodes); !error.ok()) return cli.Fail(error);
  return PrintList(
      cli, nodes, nodes.nodes(), [](const v1::NodeInfo& node) { return node.name(); },
      [&] { NodeTable(cli, nodes).Print(cli); });
}

int RunNodeGet(Cli& cli, const NodeGetOptions& options) {
  v1::GetNodeRequest request;
  request.set_name(options.name);
  v1::GetNodeResponse response;
  auto error = cli.session().Invoke<v1::Cluster>(&v1::Cluster::Stub::GetNode, request, &response,
                                                 client::kSafe);
  if (!error.ok()) return cli.Fail(error);
  return PrintOne(cli, response, response.node().name(), [&] { PrintNode(cli, response.node()); });
}

}  // namespace banyan::cli

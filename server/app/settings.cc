#include "server/app/settings.h"

#include <charconv>
#include <optional>
#include <utility>

#include "fmt/format.h"

#include "common/base/target.h"
#include "common/os/random_bytes.h"
#include "common/os/state_dir.h"

namespace banyan::app {
namespace {

constexpr uint16_t kPort = 7400;
constexpr double kScaleMin = 0.005;
constexpr double kScaleMax = 100;

std::string Where(const config::Options& options, std::string_view name) {
  for (const auto& value : options.Effective()) {
    if (value.name == name) return value.where;
  }
  return std::string(name);
}

// A host name as a node's name: what is not allowed in one becomes '-'.
std::string DefaultNodeName() {
  std::string name = Hostname();
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') c = '-';
  }
  return NodeNameProblem(name) ? "node" : name;
}

std::optional<double> ReadScale(const std::string& text) {
  double scale = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, scale);
  if (error != std::errc() || at != end || !(scale >= kScaleMin) || !(scale <= kScaleMax)) {
    return std::nullopt;
  }
  return scale;
}

}  // namespace

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

void DeclareOptions(Role role, config::Options* o) {
  const bool node = role != Role::kCoordinator;
  o->String("name",
            role == Role::kNode  ? DefaultNodeName()
            : role == Role::kDev ? "dev"
                                 : "coordinator",
            role == Role::kCoordinator ? "the coordinator's name, shown in lists and logs"
                                       : "the node's name, unique in the cluster");
  o->String("cluster", "dev", "the cluster's name; nodes and coordinator must agree");
  o->Address("listen", {"127.0.0.1", kPort}, "where to listen; port 0: any free one");
  o->String("advertise", "",
            "HOST:PORT where others reach this process (default: where it listens)");
  if (role == Role::kNode) {
    o->Addresses("coordinator", {{"127.0.0.1", kPort}}, "coordinators, tried in turn");
  }
  o->String("state-dir", "",
            "folder that survives restarts (default: /var/lib/banyan/NAME as root, else "
            "$XDG_STATE_HOME/banyan/NAME)");
  if (node) {
    o->KeyValues("label", {}, "labels of the node, for placement: KEY=VALUE");
    o->Bool("no-watch", role == Role::kDev,
            "run without the small parent process that reports the node's end at once");
    o->Bool("allow-exec", false,
            "let children run OS programs although others than this machine can reach the node");
    o->Int("workers", 0, 0, 1024, "threads that run actors; 0: one a CPU");
    o->String("on-dead", "rejoin",
              "once the cluster has declared this node dead: join anew, or end the process",
              {"rejoin", "exit"});
    o->Duration("drain-timeout", absl::Seconds(20),
                "how long children may take to stop after SIGTERM");
  }
  if (role != Role::kNode) {
    o->Duration("heartbeat", absl::ZeroDuration(),
                "between a node's heartbeats; 0: 1 s times lease-scale");
    o->Duration("suspect-after", absl::ZeroDuration(),
                "silence that makes a node SUSPECT; 0: 4 s times lease-scale");
    o->Duration("lease-freeze", absl::ZeroDuration(),
                "without an acknowledgement a node freezes its exclusive children after this; 0: "
                "40 s times lease-scale");
    o->Duration("lease-node", absl::ZeroDuration(),
                "and none of their code may run after this; 0: 50 s times lease-scale");
    o->Duration("lease-coordinator", absl::ZeroDuration(),
                "a silent node is DEAD after this; 0: 60 s times lease-scale");
    o->Int("relays-max", 1000, 0, 100'000,
           "sessions between nodes that cannot reach each other, which go through the coordinator; "
           "0: none do");
  }
  o->String(
      "lease-scale", "1",
      "factor on all times of leases, pings and time-outs between servers, for tests; the same "
      "in the whole cluster");
  o->Bool("insecure", false, "listen on other than loopback addresses although there is no TLS");
  o->Bool("no-tune", false,
          "leave the allocator as it is, so that freed memory goes back to the system at once");
  o->String("port-file", "", "file to write HOST:PORT to once the server serves");
  o->String("log-level", "info", "least level that is logged", {"debug", "info", "warn", "error"});
  o->String("log-format", "text", "how log lines are written", {"text", "json"});
}

absl::StatusOr<Settings> ReadSettings(Role role, const config::Options& o) {
  const bool node = role != Role::kCoordinator;
  std::vector<std::string> problems;
  const auto wrong = [&](std::string_view name, std::string_view what) {
    problems.push_back(fmt::format("{} ({}): {}", name, Where(o, name), what));
  };
  Settings s;
  s.name = o.GetString("name");
  if (auto problem = NodeNameProblem(s.name)) wrong("name", *problem);
  s.cluster = o.GetString("cluster");
  if (auto problem = NodeNameProblem(s.cluster)) wrong("cluster", *problem);
  const config::HostPort& listen = o.GetAddress("listen");
  s.listen = listen.ToString();
  s.advertise = o.GetString("advertise");
  if (!s.advertise.empty()) {
    auto parsed = config::ParseHostPort(s.advertise);
    if (!parsed.ok()) {
      wrong("advertise",
            fmt::format("\"{}\": {}", s.advertise, std::string(parsed.status().message())));
    } else if (parsed->host.empty() || parsed->port == 0) {
      wrong("advertise", "needs a host and a port that others can dial");
    }
  }
  const bool loopback = IsLoopback(listen.host);
  if (!loopback && !o.GetBool("insecure")) {
    wrong("listen",
          fmt::format("{} can be reached from other machines, and there is no TLS: listen on "
                      "127.0.0.1, or accept that with --insecure",
                      s.listen));
  }
  if (!loopback && o.GetBool("insecure")) {
    s.warnings.push_back("listening without TLS: whoever reaches the port controls the cluster");
  }
  if (!loopback && s.advertise.empty() &&
      (listen.host.empty() || listen.host == "0.0.0.0" || listen.host == "::")) {
    wrong("advertise", "must be given, for others cannot dial \"all interfaces\"");
  }
  if (role == Role::kNode) {
    for (const config::HostPort& c : o.GetAddresses("coordinator")) {
      if (c.host.empty() || c.port == 0) {
        wrong("coordinator", fmt::format("\"{}\" needs a host and a port", c.ToString()));
      }
      s.coordinators.push_back(c.ToString());
    }
    if (s.coordinators.empty()) wrong("coordinator", "at least one HOST:PORT");
  }
  s.state_dir = o.GetString("state-dir");
  if (s.state_dir.empty() && problems.empty()) {
    absl::StatusOr<std::string> dir = DefaultStateDir(s.name);
    dir.ok() ? void(s.state_dir = *dir) : wrong("state-dir", std::string(dir.status().message()));
  }
  if (node) {
    s.labels = o.GetMap("label");
    for (const auto& [key, value] : s.labels) {
      if (key.rfind("banyan/", 0) == 0 || key.rfind("banyan.", 0) == 0) {
        wrong("label", fmt::format("\"{}\": keys that begin with \"banyan\" are reserved", key));
      }
    }
    s.watch = !o.GetBool("no-watch");
    s.allow_exec = loopback || o.GetBool("allow-exec");
    s.workers = static_cast<int>(o.GetInt("workers"));
    s.rejoin_when_dead = o.GetString("on-dead") == "rejoin";
    s.drain_timeout = o.GetDuration("drain-timeout");
  }
  if (role != Role::kNode) {
    s.heartbeat = o.GetDuration("heartbeat");
    s.suspect_after = o.GetDuration("suspect-after");
    s.lease_freeze = o.GetDuration("lease-freeze");
    s.lease_node = o.GetDuration("lease-node");
    s.lease_coordinator = o.GetDuration("lease-coordinator");
    s.relays_max = static_cast<size_t>(o.GetInt("relays-max"));
  }
  if (std::optional<double> scale = ReadScale(o.GetString("lease-scale"))) {
    s.lease_scale = *scale;
  } else {
    wrong("lease-scale", fmt::format("\"{}\" is not a number from {} to {}",
                                     o.GetString("lease-scale"), kScaleMin, kScaleMax));
  }
  s.tune = !o.GetBool("no-tune");
  s.port_file = o.GetString("port-file");
  s.log_level = *log::ParseLevel(o.GetString("log-level"));
  s.log_format = *log::ParseFormat(o.GetString("log-format"));
  if (!problems.empty()) {
    return absl::InvalidArgumentError(fmt::format("{}", fmt::join(problems, "\n")));
  }
  return s;
}

}  // namespace banyan::app

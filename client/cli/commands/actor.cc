#include <ostream>

#include "client/cli/commands/child_flags.h"
#include "client/cli/output.h"
#include "client/transport/duration.h"
#include "client/transport/request_id.h"
#include <fmt/format.h>

#include "banyan/v1/actors.grpc.pb.h"

namespace banyan::cli {
namespace {

constexpr uint32_t kPageMax = 1000;

std::string NameOrChild(const v1::ActorInfo& actor) {
  if (actor.names_size() > 0) return actor.names(0);
  return actor.child_id().empty() ? "-" : actor.child_id();
}

void PrintActor(Cli& cli, const v1::ActorInfo& actor) {
  Facts facts;
  facts.Add("Pid", cli.Pid(actor.pid()));
  facts.Add("Names", fmt::format("{}", fmt::join(actor.names(), ", ")));
  facts.Add("Module", actor.module());
  facts.Add("State", Colored(cli, Word(actor.state())));
  facts.Add("Node", actor.node());
  if (actor.has_parent()) {
    facts.Add("Supervisor",
              fmt::format("{}{}{}", cli.Pid(actor.parent()),
                          actor.child_id().empty() ? "" : ", child ", actor.child_id()));
  } else {
    facts.Add("Child", actor.child_id());
  }
  facts.Add("Fence", actor.fence() == 0 ? "" : FenceText(actor.fence()));
  facts.Add("Mailbox", Count(actor.mailbox_length()));
  facts.Add("Handled", fmt::format("{} messages, busy {}", Count(actor.messages_handled()),
                                   client::DurationText(client::FromProto(actor.busy_time()))));
  facts.Add("Memory", actor.memory_bytes() == 0 ? "" : Bytes(actor.memory_bytes()));
  std::string links;
  for (const v1::Pid& pid : actor.links()) links += (links.empty() ? "" : ", ") + cli.Pid(pid);
  facts.Add("Links", links);
  facts.Add("Monitored by",
            actor.monitored_by_count() == 0 ? "" : std::to_string(actor.monitored_by_count()));
  facts.Add("Traps exits", actor.trap_exit() ? "yes" : "");
  facts.Add("Groups", fmt::format("{}", fmt::join(actor.groups(), ", ")));
  if (actor.has_start_time()) {
    facts.Add("Started", fmt::format("{} ({} ago)",
                                     absl::FormatTime("%Y-%m-%d %H:%M:%S",
                                                      client::FromProto(actor.start_time()),
                                                      absl::LocalTimeZone()),
                                     Age(actor.start_time())));
  }
  facts.Print(cli);
}

// Pages until `limit` actors are there (0: all). An order makes the server answer with one page.
client::ApiError FetchActors(Cli& cli, const ActorListOptions& options,
                             v1::ListActorsResponse* all) {
  v1::ListActorsRequest request;
  request.set_filter(options.filter);
  request.set_order_by(options.order_by);
  for (;;) {
    const uint32_t left =
        options.limit == 0 ? kPageMax : options.limit - static_cast<uint32_t>(all->actors_size());
    request.set_page_size(static_cast<int32_t>(std::min(left, kPageMax)));
    v1::ListActorsResponse page;
    auto error = cli.session().Invoke<v1::Actors>(&v1::Actors::Stub::ListActors, request, &page,
                                                  client::kSafe);
    if (!error.ok()) return error;
    const std::string next = page.next_page_token();
    all->MergeFrom(page);
    all->clear_next_page_token();
    const bool full = options.limit != 0 && all->actors_size() >= static_cast<int>(options.limit);
    if (next.empty() || next == request.page_token() || full) return error;
    request.set_page_token(next);
  }
}

bool Clean(const v1::ExitReason& reason) {
  return reason.kind() == v1::ExitReason::KIND_NORMAL ||
         reason.kind() == v1::ExitReason::KIND_SHUTDOWN;
}

}  // namespace

int RunWhereis(Cli& cli, const TargetOptions& options) {
  v1::WhereisRequest request;
  auto target = cli.Target(options.target);
  if (!target.ok()) return cli.FailTarget(target.status(), options.target);
  *request.mutable_target() = *target;
  v1::WhereisResponse response;
  auto error = cli.session().Invoke<v1::Actors>(&v1::Actors::Stub::Whereis, request, &response,
                                                client::kSafe);
  if (!error.ok()) return cli.Fail(error, {.target = options.target, .name = options.target});
  const std::string pid = cli.Pid(response.pid());
  return PrintOne(cli, response, pid, [&] { cli.out() << pid << "\n"; });
}

int RunActorSpawn(Cli& cli, const ActorSpawnOptions& options) {
  v1::SpawnRequest request;
  request.mutable_start()->set_module(options.module);
  request.mutable_start()->set_name(options.name);
  if (int code = BuildArgs(cli, options.args, request.mutable_start()->mutable_args())) return code;
  if (!options.node.empty()) request.mutable_placement()->set_node(options.node);
  if (!options.link.empty()) {
    auto target = cli.Target(options.link);
    if (!target.ok()) return cli.FailTarget(target.status(), options.link);
    if (!target->has_pid())
      return cli.Usage(fmt::format("--link {} is no pid", options.link), "see banyan whereis");
    *request.mutable_link_to() = target->pid();
  }
  request.set_request_id(client::NewRequestId());
  v1::SpawnResponse response;
  auto error =
      cli.session().Invoke<v1::Actors>(&v1::Actors::Stub::Spawn, request, &response, client::kSafe);
  if (!error.ok()) return cli.Fail(error, {.target = options.link, .name = options.name});
  return PrintOne(cli, response, response.has_pid() ? cli.Pid(response.pid()) : "", [&] {
    if (response.ignored()) {
      cli.out() << "not started: init said \"ignore\"\n";
    } else {
      cli.out() << fmt::format("started {}\n", cli.Pid(response.pid()));
    }
  });
}

int RunActorGet(Cli& cli, const TargetOptions& options) {
  v1::GetActorRequest request;
  auto target = cli.Target(options.target);
  if (!target.ok()) return cli.FailTarget(target.status(), options.target);
  *request.mutable_target() = *target;
  v1::GetActorResponse response;
  auto error = cli.session().Invoke<v1::Actors>(&v1::Actors::Stub::GetActor, request, &response,
                                                client::kSafe);
  if (!error.ok()) return cli.Fail(error, {.target = options.target, .name = options.target});
  return PrintOne(cli, response, cli.Pid(response.actor().pid()),
                  [&] { PrintActor(cli, response.actor()); });
}

int RunActorList(Cli& cli, const ActorListOptions& options) {
  v1::ListActorsResponse all;
  if (auto error = FetchActors(cli, options, &all); !error.ok()) return cli.Fail(error);
  for (const std::string& node : all.unreachable())
    cli.err() << fmt::format("warning: {} did not answer\n", node);
  return PrintList(
      cli, all, all.actors(), [&](const v1::ActorInfo& actor) { return cli.Pid(actor.pid()); },
      [&] {
        const bool wide = cli.options().output == Format::kWide;
        std::vector<std::string> headers = {"PID",      "NAME OR CHILD", "MODULE", "STATE",
                                            ">MAILBOX", ">HANDLED",      ">AGE"};
        if (wide) headers.insert(headers.end(), {"NODE", "PARENT", ">FENCE"});
        Table table(headers);
        for (const v1::ActorInfo& actor : all.actors()) {
          std::vector<std::string> row = {cli.Pid(actor.pid()),
                                          NameOrChild(actor),
                                          actor.module(),
                                          Colored(cli, Word(actor.state())),
                                          Count(actor.mailbox_length()),
                                          Count(actor.messages_handled()),
                                          Age(actor.start_time())};
          if (wide)
            row.insert(row.end(),
                       {actor.node(), cli.Pid(actor.parent()), FenceText(actor.fence())});
          table.Add(row);
        }
        table.Print(cli);
      });
}

int RunMonitor(Cli& cli, const MonitorOptions& options) {
  v1::MonitorRequest request;
  for (const std::string& text : options.targets) {
    auto target = cli.Target(text);
    if (!target.ok()) return cli.FailTarget(target.status(), text);
    *request.add_targets() = *target;
  }
  if (auto error = cli.session().Connect(); !error.ok()) return cli.Fail(error);
  cli.Pid(v1::Pid());
  const client::NodeNamer namer = cli.session().node_namer();
  namer(0);  // the nodes' names, before the stream blocks this thread
  grpc::ClientContext context;
  if (cli.env().on_interrupt) cli.env().on_interrupt([&context] { context.TryCancel(); });
  auto stub = v1::Actors::NewStub(cli.session().channel());
  auto stream = stub->Monitor(&context, request);
  v1::MonitorResponse event;
  bool all_clean = true;
  while (stream->Read(&event)) {
    if (event.has_down() && !Clean(event.down().reason())) all_clean = false;
    if (cli.structured()) {
      PrintMessage(cli, event);
      continue;
    }
    const std::string& text =
        event.index() < options.targets.size() ? options.targets[event.index()] : "?";
    if (event.has_established()) {
      if (!cli.options().quiet) {
        cli.err() << fmt::format("watching {} ({})\n", text, cli.Pid(event.established().pid()));
      }
    } else if (event.has_down()) {
      cli.out() << fmt::format("{}  {}  {}\n", text, cli.Pid(event.down().pid()),
                               client::FormatExitReason(event.down().reason()))
                << std::flush;
    }
  }
  const auto error = client::DecodeError(stream->Finish(), &context);
  if (cli.env().on_interrupt) cli.env().on_interrupt({});
  if (error.code == grpc::StatusCode::CANCELLED) return kInterrupted;
  if (!error.ok())
    return cli.Fail(error, {.target = options.targets[0], .name = options.targets[0]});
  return all_clean ? kDone : kNo;
}

int RunKill(Cli& cli, const KillOptions& options) {
  v1::ExitRequest request;
  auto target = cli.Target(options.target);
  if (!target.ok()) return cli.FailTarget(target.status(), options.target);
  const int kind = EnumFromWord(v1::ExitReason::Kind_descriptor(), options.reason);
  if (kind <= 0) {
    return cli.Usage(fmt::format("--reason: \"{}\" is not one of {}", options.reason,
                                 EnumWords(v1::ExitReason::Kind_descriptor())));
  }
  int code = kDone;
  const bool untrappable = kind == v1::ExitReason::KIND_KILL;
  if (!cli.Confirm(fmt::format("End {} with reason {}{}", options.target, options.reason,
                               untrappable ? ", which it can't trap" : ""),
                   options.yes, &code)) {
    return code;
  }
  *request.mutable_target() = *target;
  request.mutable_reason()->set_kind(static_cast<v1::ExitReason::Kind>(kind));
  request.mutable_reason()->set_message(options.message);
  request.set_wait(options.wait);
  v1::ExitResponse response;
  auto error = cli.session().Invoke<v1::Actors>(&v1::Actors::Stub::Exit, request, &response);
  if (!error.ok()) return cli.Fail(error, {.target = options.target, .name = options.target});
  return PrintOne(cli, response, response.has_pid() ? cli.Pid(response.pid()) : "", [&] {
    if (response.has_exit_reason()) {
      cli.out() << fmt::format("{} ended: {}\n",
                               response.has_pid() ? cli.Pid(response.pid()) : options.target,
                               client::FormatExitReason(response.exit_reason()));
    } else if (response.has_pid()) {
      cli.out() << fmt::format("sent {} to {}\n", options.reason, cli.Pid(response.pid()));
    } else {
      cli.out() << fmt::format("{} was gone already\n", options.target);
    }
  });
}

}  // namespace banyan::cli

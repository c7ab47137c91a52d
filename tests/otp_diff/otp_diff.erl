%% Runs the scenarios of a file (one Erlang term each) on OTP's own supervisor and prints what happened,
%% in the words of scenario.h: "#SEED", the lines, ".".
-module(otp_diff).
-export([main/1, init/1, start/2, start/3, start_child/3, log/2]).

main(File) ->
    process_flag(trap_exit, true),
    ok = logger:remove_handler(default),
    ok = logger:set_primary_config(level, info),
    ok = logger:add_handler(?MODULE, ?MODULE, #{level => info, filters => []}),
    {ok, Scenarios} = file:consult(File),
    lists:foreach(fun run/1, Scenarios).

run({Seed, Flags, Specs, Steps}) ->
    lists:foreach(fun(T) -> ets:new(T, [named_table, public, ordered_set]) end, [trace, pids, names, outcomes]),
    lists:foreach(fun declare/1, Specs),
    case supervisor:start_link(?MODULE, {Flags, Specs}) of
        {ok, Sup} ->
            case settle(Sup) of
                alive -> state(Sup, Flags), steps(Sup, Flags, Steps);
                {exited, R} -> line("exit:~s", [reason(R)])
            end;
        {error, R} ->
            receive {'EXIT', _, R} -> ok end,
            line("exit:~s", [reason(R)])
    end,
    io:format("#~w~n", [Seed]),
    [io:format("~s~n", [L]) || {_, L} <- ets:tab2list(trace)],
    io:format(".~n"),
    flush(),
    lists:foreach(fun ets:delete/1, [trace, pids, names, outcomes]).

flush() -> receive _ -> flush() after 0 -> ok end.

%% -- The supervisor and its children.

init({{Strategy, Intensity, Auto}, Specs}) ->
    Flags = #{strategy => Strategy, intensity => Intensity, period => 3600, auto_shutdown => Auto},
    {ok, {Flags, [spec(S, Strategy) || S <- Specs]}}.

spec({Id, Restart, Shutdown, Significant, StopWith, _}, simple_one_for_one) ->
    #{id => Id, start => {?MODULE, start, [StopWith]}, restart => Restart, shutdown => Shutdown,
      significant => Significant};
spec({Id, Restart, Shutdown, Significant, {tree, Flags, Specs}, _}, _) ->
    #{id => Id, start => {?MODULE, start, [Id, Flags, Specs]}, restart => Restart, shutdown => Shutdown,
      significant => Significant, type => supervisor};
spec({Id, Restart, Shutdown, Significant, StopWith, _}, _) ->
    #{id => Id, start => {?MODULE, start, [StopWith, Id]}, restart => Restart, shutdown => Shutdown,
      significant => Significant}.

declare({Id, _, _, _, How, Outcomes}) ->
    ets:insert(outcomes, {Id, Outcomes}),
    case How of
        {tree, _, Specs} -> lists:foreach(fun declare/1, Specs);
        _ -> ok
    end.

start(StopWith, Id) ->
    start_as(Id, fun() -> proc_lib:start_link(?MODULE, start_child, [self(), Id, StopWith]) end).

start(Id, Flags, Specs) ->
    start_as(Id, fun() -> supervisor:start_link(?MODULE, {Flags, Specs}) end).

start_as(Id, Start) ->
    case ets:lookup(outcomes, Id) of
        [{_, [ignore | Rest]}] -> ets:insert(outcomes, {Id, Rest}), line("~~~s", [Id]), ignore;
        [{_, [fail | Rest]}] -> ets:insert(outcomes, {Id, Rest}), line("!~s", [Id]), {error, nope};
        Other ->
            case Other of
                [{_, [ok | Rest]}] -> ets:insert(outcomes, {Id, Rest});
                _ -> ok
            end,
            line("+~s", [Id]),
            case Start() of
                {ok, Pid} ->
                    ets:insert(pids, {Id, Pid}),
                    ets:insert(names, {Pid, Id}),
                    {ok, Pid};
                Failed -> Failed
            end
    end.

start_child(Parent, Id, StopWith) ->
    process_flag(trap_exit, true),
    proc_lib:init_ack(Parent, {ok, self()}),
    receive
        {die, R} -> exit(R);
        {'EXIT', Parent, _} -> line("-~s", [Id]), exit(StopWith)
    end.

%% -- Steps.

steps(Sup, Flags, []) ->
    exit(Sup, shutdown),
    receive {'EXIT', Sup, R} -> line("exit:~s", [reason(R)]) end,
    _ = Flags;
steps(Sup, Flags, [{queued, Sub} | Rest]) ->
    ok = sys:suspend(Sup),
    {Callers, _} = lists:mapfoldl(fun(S, N) -> submit(Sup, Flags, S, N) end, 0, Sub),
    ok = sys:resume(Sup),
    Results = [await(C) || C <- Callers, C =/= none],
    after_step(Sup, Flags, Results, Rest);
steps(Sup, Flags, [Step | Rest]) ->
    Results = case Step of
        {exit, Id, R} ->
            Owner = owner(Sup, Id),
            die(Id, R, fun(Pid) -> until(fun() -> not linked(Owner, Pid) end) end), [];
        _ -> [await(call(Sup, Flags, Step))]
    end,
    after_step(Sup, Flags, Results, Rest).

after_step(Sup, Flags, Results, Rest) ->
    Settled = settle(Sup),
    [line("op:~s", [R]) || R <- Results],
    case Settled of
        alive -> state(Sup, Flags), steps(Sup, Flags, Rest);
        {exited, R} -> line("exit:~s", [reason(R)])
    end.

%% Puts one message into the suspended supervisor's mailbox.
submit(Sup, _, {exit, Id, R}, N) ->
    case die(Id, R, fun(_) -> until(fun() -> queued(Sup) > N end) end) of
        true -> {none, N + 1};
        false -> {none, N}
    end;
submit(Sup, Flags, Op, N) ->
    case call(Sup, Flags, Op) of
        {skipped, _} = C -> {C, N};
        C -> until(fun() -> queued(Sup) > N end), {C, N + 1}
    end.

queued(Sup) ->
    case process_info(Sup, message_queue_len) of
        {_, N} -> N;
        undefined -> infinity
    end.

linked(Sup, Pid) ->
    case process_info(Sup, links) of
        {_, Links} -> lists:member(Pid, Links);
        undefined -> false
    end.

until(F) -> case F() of true -> ok; false -> erlang:yield(), until(F) end.

die(Id, R, Wait) ->
    Pid = pid_of(Id),
    case is_pid(Pid) andalso is_process_alive(Pid) of
        false -> false;
        true ->
            M = monitor(process, Pid),
            case R of
                killed -> exit(Pid, kill);
                _ -> Pid ! {die, R}
            end,
            receive {'DOWN', M, _, _, _} -> ok end,
            Wait(Pid),
            true
    end.

pid_of(Id) -> case ets:lookup(pids, Id) of [{_, P}] -> P; [] -> none end.

%% A child is called after its supervisor and one letter more.
owner(Sup, Id) ->
    case lists:droplast(atom_to_list(Id)) of
        [] -> Sup;
        Owner -> pid_of(list_to_atom(Owner))
    end.

call(Sup, Flags, Op) ->
    case Op of
        {start, _, S} -> declare(S);
        _ -> ok
    end,
    case element(2, Op) of
        top -> ask(Sup, Flags, Op);
        At ->
            Pid = pid_of(At),
            case is_pid(Pid) andalso is_process_alive(Pid) of
                true -> ask(Pid, none, Op);
                false -> {skipped, "skipped"}
            end
    end.

ask(Sup, {simple_one_for_one, _, _}, {start, _, {Id, _, _, _, _, _}}) ->
    caller(fun() -> supervisor:start_child(Sup, [Id]) end);
ask(Sup, _, {start, _, S}) ->
    caller(fun() -> supervisor:start_child(Sup, spec(S, other)) end);
ask(Sup, {simple_one_for_one, _, _}, {terminate, _, Id}) ->
    case pid_of(Id) of
        none -> {skipped, "skipped"};
        Pid -> caller(fun() -> supervisor:terminate_child(Sup, Pid) end)
    end;
ask(Sup, _, {terminate, _, Id}) -> caller(fun() -> supervisor:terminate_child(Sup, Id) end);
ask(Sup, _, {restart, _, Id}) -> caller(fun() -> supervisor:restart_child(Sup, Id) end);
ask(Sup, _, {delete, _, Id}) -> caller(fun() -> supervisor:delete_child(Sup, Id) end).

caller(F) ->
    Self = self(),
    Tag = make_ref(),
    spawn(fun() -> Self ! {Tag, result(catch F())} end),
    Tag.

await({skipped, Text}) -> Text;
await(Tag) -> receive {Tag, R} -> R end.

result(ok) -> "ok";
result({ok, undefined}) -> "ignored";
result({ok, _}) -> "ok";
result({error, {already_started, _}}) -> "already_started";
result({error, nope}) -> "failed(nope)";
%% restart_child gives the reason alone, start_child the child beside it.
result({error, {shutdown, {failed_to_start_child, _, _}} = R}) -> io_lib:format("failed(~s)", [reason(R)]);
result({error, {R, _}}) -> io_lib:format("failed(~s)", [reason(R)]);
result({error, E}) when is_atom(E) -> atom_to_list(E);
result({'EXIT', _}) -> "down";
result(X) -> io_lib:format("~0p", [X]).

%% No supervisor has anything left to do: no retry is under way, no nested one has ended unnoticed.
settle(Sup) ->
    case quiet(Sup) of
        alive -> alive;
        dead -> receive {'EXIT', Sup, R} -> {exited, R} end
    end.

quiet(Sup) ->
    case catch supervisor:which_children(Sup) of
        L when is_list(L) ->
            case [x || {_, restarting, _, _} <- L] of
                [] -> below(Sup, [P || {_, P, supervisor, _} <- L, is_pid(P)]);
                _ -> quiet(Sup)
            end;
        _ -> dead
    end.

below(_, []) -> alive;
below(Sup, [P | Rest]) ->
    case quiet(P) of
        alive -> below(Sup, Rest);
        dead -> until(fun() -> not linked(Sup, P) end), quiet(Sup)
    end.

state(Sup, Flags) -> state("", Sup, Flags).

state(At, Sup, Flags) ->
    L = supervisor:which_children(Sup),
    Names = case Flags of
        {simple_one_for_one, _, _} -> lists:sort([name(P) || {_, P, _, _} <- L]);
        _ -> [io_lib:format("~s~s", [Id, suffix(P)]) || {Id, P, _, _} <- L]
    end,
    C = supervisor:count_children(Sup),
    line("=~s:~s [~w,~w,~w]", [At, lists:join(" ", Names), proplists:get_value(specs, C),
                               proplists:get_value(active, C), proplists:get_value(supervisors, C)]),
    [state(atom_to_list(Id), P, none) || {Id, P, supervisor, _} <- L, is_pid(P)],
    ok.

name(Pid) -> case ets:lookup(names, Pid) of [{_, Id}] -> atom_to_list(Id); _ -> "?" end.

suffix(P) when is_pid(P) -> "";
suffix(P) -> ":" ++ atom_to_list(P).

%% -- The trace.

line(F, A) -> ets:insert(trace, {erlang:unique_integer([monotonic]), lists:flatten(io_lib:format(F, A))}).

log(#{msg := {report, #{label := {supervisor, progress}, report := R}}}, _) ->
    offender("progress", normal, proplists:get_value(started, R));
log(#{msg := {report, #{label := {supervisor, Context}, report := R}}}, _) ->
    offender(atom_to_list(Context), proplists:get_value(reason, R), proplists:get_value(offender, R));
log(_, _) -> ok.

offender(Context, Reason, O) ->
    {mfargs, {_, _, Args}} = {mfargs, args(proplists:get_value(mfargs, O))},
    Id = case Args of
        [_, Name] -> Name;
        _ -> proplists:get_value(id, O)
    end,
    case proplists:get_value(nb_children, O) of
        undefined ->
            P = case proplists:get_value(pid, O) of
                undefined -> "u";
                {restarting, _} -> "r";
                _ -> "p"
            end,
            line("~s:~s:~s:~s", [Context, who(Id, O), P, reason(Reason)]);
        N -> line("~s:x~w:~s", [Context, N, reason(Reason)])
    end.

%% Temporary children's arguments are not kept, so for dynamic ones the id says no more than "t".
who(Id, O) ->
    case proplists:get_value(id, O) of
        t -> t;
        _ -> Id
    end.

args({M, F, undefined}) -> {M, F, []};
args(MFA) -> MFA.

reason(normal) -> "normal";
reason(shutdown) -> "shutdown";
reason({shutdown, {failed_to_start_child, Id, E}}) -> io_lib:format("failed_to_start(~s,~s)", [Id, reason(E)]);
reason({shutdown, X}) -> io_lib:format("shutdown(~p)", [X]);
reason(A) when is_atom(A) -> atom_to_list(A);
reason(X) -> io_lib:format("~0p", [X]).

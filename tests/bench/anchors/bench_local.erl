%% The Erlang side of the rows of one node. `erl ... -s bench_local main ROW SIZE`, SIZE being quick or
%% full, prints "ROW<TAB>VALUE<TAB>UNIT" as bench_local of ours does.
-module(bench_local).
-export([main/1, idle/0]).

main([Row, Size]) ->
    %% A fresh process: no heap of an earlier row is in the way.
    {Pid, Ref} = spawn_monitor(fun() -> row(Row, Size) end),
    receive
        {'DOWN', Ref, process, Pid, normal} -> halt(0);
        {'DOWN', Ref, process, Pid, Reason} ->
            io:format(standard_error, "~p failed: ~p~n", [Row, Reason]),
            halt(1)
    end.

print(Row, Value, Unit) -> io:format("~s\t~.6g\t~s~n", [Row, float(Value), Unit]).

seconds(Fun) ->
    T0 = erlang:monotonic_time(nanosecond),
    Fun(),
    (erlang:monotonic_time(nanosecond) - T0) / 1.0e9.

pick(quick, Quick, _Full) -> Quick;
pick(full, _Quick, Full) -> Full.

row(bytes_per_idle_actor = Row, Size) ->
    N = pick(Size, 100000, 300000),
    erlang:garbage_collect(),
    Before = erlang:memory(total),
    Pids = [spawn_link(?MODULE, idle, []) || _ <- lists:seq(1, N)],
    %% An answer from each: all have started and wait.
    [Pid ! {ping, self()} || Pid <- Pids],
    [receive pong -> ok end || _ <- Pids],
    erlang:garbage_collect(),
    print(Row, (erlang:memory(total) - Before) / N, "B");
row(local_call = Row, Size) ->
    N = pick(Size, 100000, 500000),
    {ok, Server} = bench_srv:start_link(),
    calls(Server, ping, 1000),
    S = seconds(fun() -> calls(Server, ping, N) end),
    print(Row, N / S, "call/s");
row(ping_pong_pairs = Row, Size) ->
    Pairs = 1000,
    Rounds = pick(Size, 200, 1000),
    Me = self(),
    Pings = [spawn_link(fun() -> pair(Me, Rounds) end) || _ <- lists:seq(1, Pairs)],
    S = seconds(fun() ->
        [Ping ! go || Ping <- Pings],
        [receive done -> ok end || _ <- Pings]
    end),
    print(Row, 2 * Pairs * Rounds / S, "msg/s");
row(start_child = Row, Size) ->
    process_flag(trap_exit, true),
    N = pick(Size, 20000, 100000),
    {ok, Sup} = bench_sup:start_link(temporary, []),
    S = seconds(fun() -> start_children(Sup, N) end),
    print(Row, N / S, "child/s");
row(restart_p50 = Row, Size) ->
    process_flag(trap_exit, true),
    N = pick(Size, 200, 1000),
    {ok, Sup} = bench_sup:start_link(permanent, [{report, self()}]),
    {ok, First} = supervisor:start_child(Sup, []),
    receive {up, First} -> ok end,
    Times = restarts(First, N, []),
    print(Row, lists:nth(N div 2 + 1, lists:sort(Times)), "us").

idle() -> receive {ping, From} -> From ! pong, idle(); stop -> ok end.

calls(_, _, 0) -> ok;
calls(Server, Request, N) ->
    Request = gen_server:call(Server, Request),
    calls(Server, Request, N - 1).

pair(Main, Rounds) ->
    Me = self(),
    Echo = spawn_link(fun() -> echo(Me) end),
    receive go -> ok end,
    ping(Echo, Rounds),
    Echo ! stop,
    Main ! done.

echo(To) -> receive stop -> ok; {m, _} = M -> To ! M, echo(To) end.

ping(_, 0) -> ok;
ping(Echo, N) -> Echo ! {m, N}, receive {m, _} -> ping(Echo, N - 1) end.

start_children(_, 0) -> ok;
start_children(Sup, N) ->
    {ok, _} = supervisor:start_child(Sup, []),
    start_children(Sup, N - 1).

restarts(_, 0, Times) -> Times;
restarts(Pid, N, Times) ->
    T0 = erlang:monotonic_time(nanosecond),
    exit(Pid, kill),
    receive {up, Next} ->
        restarts(Next, N - 1, [(erlang:monotonic_time(nanosecond) - T0) / 1000 | Times])
    end.

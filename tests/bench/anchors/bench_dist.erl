%% The Erlang side of the rows with two nodes. The other node, started by the caller, is named by the
%% third argument: `erl ... -s bench_dist main ROW SIZE other@127.0.0.1`. Prints as bench_local does.
-module(bench_dist).
-export([main/1, idle/0]).

main([Row, Size, Node]) ->
    connect(Node, 200),
    row(Row, Size, Node),
    halt(0).

connect(Node, 0) -> io:format(standard_error, "no node ~p~n", [Node]), halt(1);
connect(Node, N) ->
    case net_adm:ping(Node) of
        pong -> ok;
        pang -> timer:sleep(50), connect(Node, N - 1)
    end.

row(node_calls_64 = Row, Size, Node) ->
    Callers = 64,
    Each = case Size of quick -> 500; full -> 2000 end,
    Payload = binary:copy(<<"x">>, 100),
    Me = self(),
    Pids = [begin
                {ok, Server} = rpc:call(Node, bench_srv, start, []),
                spawn_link(fun() -> receive go -> ok end, calls(Server, Payload, Each), Me ! done end)
            end || _ <- lists:seq(1, Callers)],
    T0 = erlang:monotonic_time(nanosecond),
    [Pid ! go || Pid <- Pids],
    [receive done -> ok end || _ <- Pids],
    S = (erlang:monotonic_time(nanosecond) - T0) / 1.0e9,
    io:format("~s\t~.6g\tcall/s~n", [Row, Callers * Each / S]);
row(node_kill_to_down = Row, _Size, Node) ->
    %% A shell that waits for the pid and kills with its built-in: no fork is in the measurement.
    Killer = open_port({spawn_executable, "/bin/bash"},
                       [{args, ["-c", "while read p; do kill -9 $p; done"]}, binary]),
    OsPid = rpc:call(Node, os, getpid, []),
    Pid = spawn(Node, ?MODULE, idle, []),
    Ref = monitor(process, Pid),
    _ = rpc:call(Node, erlang, node, []),
    timer:sleep(100),
    T0 = erlang:monotonic_time(nanosecond),
    port_command(Killer, OsPid ++ "\n"),
    receive {'DOWN', Ref, process, Pid, noconnection} -> ok end,
    io:format("~s\t~.6g\tms~n", [Row, (erlang:monotonic_time(nanosecond) - T0) / 1.0e6]).

idle() -> receive stop -> ok end.

calls(_, _, 0) -> ok;
calls(Server, Payload, N) ->
    Payload = gen_server:call(Server, Payload),
    calls(Server, Payload, N - 1).

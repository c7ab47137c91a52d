%% Runs the scripts of a file (one Erlang term each) on OTP's own gen_server and prints what happened, in the words of
%% script.h: "#SEED", then the lines.
-module(server_diff).
-behaviour(gen_server).
-export([main/1, init/1, handle_call/3, handle_cast/2, handle_info/2, handle_continue/2, terminate/2]).

main(File) ->
    ok = logger:set_primary_config(level, none),
    {ok, Scripts} = file:consult(File),
    lists:foreach(fun run/1, Scripts).

%% Tables: trace {Time, Text}, results {Step, Text}, heard {Time, Reason} by the parent.
run({Seed, Link, Init, Others, Terminate, Steps}) ->
    io:format("#~w~n", [Seed]),
    [ets:new(T, [named_table, public, ordered_set]) || T <- [trace, results, heard]],
    Driver = self(),
    Parent = spawn(fun() -> parent(Driver, Link, {Driver, Init, Others, Terminate}) end),
    put(callers, []),
    Server = receive {server, S} -> monitor(process, S), S ! go, S end,
    receive
        {started, {ok, Server}} ->
            show(Server, Parent),
            lists:foldl(fun(Step, K) ->
                step(K, Step, Server, Parent),
                show(Server, Parent),
                K + 1
            end, 1, Steps);
        {started, Failed} ->
            ets:insert(results, {0, case Failed of ignore -> "ignored"; {error, R} -> "failed " ++ word(R) end}),
            show(Server, Parent)
    end,
    [exit(P, kill) || P <- [Server, Parent | get(callers)]],
    settle(Server, Parent),
    flush(),
    [ets:delete(T) || T <- [trace, results, heard]].

flush() -> receive _ -> flush() after 0 -> ok end.

%% -- The server. Its state is the number of callbacks since init.

init({Driver, Init = {_, Actions, Result, _}, Others, Terminate}) ->
    Driver ! {server, self()},
    receive go -> ok end,
    put(others, Others),
    put(terminate, Terminate),
    put(waiting, []),
    trace("init"),
    lists:foreach(fun act/1, Actions),
    case Result of
        ignore -> ignore;
        _ -> case result(Init, 0) of
            {noreply, S} -> {ok, S};
            {noreply, S, Then} -> {ok, S, Then};
            {stop, R, _} -> {stop, R}
        end
    end.

handle_call({call, Script}, From, N) ->
    trace("call", Script),
    actions(Script),
    Id = element(1, Script),
    case result(Script, N + 1) of
        {reply, S} -> {reply, Id, S};
        {reply, S, Then} -> {reply, Id, S, Then};
        {stop_reply, R, S} -> {stop, R, Id, S};
        Other ->
            put(waiting, get(waiting) ++ [From]),
            Other
    end.

handle_cast({cast, Script}, N) ->
    trace("cast", Script),
    actions(Script),
    result(Script, N + 1).

handle_info({info, Script}, N) ->
    trace("info", Script),
    actions(Script),
    result(Script, N + 1);
handle_info(plain, N) ->
    trace("info"),
    {noreply, N + 1};
handle_info(timeout, N) -> other("timeout", N);
handle_info({'EXIT', _, R}, N) -> other("EXIT " ++ word(R), N).

handle_continue(Script, N) ->
    trace("continue", Script),
    actions(Script),
    result(Script, N + 1).

terminate(R, _) ->
    trace("terminate " ++ word(R)),
    Script = get(terminate),
    actions(Script),
    result(Script, none).

other(What, N) ->
    trace(What),
    case get(others) of
        [] -> {noreply, N + 1};
        [Script | Rest] -> put(others, Rest), actions(Script), result(Script, N + 1)
    end.

actions({_, Actions, _, _}) -> lists:foreach(fun act/1, Actions).

act(late_reply) ->
    case get(waiting) of
        [] -> ok;
        [From | Rest] -> put(waiting, Rest), gen_server:reply(From, late)
    end;
act(trap) -> process_flag(trap_exit, true);
act(no_trap) -> process_flag(trap_exit, false);
act(wait) -> erlang:yield();
act(send_info) -> self() ! plain.

result({_, _, error, _}, _) -> error(boom);
result({_, _, {exit, R}, _}, _) -> exit(R);
result({_, _, {How, R}, _}, N) -> {How, R, N};
result({_, _, How, none}, N) -> {How, N};
result({_, _, How, zero}, N) -> {How, N, 0};
result({_, _, How, Continue}, N) -> {How, N, Continue}.

trace(What, Script) -> trace(io_lib:format("~s ~w", [What, element(1, Script)])).
trace(Text) -> ets:insert(trace, {erlang:unique_integer([monotonic]), Text}).

%% -- Its parent.

parent(Driver, Link, Args) ->
    process_flag(trap_exit, true),
    Started = case Link of
        true -> gen_server:start_link(?MODULE, Args, []);
        false -> gen_server:start(?MODULE, Args, [])
    end,
    Driver ! {started, Started},
    case Started of
        {ok, Server} -> parent(Server);
        _ -> ok
    end.

parent(Server) ->
    receive
        {'EXIT', _, R} -> ets:insert(heard, {erlang:unique_integer([monotonic]), word(R)});
        {signal, R} -> exit(Server, R);
        {exit, R} -> exit(R)
    end,
    parent(Server).

%% -- Steps.

step(K, {call, _} = Call, Server, _) ->
    caller(K, "call", fun() -> io_lib:format("reply ~w", [gen_server:call(Server, Call, infinity)]) end);
step(_, {cast, _} = Cast, Server, _) -> gen_server:cast(Server, Cast);
step(_, {info, _} = Info, Server, _) -> Server ! Info;
step(K, suspend, Server, _) -> caller(K, "suspend", fun() -> sys:suspend(Server, infinity) end);
step(K, resume, Server, _) -> caller(K, "resume", fun() -> sys:resume(Server, infinity) end);
step(K, get_state, Server, _) ->
    caller(K, "get_state", fun() -> integer_to_list(sys:get_state(Server, infinity)) end);
step(K, {terminate, R}, Server, _) -> caller(K, "terminate", fun() -> sys:terminate(Server, R, infinity) end);
step(K, {stop, R}, Server, _) -> caller(K, "stop", fun() -> gen_server:stop(Server, R, infinity) end);
step(_, {parent_exit, R}, _, Parent) -> Parent ! {exit, R};
step(_, {parent_signal, R}, _, Parent) -> Parent ! {signal, R};
step(_, {signal, R}, Server, _) -> exit(Server, R).

caller(K, What, F) ->
    Caller = spawn(fun() ->
        Text = try F() of ok -> "ok"; T -> T
        catch
            exit:{R, {Module, _, _}} when Module =:= gen_server; Module =:= sys -> "exit " ++ word(R);
            exit:R -> "exit " ++ word(R)
        end,
        ets:insert(results, {K, What ++ " " ++ Text})
    end),
    put(callers, [Caller | get(callers)]).

%% Nobody has anything left to do, several times over: an exit is not at its end when the process is gone.
settle(Server, Parent) -> idle([Server, Parent | get(callers)], 5).

idle(_, 0) -> ok;
idle(All, N) ->
    erlang:yield(),
    case lists:all(fun waits/1, All) of
        true -> idle(All, N - 1);
        false -> idle(All, 5)
    end.

waits(Pid) ->
    case process_info(Pid, status) of
        undefined -> true;
        {_, S} -> S =:= waiting
    end.

show(Server, Parent) ->
    settle(Server, Parent),
    [io:format("~s~n", [Text]) || {_, Text} <- ets:tab2list(trace)],
    [io:format("~w ~s~n", [K, Text]) || {K, Text} <- ets:tab2list(results)],
    [io:format("parent ~s~n", [R]) || {_, R} <- ets:tab2list(heard)],
    [ets:delete_all_objects(T) || T <- [trace, results, heard]],
    receive {'DOWN', _, _, Server, R} -> io:format("end ~s~n", [word(R)]) after 0 -> ok end.

word({shutdown, x}) -> "shutdown(x)";
word({boom, [_ | _]}) -> "error:boom";
word(R) when is_atom(R) -> atom_to_list(R);
word(R) -> io_lib:format("~0p", [R]).

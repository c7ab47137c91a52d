%% Runs the scripts of a file (one Erlang term each) on OTP's own processes and prints what happened, in the words of
%% script.h: "#SEED", then the lines.
-module(signals_diff).
-export([main/1]).

main(File) ->
    ok = logger:set_primary_config(level, none),
    {ok, Scripts} = file:consult(File),
    lists:foreach(fun run/1, Scripts).

%% The tables: pids has {Letter, Pid}, names {Pid, Letter}, refs {Number, Ref}, numbers {Ref, Number},
%% log {Time, Receiver, Sender, Text}, ends {Letter, Reason}.
run({Seed, Traps, Batches}) ->
    io:format("#~w~n", [Seed]),
    Tables = [pids, names, refs, numbers, log, ends],
    [ets:new(T, [named_table, public, ordered_set]) || T <- Tables],
    Driver = self(),
    Letters = [list_to_atom([L]) || L <- lists:seq($a, $a + length(Traps) - 1)],
    [begin
         {Pid, _} = spawn_monitor(fun() -> start(Driver, T) end),
         known(L, Pid)
     end || {L, T} <- lists:zip(Letters, Traps)],
    settle(),
    lists:foreach(fun batch/1, Batches),
    [exit(P, kill) || {_, P} <- ets:tab2list(pids)],
    settle(),
    flush(),
    [ets:delete(T) || T <- Tables].

flush() -> receive _ -> flush() after 0 -> ok end.

known(L, Pid) -> ets:insert(pids, {L, Pid}), ets:insert(names, {Pid, L}).

letter(Pid) -> case ets:lookup(names, Pid) of [{_, L}] -> L; [] -> none end.

%% -- The processes.

start(Driver, Trap) ->
    process_flag(trap_exit, Trap),
    loop(Driver, false).

loop(Driver, true) ->
    receive {batch, Ops} -> loop(Driver, ops(Driver, Ops, true)) end;
loop(Driver, false) ->
    receive
        {batch, Ops} -> loop(Driver, ops(Driver, Ops, false));
        Message -> log(Message), loop(Driver, false)
    end.

ops(Driver, Ops, Paused) ->
    Now = lists:foldl(fun
        (pause, _) -> true;
        (resume, _) -> false;
        (Op, P) -> op(Driver, Op), P
    end, Paused, Ops),
    Driver ! {done, self()},
    Now.

log({msg, From, N}) -> log(letter(From), io_lib:format("msg ~w", [N]));
log({'EXIT', From, R}) -> log(letter(From), io_lib:format("EXIT ~w", [R]));
log({'DOWN', Ref, process, From, R}) ->
    [{_, N}] = ets:lookup(numbers, Ref),
    log(letter(From), io_lib:format("DOWN ~w ~w", [N, R])).

log(From, Text) -> ets:insert(log, {erlang:unique_integer([monotonic]), letter(self()), From, Text}).

op(Driver, Op) ->
    case targets(Op) of
        missing -> ok;
        {} -> perform(Driver, Op, none);
        Pid -> perform(Driver, Op, Pid)
    end.

targets({Op, L}) when Op =:= link; Op =:= unlink -> pid(L);
targets({Op, L, _}) when Op =:= monitor; Op =:= exit; Op =:= send -> pid(L);
targets({register, _, L}) -> pid(L);
targets(_) -> {}.

pid(L) -> case ets:lookup(pids, L) of [{_, Pid}] -> Pid; [] -> missing end.

perform(D, {link, L}, Pid) -> result(D, "link ~w ~w", [L, try link(Pid) catch error:noproc -> noproc end]);
perform(_, {unlink, _}, Pid) -> unlink(Pid);
perform(_, {monitor, _, N}, Pid) -> remember(N, monitor(process, Pid));
perform(D, {demonitor, N, How}, _) ->
    case ets:lookup(refs, N) of
        [{_, Ref}] when How =:= flush -> demonitor(Ref, [flush]);
        [{_, Ref}] -> result(D, "demonitor ~w ~w", [N, demonitor(Ref, [info])]);
        [] -> ok
    end;
perform(_, {exit, _, R}, Pid) -> exit(Pid, R);
perform(_, {stop, R}, _) -> exit(R);
perform(D, {trap, On}, _) -> result(D, "trap ~w", [process_flag(trap_exit, On)]);
perform(_, {send, _, N}, Pid) -> Pid ! {msg, self(), N};
%% With us a process may have several names.
perform(D, {register, Name, L}, Pid) ->
    case process_info(Pid, registered_name) of
        {_, _} -> ok;
        _ -> result(D, "register ~w ~w ~w", [Name, L, ok(fun() -> register(Name, Pid) end)])
    end;
perform(D, {unregister, Name}, _) -> result(D, "unregister ~w ~w", [Name, ok(fun() -> unregister(Name) end)]);
perform(D, {whereis, Name}, _) -> result(D, "whereis ~w ~w", [Name, letter(whereis(Name))]);
perform(D, {send_name, Name, N}, _) ->
    result(D, "send ~w ~w", [Name, ok(fun() -> Name ! {msg, self(), N} end)]);
perform(D, {spawn, L, Link, N, Trap, Ends}, _) ->
    Body = case Ends of
        lives -> fun() -> start(D, Trap) end;
        _ -> fun() -> exit(Ends) end
    end,
    Pid = case spawn_opt(Body, [link || Link] ++ [monitor || N > 0]) of
        {P, Ref} -> remember(N, Ref), P;
        P -> P
    end,
    known(L, Pid),
    D ! {spawned, L, Pid, Ends}.

remember(N, Ref) -> ets:insert(refs, {N, Ref}), ets:insert(numbers, {Ref, N}).

ok(F) -> try F() of _ -> true catch error:badarg -> false end.

result(Driver, Format, Args) -> Driver ! {result, io_lib:format(Format, Args)}.

%% -- The driver.

batch({Who, Ops}) ->
    Pid = pid(Who),
    case is_pid(Pid) andalso is_process_alive(Pid) of
        true ->
            Pid ! {batch, Ops},
            Results = await(Pid),
            settle(),
            collect(),
            line("~w ~s", [Who, lists:join(", ", Results)]),
            state();
        false -> ok
    end.

await(Pid) ->
    receive
        {result, Text} -> [Text | await(Pid)];
        {spawned, L, Child, lives} -> monitor(process, Child), L, await(Pid);
        {spawned, L, _, _} -> ets:insert(ends, {L, at_once}), await(Pid);
        {done, Pid} -> [];
        {'DOWN', _, _, Pid, R} -> ets:insert(ends, {letter(Pid), R}), []
    end.

collect() ->
    receive
        {'DOWN', _, _, Pid, R} -> ets:insert(ends, {letter(Pid), R}), collect()
    after 0 -> ok
    end.

%% Nobody has anything left to do, several times over: an exit is not at its end when the process is gone.
settle() -> settle(5).

settle(0) -> ok;
settle(N) ->
    erlang:yield(),
    Idle = lists:all(fun({_, Pid}) ->
        case process_info(Pid, status) of
            undefined -> true;
            {_, S} -> S =:= waiting
        end
    end, ets:tab2list(pids)),
    case Idle of
        true -> settle(N - 1);
        false -> settle(5)
    end.

state() ->
    Log = ets:tab2list(log),
    ets:delete_all_objects(log),
    lists:foreach(fun({L, Pid}) ->
        Received = lists:keysort(1, [{From, Text} || {_, To, From, Text} <- Log, To =:= L]),
        case process_info(Pid, [trap_exit, links, monitors, monitored_by, registered_name, message_queue_len]) of
            undefined -> [line("~w ended ~w", [L, R]) || {_, R} <- ets:lookup(ends, L)];
            [{_, Trap}, {_, Links}, {_, Monitors}, {_, By}, {_, Name}, {_, Queue}] ->
                [line("~w < ~w:~s", [L, From, Text]) || {From, Text} <- Received],
                line("~w trap ~w links [~s] monitors [~s] by [~s] name ~w queue ~w",
                     [L, Trap, letters(Links), letters([P || {process, P} <- Monitors]), letters(By),
                      case Name of [] -> none; _ -> Name end, Queue])
        end
    end, ets:tab2list(pids)).

letters(Pids) -> lists:join(" ", lists:sort([atom_to_list(letter(P)) || P <- Pids, letter(P) =/= none])).

line(Format, Args) -> io:format(Format ++ "~n", Args).

%% Runs the scenarios of a file (one Erlang term each) on OTP's own gen_statem and prints what happened, in the
%% words of statem_diff.cc: "#SEED", a line for each callback, what is left at the end.
-module(statem_diff).
-behaviour(gen_statem).
-export([main/1, init/1, callback_mode/0, handle_event/4]).

%% After so many callbacks the machine only keeps its state, so that every scenario ends.
-define(BUDGET, 60).

main(File) ->
    {ok, Scenarios} = file:consult(File),
    lists:foreach(fun run/1, Scenarios).

run({Seed, Enter, Casts, Rules}) ->
    io:format("#~w~n", [Seed]),
    persistent_term:put(enter, Enter),
    {ok, Pid} = gen_statem:start(?MODULE, maps:from_list(Rules), []),
    [gen_statem:cast(Pid, C) || C <- Casts],
    {State, _} = sys:get_state(Pid),
    {status, _, _, [_, _, _, _, Misc]} = sys:get_status(Pid),
    Data = lists:append([L || {data, L} <- Misc]),
    {_, Timeouts} = proplists:get_value("Time-outs", Data),
    Postponed = proplists:get_value("Postponed", Data),
    io:format("end ~s timeouts ~s postponed ~s~n",
              [State, join(lists:sort([type(T) || {T, _} <- Timeouts])),
               join([io_lib:format("~s \"~s\"", [type(T), C]) || {T, C} <- lists:reverse(Postponed)])]),
    gen_statem:stop(Pid).

join(L) -> lists:join(", ", L).

type({timeout, N}) -> io_lib:format("{timeout,~s}", [N]);
type(T) -> atom_to_list(T).

init(Rules) -> {ok, a, {Rules, 0}}.

callback_mode() ->
    case persistent_term:get(enter) of
        true -> [handle_event_function, state_enter];
        false -> handle_event_function
    end.

handle_event(Type, Content, State, {Rules, N}) ->
    io:format("~s ~s @~s~n", [type(Type), Content, State]),
    Data = {Rules, N + 1},
    Key = case Type of enter -> enter; _ -> Content end,
    case maps:get({State, Key}, Rules, keep) of
        _ when N >= ?BUDGET -> {keep_state, Data};
        keep -> {keep_state, Data};
        {keep, Actions} -> {keep_state, Data, Actions};
        {repeat, Actions} -> {repeat_state, Data, Actions};
        {Next, Actions} -> {next_state, Next, Data, Actions}
    end.

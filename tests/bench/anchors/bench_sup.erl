%% A simple_one_for_one supervisor of bench_srv.
-module(bench_sup).
-behaviour(supervisor).
-export([start_link/2, init/1]).

start_link(Restart, Args) -> supervisor:start_link(?MODULE, {Restart, Args}).

init({Restart, Args}) ->
    {ok, {#{strategy => simple_one_for_one, intensity => 1000000, period => 1},
          [#{id => child, start => {bench_srv, start_link, Args}, restart => Restart}]}}.

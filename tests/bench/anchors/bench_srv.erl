%% A gen_server that answers at once: the callee and the child of the anchors.
-module(bench_srv).
-behaviour(gen_server).
-export([start/0, start_link/0, start_link/1, init/1, handle_call/3, handle_cast/2]).

start() -> gen_server:start(?MODULE, none, []).
start_link() -> gen_server:start_link(?MODULE, none, []).
start_link(Arg) -> gen_server:start_link(?MODULE, Arg, []).

init(none) -> {ok, none};
init({report, To}) -> To ! {up, self()}, {ok, none}.

handle_call(Request, _From, State) -> {reply, Request, State}.
handle_cast(_Request, State) -> {noreply, State}.

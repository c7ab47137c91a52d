#pragma once

#include <functional>

#include "server/behaviours/module.h"

namespace banyan {

// The whole of a daemon: `banyand` with further modules. Reads its command line, `node`, `dev`,
// `coordinator` and so on with their flags; runs until it is told to end by SIGTERM or SIGINT.
// Returns the program's exit status. `add_modules` adds to those that ship (kv, exec); it runs
// once, in the process that is the node, before the node joins. Called from main() before any
// thread is started: a node forks its watcher.
//
//   int main(int argc, char** argv) {
//     return banyan::NodeMain(argc, argv, [](banyan::Modules* m) { m->Add<Counter>("counter"); });
//   }
int NodeMain(int argc, char** argv, const std::function<void(Modules*)>& add_modules = {});

}  // namespace banyan

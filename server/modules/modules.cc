#include "server/modules/modules.h"

#include "server/behaviours/task.h"
#include "server/modules/exec.h"
#include "server/modules/kv.h"

namespace banyan {

void AddShippedModules(Modules* modules) {
  modules->Add<Kv>("kv",
                   {.version = "1", .description = "a key-value store in the memory of one actor"});
  TaskSupervisor::AddModule(modules);
  modules->Add<Exec>("exec", {.version = "1", .description = "an OS program as a child"});
}

}  // namespace banyan

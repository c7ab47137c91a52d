#pragma once

#include "server/behaviours/module.h"

namespace banyan {

// Adds the modules that ship with Banyan: `kv` and `exec`.
void AddShippedModules(Modules* modules);

}  // namespace banyan

#pragma once

#include "server/behaviours/module.h"

namespace jobs {

// The program's modules, two of the behaviour JobQueue. A job of either is a google.protobuf.
// StringValue:
//   word_count   its result is the number of words, an Int64Value; a text without words fails
//   append_file  appends a line to the file that the module's argument names; gives up on nothing,
//                and crashes when the third attempt at a line fails; an upgrade's extra is another
//                path
void AddModules(banyan::Modules* modules);

}  // namespace jobs

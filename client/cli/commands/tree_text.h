#pragma once

#include <string>
#include <vector>

#include "client/cli/cli.h"
#include "client/cli/output.h"

#include "banyan/v1/supervisors.pb.h"

namespace banyan::cli {

// Adds the tree's lines to `table`: label with box characters, kind, where, state, details.
void AddTree(Cli& cli, const v1::TreeNode& root, Table* table);
// A Mermaid flowchart of the trees.
std::string TreeMermaid(Cli& cli, const std::vector<v1::GetTreeResponse>& trees);

}  // namespace banyan::cli

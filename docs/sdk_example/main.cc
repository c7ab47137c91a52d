// A daemon that knows the modules of this program beside those that ship: `jobs_node dev`,
// `jobs_node node --coordinator ...`.
#include "modules.h"
#include "server/app/node_main.h"

int main(int argc, char** argv) { return banyan::NodeMain(argc, argv, jobs::AddModules); }

// banyand with the module `probe`.
#include "server/app/node_main.h"
#include "tests/faults/probe.h"

int main(int argc, char** argv) {
  return banyan::NodeMain(argc, argv, [](banyan::Modules* modules) {
    modules->Add<banyan::faults::Probe>("probe", {.version = "1"});
  });
}

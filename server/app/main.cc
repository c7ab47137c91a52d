#include "server/app/node_main.h"

int main(int argc, char** argv) { return banyan::NodeMain(argc, argv); }

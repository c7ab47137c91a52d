#pragma once

#include "client/cli/commands/commands.h"

#include "banyan/v1/types.pb.h"

namespace banyan::cli {

// The spec that the flags describe; on a mistake the exit code is returned and it has been told.
// kDone otherwise.
int BuildChildSpec(Cli& cli, const ChildFlags& flags, v1::ChildSpec* spec);
// --args as payloads.
int BuildArgs(Cli& cli, const std::string& text,
              google::protobuf::RepeatedPtrField<v1::Payload>* args);
// The word of a flag as an enum's value.
int ParseWord(Cli& cli, std::string_view flag, const std::string& word,
              const google::protobuf::EnumDescriptor* type, int* value);

}  // namespace banyan::cli

#include "client/transport/reflection.h"

#include "client/transport/session.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"

namespace banyan::client {

std::vector<google::protobuf::FileDescriptorProto> FetchFilesOf(
    const std::shared_ptr<grpc::Channel>& channel, const std::string& symbol,
    absl::Duration timeout) {
  std::vector<google::protobuf::FileDescriptorProto> files;
  grpc::ClientContext context;
  SetTimeout(&context, timeout);
  auto stub = grpc::reflection::v1alpha::ServerReflection::NewStub(channel);
  auto stream = stub->ServerReflectionInfo(&context);
  grpc::reflection::v1alpha::ServerReflectionRequest request;
  request.set_file_containing_symbol(symbol);
  grpc::reflection::v1alpha::ServerReflectionResponse response;
  if (stream->Write(request) && stream->Read(&response)) {
    for (const std::string& bytes : response.file_descriptor_response().file_descriptor_proto()) {
      google::protobuf::FileDescriptorProto file;
      if (file.ParseFromString(bytes)) files.push_back(std::move(file));
    }
  }
  stream->WritesDone();
  // The answer is what was read; how the stream ends says nothing more.
  context.TryCancel();
  (void)stream->Finish();
  return files;
}

}  // namespace banyan::client

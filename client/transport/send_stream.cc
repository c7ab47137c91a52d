#include "client/transport/send_stream.h"

namespace banyan::client {
namespace {

// What a server takes before it has confirmed (actors.proto).
constexpr uint64_t kWindow = 1000;

}  // namespace

SendStream::~SendStream() {
  if (!reader_.joinable()) return;
  context_.TryCancel();
  reader_.join();
}

ApiError SendStream::Open(absl::Duration timeout) {
  if (ApiError error = session_->Connect(); !error.ok()) return error;
  SetTimeout(&context_, timeout);
  stub_ = v1::Actors::NewStub(session_->channel());
  stream_ = stub_->SendStream(&context_);
  reader_ = std::thread([this] { Read(); });
  return {};
}

bool SendStream::Send(v1::SendStreamRequest message) {
  {
    MutexLock lock(&mutex_);
    while (!over_ && sent_ - accepted_ >= kWindow) changed_.wait(mutex_);
    if (over_) return false;
  }
  message.set_seq(sent_ + 1);
  if (!stream_->Write(message)) return false;
  ++sent_;
  return true;
}

ApiError SendStream::Close() {
  stream_->WritesDone();
  reader_.join();
  return DecodeError(stream_->Finish(), &context_);
}

uint64_t SendStream::accepted() const {
  MutexLock lock(&mutex_);
  return accepted_;
}

void SendStream::Read() {
  v1::SendStreamResponse answer;
  while (stream_->Read(&answer)) {
    failures_.insert(failures_.end(), answer.failures().begin(), answer.failures().end());
    MutexLock lock(&mutex_);
    accepted_ = answer.accepted_seq();
    changed_.notify_all();
  }
  MutexLock lock(&mutex_);
  over_ = true;
  changed_.notify_all();
}

}  // namespace banyan::client

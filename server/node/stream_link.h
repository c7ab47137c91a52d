#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "common/time/clock.h"
#include "server/cluster/transport.h"

namespace banyan {

// The one stream that somebody has at a time. What a former one still says is not heard, and a stream
// is never destroyed inside its own callback. On the executor.
class StreamLink {
 public:
  using FrameFn = std::function<void(std::string)>;
  using CloseFn = std::function<void(absl::Status)>;

  StreamLink(Transport* transport, Executor* executor) : transport_(transport), executor_(executor) {}
  ~StreamLink() { Abort(); }
  StreamLink(const StreamLink&) = delete;
  StreamLink& operator=(const StreamLink&) = delete;

  // Replaces the present stream.
  void Dial(const std::string& address, StreamKind kind, FrameFn on_frame, CloseFn on_close) {
    Abort();
    conn_ = std::make_shared<Conn>();
    conn_->on_frame = std::move(on_frame);
    conn_->on_close = std::move(on_close);
    conn_->link = this;
    conn_->stream = transport_->Dial(address, kind, conn_.get());
  }
  bool open() const { return conn_ != nullptr; }
  void Write(std::string bytes) {
    if (conn_) conn_->stream->Write(std::move(bytes));
  }
  // After what was written has been sent. Its OnClose is not heard.
  void Close() {
    if (!conn_) return;
    conn_->stream->Close(absl::OkStatus());
    LetGo();
  }
  void Abort() {
    if (!conn_) return;
    conn_->stream->Abort();
    LetGo();
  }

 private:
  struct Conn : StreamHandler {
    StreamLink* link = nullptr;  // null: nobody listens any more
    std::unique_ptr<Stream> stream;
    FrameFn on_frame;
    CloseFn on_close;
    std::shared_ptr<Conn> keep;  // itself, until its stream is over
    void OnFrame(std::string bytes) override {
      if (link) on_frame(std::move(bytes));
    }
    void OnClose(absl::Status status) override {
      std::shared_ptr<Conn> self = std::move(keep);
      if (!link) return DestroyLater(std::move(self));
      StreamLink* owner = std::exchange(link, nullptr);
      executor = owner->executor_;
      self = std::move(owner->conn_);
      owner->conn_ = nullptr;
      auto closed = std::move(on_close);
      DestroyLater(std::move(self));
      closed(std::move(status));
    }
    void DestroyLater(std::shared_ptr<Conn> self) {
      if (self && executor) executor->Post([self] {});
    }
    Executor* executor = nullptr;
  };

  // The stream says what it still has to say to nobody; then it goes.
  void LetGo() {
    conn_->link = nullptr;
    conn_->executor = executor_;
    conn_->keep = conn_;
    conn_ = nullptr;
  }

  Transport* const transport_;
  Executor* const executor_;
  std::shared_ptr<Conn> conn_;
};

}  // namespace banyan

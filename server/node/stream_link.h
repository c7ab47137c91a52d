#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "common/time/clock.h"
#include "server/cluster/transport.h"

namespace banyan {

// The one stream that somebody has at a time. What a former one still says is not heard, and a
// stream is never destroyed inside its own callback. On the executor.
class StreamLink {
 public:
  using FrameFn = std::function<void(std::string)>;
  using CloseFn = std::function<void(absl::Status)>;

  StreamLink(Transport* transport, Executor* executor)
      : transport_(transport), executor_(executor) {}
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
    conn_->heard = false;
    conn_->stream->Close(absl::OkStatus());
    closing_.push_back(std::move(conn_));
    conn_ = nullptr;
  }
  // At once, dropping what has not been sent. Its OnClose is not heard.
  void Abort() {
    if (!conn_) return;
    conn_->heard = false;
    conn_->stream->Abort();
    DestroyLater(std::move(conn_));
    conn_ = nullptr;
  }

 private:
  struct Conn : StreamHandler {
    StreamLink* link = nullptr;  // outlives the stream
    bool heard = true;
    std::unique_ptr<Stream> stream;
    FrameFn on_frame;
    CloseFn on_close;
    void OnFrame(std::string bytes) override {
      if (heard) on_frame(std::move(bytes));
    }
    void OnClose(absl::Status status) override { link->Over(this, std::move(status)); }
  };

  void Over(Conn* over, absl::Status status) {
    CloseFn closed;
    if (conn_.get() == over) {
      closed = std::move(conn_->on_close);
      DestroyLater(std::move(conn_));
      conn_ = nullptr;
    }
    for (auto it = closing_.begin(); it != closing_.end(); ++it) {
      if (it->get() != over) continue;
      DestroyLater(std::move(*it));
      closing_.erase(it);
      break;
    }
    if (closed) closed(std::move(status));
  }
  // The caller may be the stream itself. Until then it has nobody to call: see `heard`.
  void DestroyLater(std::shared_ptr<Conn> conn) {
    conn->stream->Abort();
    dying_.push_back(std::move(conn));
    executor_->Post([weak = std::weak_ptr<int>(alive_), this] {
      if (weak.lock()) dying_.clear();
    });
  }

  Transport* const transport_;
  Executor* const executor_;
  std::shared_ptr<Conn> conn_;
  std::list<std::shared_ptr<Conn>> closing_;  // they still send their last frames
  std::list<std::shared_ptr<Conn>> dying_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace banyan

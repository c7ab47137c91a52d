#include "server/rpc/send_stream.h"

#include <algorithm>
#include <charconv>
#include <deque>
#include <random>
#include <utility>

#include "fmt/format.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/client_callback.h"

#include "server/rpc/byte_buffer.h"
#include "server/rpc/method_names.h"
#include "server/rpc/status.h"

namespace banyan::rpc {
namespace {

// Metadata of a leg: "FLOW.NUMBER".
constexpr char kLegKey[] = "banyan-send-leg";

std::string RandomName() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

class ServerCall final : public SendReactor, public SendFlow::Wire {
 public:
  explicit ServerCall(grpc::CallbackServerContext* context) : context_(context) {}
  void Bind(std::shared_ptr<SendFlow> flow) { flow_ = std::move(flow); }

  void StartReading() override { StartRead(&in_); }
  void StartWriting(const v1::SendStreamResponse& response) override {
    out_ = ToByteBuffer(response.SerializeAsString());
    StartWrite(&out_);
  }
  void End(const absl::Status& status) override { Finish(ToGrpcStatus(status, context_)); }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return flow_->OnReadsOver();
    std::optional<v1::SendStreamRequest> message(std::in_place);
    if (!grpc::GenericDeserialize<grpc::ProtoBufferReader, v1::SendStreamRequest>(&in_, &*message)
             .ok()) {
      message.reset();
    }
    in_.Clear();  // the next read would not free it
    flow_->OnRead(std::move(message));
  }
  void OnWriteDone(bool ok) override { flow_->OnWritten(ok); }
  void OnCancel() override { flow_->OnCancelled(); }
  void OnDone() override {
    flow_->OnOver();
    delete this;
  }

  grpc::CallbackServerContext* const context_;
  std::shared_ptr<SendFlow> flow_;
  grpc::ByteBuffer in_;   // the read under way
  grpc::ByteBuffer out_;  // the write under way
};

// The client's side of a stream that goes on. It keeps itself until gRPC is done with it.
class SendLeg final : public SendFlow::Leg,
                      public grpc::ClientBidiReactor<v1::SendStreamRequest, v1::SendStreamResponse>,
                      public std::enable_shared_from_this<SendLeg> {
 public:
  SendLeg(std::shared_ptr<grpc::Channel> channel, std::string address, SendFlow::Settle settle)
      : channel_(std::move(channel)), address_(std::move(address)), settle_(std::move(settle)) {}

  grpc::ClientContext* client() { return &client_; }

  void Start() {
    self_ = shared_from_this();
    grpc::internal::
        ClientCallbackReaderWriterFactory<v1::SendStreamRequest, v1::SendStreamResponse>::Create(
            channel_.get(),
            grpc::internal::RpcMethod(method::kSendStream, nullptr,
                                      grpc::internal::RpcMethod::BIDI_STREAMING),
            &client_, this);
    // For the writes that Send() starts.
    this->AddHold();
    this->StartRead(&in_);
    this->StartCall();
  }

  bool Send(uint64_t seq, v1::SendStreamRequest* message) override {
    {
      MutexLock lock(&mu_);
      if (over_ || closing_) return false;
      message->set_seq(settled_ + sent_.size() + 1);
      sent_.push_back({seq, false});
      queue_.push_back(std::move(*message));
    }
    Pump();
    return true;
  }
  void Close() override {
    {
      MutexLock lock(&mu_);
      closing_ = true;
    }
    Pump();
  }
  void Cut() override { client_.TryCancel(); }

 private:
  struct Sent {
    uint64_t seq;  // of the flow
    bool settled;
  };
  enum class Op { kNone, kWrite, kWritesDone, kRemoveHold };

  // Nothing is started on the call once the hold is gone.
  void Pump() {
    Op op = Op::kNone;
    {
      MutexLock lock(&mu_);
      if (busy_ || !hold_) return;
      if (over_) {
        hold_ = false;
        op = Op::kRemoveHold;
      } else if (!queue_.empty()) {
        current_ = std::move(queue_.front());
        queue_.pop_front();
        ++begun_;
        busy_ = true;
        op = Op::kWrite;
      } else if (closing_ && !std::exchange(done_, true)) {
        busy_ = true;
        op = Op::kWritesDone;
      }
    }
    switch (op) {
      case Op::kNone:
        return;
      case Op::kWrite:
        return this->StartWrite(&current_);
      case Op::kWritesDone:
        return this->StartWritesDone();
      case Op::kRemoveHold:
        return this->RemoveHold();
    }
  }

  void OnWriteDone(bool) override { OnOpDone(); }
  void OnWritesDoneDone(bool) override { OnOpDone(); }
  void OnOpDone() {
    {
      MutexLock lock(&mu_);
      busy_ = false;
    }
    Pump();
  }

  void OnReadDone(bool ok) override {
    if (ok) {
      Take(in_);
      return this->StartRead(&in_);
    }
    {
      MutexLock lock(&mu_);
      over_ = true;
    }
    Pump();
  }

  void Take(const v1::SendStreamResponse& response) {
    std::vector<std::pair<uint64_t, std::string>> news;
    {
      MutexLock lock(&mu_);
      for (const v1::SendFailure& failure : response.failures()) {
        const uint64_t at = failure.seq() - settled_ - 1;
        if (at >= sent_.size() || std::exchange(sent_[at].settled, true)) continue;
        news.emplace_back(sent_[at].seq, failure.reason());
      }
      while (!sent_.empty() && settled_ < response.accepted_seq()) {
        if (!sent_.front().settled) news.emplace_back(sent_.front().seq, "");
        sent_.pop_front();
        ++settled_;
      }
    }
    for (auto& [seq, reason] : news) settle_(seq, std::move(reason));
  }

  // What was never written has not run; of the rest only the other server could have told.
  void OnDone(const grpc::Status& status) override {
    const std::shared_ptr<SendLeg> self = std::move(self_);
    std::string broken =
        ErrorReason(FromGrpcStatus(ExplainHop(status, Hop::kNode, address_, client_)));
    if (broken.empty()) broken = "NOCONNECTION";
    std::deque<Sent> left;
    size_t written = 0;
    {
      MutexLock lock(&mu_);
      left.swap(sent_);
      written = begun_ - settled_;
    }
    for (size_t i = 0; i < left.size(); ++i) {
      if (!left[i].settled) settle_(left[i].seq, i < written ? broken : "NOT_DELIVERED");
    }
    settle_ = nullptr;
  }

  const std::shared_ptr<grpc::Channel> channel_;
  const std::string address_;
  SendFlow::Settle settle_;  // on gRPC's threads, one reaction at a time
  std::shared_ptr<SendLeg> self_;
  grpc::ClientContext client_;
  v1::SendStreamResponse in_;

  Mutex mu_;
  v1::SendStreamRequest current_;  // the write under way
  std::deque<v1::SendStreamRequest> queue_ ABSL_GUARDED_BY(mu_);
  std::deque<Sent> sent_ ABSL_GUARDED_BY(mu_);  // the first has the number settled_ + 1 there
  uint64_t settled_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t begun_ ABSL_GUARDED_BY(mu_) = 0;    // how many were given to gRPC
  bool busy_ ABSL_GUARDED_BY(mu_) = false;     // a write or the end of them is under way
  bool closing_ ABSL_GUARDED_BY(mu_) = false;  // nothing more is sent
  bool done_ ABSL_GUARDED_BY(mu_) = false;     // the other server was told so
  bool over_ ABSL_GUARDED_BY(mu_) = false;     // the reads are
  bool hold_ ABSL_GUARDED_BY(mu_) = true;
};

}  // namespace

std::pair<SendReactor*, std::shared_ptr<SendFlow>> OpenSendStream(
    grpc::CallbackServerContext* context) {
  auto* call = new ServerCall(context);
  auto flow = std::make_shared<SendFlow>(call);
  call->Bind(flow);
  return {call, std::move(flow)};
}

SendLegs::SendLegs(Forwarder* forwarder, CallContext context)
    : forwarder_(forwarder), context_(context), flow_(RandomName()) {
  context_.server = nullptr;  // it goes before the last leg does
}

absl::StatusOr<std::shared_ptr<SendFlow::Leg>> SendLegs::Open(const std::string& address,
                                                              SendFlow::Settle settle) {
  if (absl::Status hops = CheckHops(context_); !hops.ok()) return hops;
  auto leg = std::make_shared<SendLeg>(forwarder_->ChannelTo(address), address, std::move(settle));
  WriteContext(context_, forwarder_->clock(), leg->client());
  leg->client()->AddMetadata(kLegKey, fmt::format("{}.{}", flow_, ++opened_));
  leg->Start();
  return leg;
}

absl::Status LegFences::Leg::Put(const std::function<absl::Status()>& put) const {
  if (flow_ == nullptr) return put();
  MutexLock lock(&flow_->mu);
  if (flow_->latest == number_) return put();
  return MakeError("NOT_DELIVERED", "the message came over a stream that another has replaced");
}

LegFences::Leg LegFences::Enter(const CallContext& context) {
  const auto& metadata = context.server->client_metadata();
  const auto it = metadata.find(kLegKey);
  if (context.hops == 0 || it == metadata.end()) return {};
  return Enter(std::string_view(it->second.data(), it->second.size()));
}

LegFences::Leg LegFences::Enter(std::string_view name) {
  Leg leg;
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return leg;
  const char* end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data() + dot + 1, end, leg.number_);
  if (error != std::errc() || at != end) return leg;
  {
    MutexLock lock(&mu_);
    std::weak_ptr<Leg::Flow>& known = flows_[std::string(name.substr(0, dot))];
    leg.flow_ = known.lock();
    if (leg.flow_ == nullptr) known = leg.flow_ = std::make_shared<Leg::Flow>();
    if (flows_.size() > sweep_at_) {
      std::erase_if(flows_, [](const auto& flow) { return flow.second.expired(); });
      sweep_at_ = std::max<size_t>(64, 2 * flows_.size());
    }
  }
  MutexLock lock(&leg.flow_->mu);
  leg.flow_->latest = std::max(leg.flow_->latest, leg.number_);
  return leg;
}

}  // namespace banyan::rpc

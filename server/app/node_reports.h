#pragma once

#include <atomic>
#include <string>

#include "server/behaviours/host.h"
#include "server/node/node.h"
#include "server/node/watch_page_sink.h"
#include "server/node/watcher/watch_page.h"

namespace banyan::app {

// What processes and supervisors of this node report: into the log, and into the node's event
// history.
class NodeReports final : public SupervisorEvents, public ProcessReports {
 public:
  explicit NodeReports(std::string node) : name_(std::move(node)) {}
  // Null before the node is there and after it is gone.
  void SetNode(Node* node) { node_.store(node, std::memory_order_release); }

  void OnEvent(const SupervisorEvent& event) override;
  void OnReport(Pid supervisor, const std::string& name, const SupervisorReport& report) override;
  void OnCrashReport(const CrashReport& report) override;
  void OnHandlerCrash(Pid pid, const std::string& handler, const ExitReason& reason) override;
  void OnWarning(Pid pid, const std::string& module, const std::string& text) override;

 private:
  const std::string name_;
  std::atomic<Node*> node_{nullptr};
};

// What the watcher must know, on the page that it shares.
class PageSink final : public WatchPageSink {
 public:
  explicit PageSink(WatchPage* page) : page_(page) {}
  void SetIdentity(wire::NodeIdentity self) override {
    page_->SetIdentity(self.node_id, self.incarnation);
  }
  void SetLease(Instant, Instant, Instant expires_at) override { page_->SetLeaseEnd(expires_at); }
  void SetHasExclusive(bool has) override { page_->SetHasExclusive(has); }
  void SetFrozen(bool frozen) override { page_->SetFrozen(frozen); }
  bool WatcherAlive() const override { return page_->WatcherAlive(); }

 private:
  WatchPage* const page_;
};

}  // namespace banyan::app

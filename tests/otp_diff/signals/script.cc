#include "script.h"

#include <random>
#include <utility>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace banyan::otp_diff {
namespace {

using Kind = Op::Kind;

class Generator {
 public:
  explicit Generator(uint32_t seed) : rng_(seed) { script_.seed = seed; }

  Script Run() {
    const uint32_t n = 2 + Below(4);
    for (uint32_t i = 0; i < n; ++i) script_.traps.push_back(Below(2) == 0);
    letters_ = n;
    for (uint32_t left = 3 + Below(10); left > 0; --left) script_.batches.push_back(RandomBatch());
    return script_;
  }

 private:
  static constexpr uint32_t kMostProcesses = 9;

  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(rng_() % n); }
  char RandomLetter() { return static_cast<char>('a' + Below(letters_)); }
  std::string RandomReason() {
    static constexpr const char* kReasons[] = {"normal", "normal", "shutdown", "kill", "kill",
                                               "killed", "boom",   "boom",     "boom", "noproc"};
    return kReasons[Below(10)];
  }
  std::string RandomName() { return Below(2) == 0 ? "n1" : "n2"; }

  Batch RandomBatch() {
    Batch batch{RandomLetter(), {}};
    char ending = 0;  // a process that may be ending because of this batch
    // Not linked too: if dead, the order of the two answers is open. Nor flushed after: whether the
    // answer about the dead is there already is not said.
    std::string monitored;
    for (uint32_t left = 1 + Below(4); left > 0; --left) {
      Op op = ending == 0 ? RandomOp(batch.who) : RandomOpOn(batch.who, ending);
      const bool last = op.kind == Kind::kStop || op.kind == Kind::kSpawn ||
                        (op.kind == Kind::kExit && op.target == batch.who);
      if (op.kind == Kind::kMonitor) monitored += op.target;
      if (op.kind == Kind::kLink && monitored.find(op.target) != std::string::npos)
        op.kind = Kind::kUnlink;
      if (op.kind == Kind::kDemonitor && !monitored.empty()) op.flag = false;
      if (op.kind == Kind::kExit) ending = op.target;
      batch.ops.push_back(std::move(op));
      if (last) break;
    }
    return batch;
  }

  Op RandomOp(char who) {
    Op op;
    op.target = RandomLetter();
    switch (Below(24)) {
      case 0:
      case 1:
      case 2:
      case 3:
        op.kind = Kind::kLink;
        break;
      case 4:
        op.kind = Kind::kUnlink;
        break;
      case 5:
      case 6:
      case 7:
        return RandomMonitor(who, op.target);
      case 8:
      case 9:
        return RandomDemonitor(who, Below(2) == 0);
      case 10:
      case 11:
      case 12:
        op.kind = Kind::kExit;
        op.reason = RandomReason();
        break;
      case 13:
      case 14:
        op.kind = Kind::kStop;
        op.reason = RandomReason();
        op.how = Below(3);
        break;
      case 15:
        op.kind = Kind::kTrap;
        op.flag = Below(2) == 0;
        break;
      case 16:
        op.kind = Kind::kSend;
        op.number = ++numbers_;
        break;
      case 17:
        op.kind = Kind::kRegister;
        op.name = RandomName();
        break;
      case 18:
        op.kind = Below(2) == 0 ? Kind::kUnregister : Kind::kWhereis;
        op.name = RandomName();
        break;
      case 19:
        op.kind = Kind::kSendName;
        op.name = RandomName();
        op.number = ++numbers_;
        break;
      case 20:
      case 21:
        if (letters_ < kMostProcesses) return RandomSpawn(who);
        op.kind = Kind::kLink;
        break;
      case 22:
        op.kind = Kind::kPause;
        break;
      default:
        op.kind = Kind::kResume;
        break;
    }
    return op;
  }
  // What may follow on an exit signal to `target`. No demonitor: to flush may be to wait.
  Op RandomOpOn(char who, char target) {
    Op op;
    op.target = target;
    switch (Below(4)) {
      case 0:
        op.kind = Kind::kUnlink;
        return op;
      case 1:
        return RandomMonitor(who, target);
      case 2:
        op.kind = Kind::kExit;
        op.reason = RandomReason();
        return op;
      default:
        op.kind = Kind::kSend;
        op.number = ++numbers_;
        return op;
    }
  }
  Op RandomMonitor(char who, char target) {
    Op op;
    op.kind = Kind::kMonitor;
    op.target = target;
    op.ref = ++refs_;
    monitors_.emplace_back(who, op.ref);
    return op;
  }
  // Of one of its own: only who has a monitor may end it.
  Op RandomDemonitor(char who, bool flush) {
    Op op;
    op.kind = Kind::kDemonitor;
    op.flag = flush;
    for (int tries = 0; tries < 8 && !monitors_.empty(); ++tries) {
      const auto& [owner, ref] = monitors_[Below(static_cast<uint32_t>(monitors_.size()))];
      if (owner == who) op.ref = ref;
    }
    return op;
  }
  Op RandomSpawn(char who) {
    Op op;
    op.kind = Kind::kSpawn;
    op.target = static_cast<char>('a' + letters_++);
    op.link = Below(2) == 0;
    op.flag = Below(2) == 0;
    if (Below(2) == 0) {
      op.ref = ++refs_;
      monitors_.emplace_back(who, op.ref);
    }
    if (Below(3) == 0) op.reason = RandomReason();
    return op;
  }

  std::mt19937 rng_;
  Script script_;
  uint32_t letters_ = 0;
  uint32_t refs_ = 0;
  uint32_t numbers_ = 0;
  std::vector<std::pair<char, uint32_t>> monitors_;  // by whom
};

std::string Term(const Op& op) {
  switch (op.kind) {
    case Kind::kLink:
      return fmt::format("{{link,{}}}", op.target);
    case Kind::kUnlink:
      return fmt::format("{{unlink,{}}}", op.target);
    case Kind::kMonitor:
      return fmt::format("{{monitor,{},{}}}", op.target, op.ref);
    case Kind::kDemonitor:
      return fmt::format("{{demonitor,{},{}}}", op.ref, op.flag ? "flush" : "info");
    case Kind::kExit:
      return fmt::format("{{exit,{},{}}}", op.target, op.reason);
    case Kind::kStop:
      return fmt::format("{{stop,{}}}", op.reason);
    case Kind::kTrap:
      return fmt::format("{{trap,{}}}", op.flag);
    case Kind::kSend:
      return fmt::format("{{send,{},{}}}", op.target, op.number);
    case Kind::kRegister:
      return fmt::format("{{register,{},{}}}", op.name, op.target);
    case Kind::kUnregister:
      return fmt::format("{{unregister,{}}}", op.name);
    case Kind::kWhereis:
      return fmt::format("{{whereis,{}}}", op.name);
    case Kind::kSendName:
      return fmt::format("{{send_name,{},{}}}", op.name, op.number);
    case Kind::kSpawn:
      return fmt::format("{{spawn,{},{},{},{},{}}}", op.target, op.link, op.ref, op.flag,
                         op.reason.empty() ? "lives" : op.reason);
    case Kind::kPause:
      return "pause";
    case Kind::kResume:
      return "resume";
  }
  return "";
}

}  // namespace

Script Generate(uint32_t seed) { return Generator(seed).Run(); }

std::string ToErlang(const Script& script) {
  std::vector<std::string> batches;
  for (const Batch& b : script.batches) {
    std::vector<std::string> ops;
    for (const Op& op : b.ops) ops.push_back(Term(op));
    batches.push_back(fmt::format("{{{},[{}]}}", b.who, fmt::join(ops, ",")));
  }
  return fmt::format("{{{},[{}],\n [{}]}}.\n", script.seed, fmt::join(script.traps, ","),
                     fmt::join(batches, ",\n  "));
}

}  // namespace banyan::otp_diff

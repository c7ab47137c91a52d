#include "tests/sim/history.h"

#include <algorithm>
#include <ostream>

#include "fmt/format.h"

namespace banyan::sim {
namespace {

void Fnv(uint64_t* hash, std::string_view bytes) {
  for (unsigned char c : bytes) *hash = (*hash ^ c) * 0x100000001b3;
}

std::string Escaped(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20) {
      out += fmt::format("\\u{:04x}", c);
    } else {
      out += static_cast<char>(c);
    }
  }
  return out;
}

}  // namespace

void History::Hash(std::string_view bytes) { Fnv(&hash_, bytes); }

void History::Event(std::string_view who, std::string_view what, std::string_view more) {
  const double at = seconds_();
  lines_.push_back({at, std::string(who), std::string(what), std::string(more)});
  const std::string line = fmt::format("{:.9f} {} {} {}", at, who, what, more);
  Fnv(&hash_, line);
  Fnv(&events_hash_, line);
}

void History::Violation(std::string text) {
  Event("checker", "violation", text);
  if (violations_.size() < 20)
    violations_.push_back(fmt::format("at {:.3f} s: {}", seconds_(), text));
}

void History::Started(const Life& life, bool assignment_durable) {
  ++starts_;
  live_[{life.child, life.fence}] = life.node;
  Event(life.node, "start", fmt::format("{} fence {}", life.child, life.fence));
  if (!assignment_durable) {
    Violation(fmt::format("INV-7: {} started on {} with fence {}, which no durable assignment has",
                          life.child, life.node, life.fence));
  }
  uint64_t& newest = newest_started_[life.child];
  if (life.fence <= newest && life.exclusive && !life.outside) {
    Violation(fmt::format("INV-6: {} started on {} with fence {}, after one with {}", life.child,
                          life.node, life.fence, newest));
  }
  newest = std::max(newest, life.fence);
}

void History::Dispatched(const Life& life) {
  ++dispatches_;
  if (!life.exclusive) return;
  uint64_t& newest = newest_dispatched_[life.child];
  if (life.fence < newest && !life.outside) {
    Violation(fmt::format("INV-5: {} of fence {} ran on {} after its successor of fence {} had",
                          life.child, life.fence, life.node, newest));
  }
  newest = std::max(newest, life.fence);
}

bool History::Write(const Life& life) {
  uint64_t& highest = written_[life.child];
  if (life.fence < highest) {
    Mark("stale write refused");
    return false;
  }
  // What got in must be the newest life there is, or one that a newer has not begun to write after.
  highest = life.fence;
  return true;
}

void History::Ended(const Life& life, std::string_view why) {
  live_.erase({life.child, life.fence});
  Event(life.node, "end", fmt::format("{} fence {} {}", life.child, life.fence, why));
}

std::map<std::string, std::vector<std::pair<uint64_t, std::string>>> History::Live() const {
  std::map<std::string, std::vector<std::pair<uint64_t, std::string>>> out;
  for (const auto& [key, node] : live_) out[key.first].emplace_back(key.second, node);
  return out;
}

std::string History::Text() const {
  std::string out;
  for (const Line& l : lines_)
    out += fmt::format("{:9.3f} {:<10} {} {}\n", l.at, l.who, l.what, l.more);
  return out;
}

void History::WriteJson(std::ostream* out) const {
  for (const Line& l : lines_) {
    *out << fmt::format(R"({{"t":{:.9f},"proc":"{}","ev":"{}","more":"{}"}})", l.at, Escaped(l.who),
                        Escaped(l.what), Escaped(l.more))
         << '\n';
  }
}

}  // namespace banyan::sim

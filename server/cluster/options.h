#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace banyan {

// Limits and times of the sessions between nodes. Tests with real time scale the durations.
struct PeerOptions {
  absl::Duration ping_every = absl::Seconds(2);   // sent when nothing else was
  absl::Duration silence_max = absl::Seconds(8);  // nothing heard for so long closes the session
  absl::Duration connect_timeout = absl::Seconds(5);    // from the dial to the acknowledgement
  absl::Duration unknown_wait = absl::Seconds(2);       // for the view to tell of an unknown peer
  absl::Duration write_stall_max = absl::Seconds(15);   // something waits for so long: SLOW_PEER
  absl::Duration idle_close = absl::Minutes(10);        // with nothing hanging on the session
  absl::Duration backoff_min = absl::Milliseconds(50);  // after a failed dial sends fail at once
  absl::Duration backoff_max = absl::Seconds(2);
  absl::Duration slow_backoff_min = absl::Seconds(1);  // after SLOW_PEER, doubled each time
  absl::Duration slow_backoff_max = absl::Seconds(30);
  // A peer that could not be dialled is asked for through the coordinator for so long, before it is
  // dialled again; and a session that goes that way is closed earlier, with nothing hanging on it,
  // so that the next one may go directly.
  absl::Duration relay_dials = absl::Seconds(30);
  absl::Duration relay_idle_close = absl::Minutes(1);
  absl::Duration credit_retry = absl::Milliseconds(20);  // looks again whether mailboxes have room

  size_t batch_frames_max = 512;
  size_t batch_bytes_soft = 64 * 1024;   // a batch is closed once it is larger
  size_t batch_bytes_hard = 256 * 1024;  // of what a peer may send
  size_t fragment_bytes = 64 * 1024;     // larger frames travel in parts
  size_t message_bytes_max = 16 * 1024 * 1024;
  // Of messages, calls and answers that wait for one session: above the first their senders are
  // held and calls from outside refused, above the second the session is closed: OVERLOAD.
  size_t message_bytes_soft = 8 * 1024 * 1024;
  size_t message_bytes_hard = 64 * 1024 * 1024;
  // Of all other signals, which are never refused: OVERLOAD above either.
  size_t control_entries_max = 200'000;
  size_t control_bytes_max = 64 * 1024 * 1024;
  // What a peer may send before it hears that it was read. 0: no limit.
  size_t receive_window = 8 * 1024 * 1024;
  // Of what came from all peers and waits in mailboxes; above it peers get no more credit.
  size_t inbound_bytes_max = 256 * 1024 * 1024;
  size_t reassembly_bytes_max = 64 * 1024 * 1024;  // unfinished fragments of one peer
  // Processes told of a lost session at a time: so many are ready to run because of it, and others
  // wait behind them. The next are told when half of these have acted on it, or after that time.
  size_t teardown_slice = 100;
  absl::Duration teardown_wait = absl::Milliseconds(20);
};

}  // namespace banyan

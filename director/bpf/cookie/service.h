// SPDX-License-Identifier: MIT
//
// What the director tells the gate of services that have cookies, and what the gate counts.

#pragma once

#include "format.h"

// Bits of `flags`.
#define MINTS 0x01   // a SYN is answered, with a cookie unless it RESETS
#define HAS_KEY 0x02 // of parity 0; of parity 1 the next bit
#define LENIENT 0x08 // what is no cookie is the director's to judge (`sloppy_tcp`)
#define SPLICES 0x10 // the real server is asked after the client, which has to wait for it
#define RESETS 0x20  // a SYN is answered so that the client resets that (reset.h)
#define SHARED 0x40  // some of its clients bear a mark that is another service's (marks.h)
#define REPEATS 0x80 // of UDP: a client that is not known has to come twice (../repeat.h)

struct cookie_service {
	struct siphash_key keys[2]; // by parity
	__u32 slot;                 // among the counters
	__u16 service;              // as the MAC has it
	__u16 mss;                  // what is advertised
	__u8 parity;                // of the key that mints
	__u8 flags;
	__u8 offers; // what all real servers can do: OFFERED_SACK, OFFERED_TIMESTAMPS, OFFERED_ECN
	__u8 scale;  // NO_SCALE if not all can do that, or 0
	__u8 zero[4];
};

enum cookie_counter {
	COOKIES_SENT,
	COOKIES_ACCEPTED,
	COOKIES_REFUSED,
	COOKIE_COUNTERS,
};

// Slot: slot * COOKIE_COUNTERS + counter.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1024 * COOKIE_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} cookie_counts SEC(".maps");

static __always_inline void count_cookie(const struct cookie_service *service,
					 enum cookie_counter what)
{
	__u32 slot = service->slot * COOKIE_COUNTERS + what;
	__u64 *value = bpf_map_lookup_elem(&cookie_counts, &slot);

	if (value)
		*value += 1;
}

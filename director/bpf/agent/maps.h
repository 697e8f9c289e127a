// SPDX-License-Identifier: MIT
//
// What the agent tells its program, and what the program counts.

#pragma once

#include <linux/bpf.h>

#include "../address.h"

// What becomes of a packet. Each has one outcome and is counted under it.
enum outcome {
	// Not ours: the next program and the stack get it as it came.
	PASSED,      // no tunnel packet to this host
	SOURCE,      // one from none of the directors
	DESTINATION, // what it carries is not for a VIP of this host
	FORM,        // of a form that is not undone here: a fragment, a key, an option
	// Decapsulated.
	IPIP,
	GRE,
	GUE,
	// Dropped.
	MALFORMED,  // lengths or versions that do not agree
	CHECKSUM,   // that of the outer IPv4 header or of GRE is wrong
	CONGESTION, // marked CE on the way, and the inner packet has no ECN (RFC 6040 4.2)
	NO_ROOM,    // the kernel did not take the header off
	OUTCOMES,
	READ_ON = OUTCOMES, // not decided yet
};

static __always_inline bool is_drop(enum outcome outcome)
{
	return outcome >= MALFORMED;
}

struct prefix {
	__u32 length; // bits of `network` that count, those of the mapped form included
	struct address network;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OUTCOMES);
	__type(key, __u32);
	__type(value, __u64);
} outcomes SEC(".maps");

// The host's own addresses.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, __u32);
} locals SEC(".maps");

// Who may send tunnel packets; ::/0 is anybody.
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u32);
} directors SEC(".maps");

// To whom the packets inside may go; ::/0 is any address of this host.
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u32);
} vips SEC(".maps");

static __always_inline void count(enum outcome outcome)
{
	__u32 slot = outcome;
	__u64 *value = bpf_map_lookup_elem(&outcomes, &slot);

	if (value)
		*value += 1;
}

static __always_inline bool is_local(const struct address *address)
{
	return bpf_map_lookup_elem(&locals, address);
}

static __always_inline bool is_in(void *prefixes, const struct address *address)
{
	struct prefix host = { .length = 128, .network = *address };

	return bpf_map_lookup_elem(prefixes, &host);
}

// SPDX-License-Identifier: MIT
//
// What the director tells the gate, and what the gate counts.
//
// Those maps that a later director goes on with (PINNED_LAYOUT) are `counters`, `buckets` of limit.h and all of
// flows.h; all others it fills anew. It reads `limits` and `filters`, too.

#pragma once

#include "address.h"
#include "endpoints.h"
#include "memory.h"

// Queues of one interface at most; the director refuses more.
#define QUEUES 64

// Goes up with each change of a map that a later director goes on with or reads.
#define PINNED_LAYOUT 11

// Who has pinned these maps.
struct record {
	__u32 layout;
	__u32 zero;
	__u64 network; // number of the network namespace
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct record);
} record SEC(".maps");

enum counter {
	RECEIVED, // and not FORWARDED: that would be a second one for each packet of a flow
	PASSED,
	REDIRECTED,
	FORWARDED,
	ANSWERED, // a SYN of a service with cookies
	NO_SOCKET,
	DENIED,
	BLACK_HOLED,
	BOGON,
	REVERSE_PATH,
	REGION,
	SOURCE_LIMIT,
	SERVICE_LIMIT,
	BAD_COOKIE, // neither of a connection nor with a cookie
	RESET_HEARD, // by which a client shows that it is there
	FIRST_DATAGRAM, // of a client that has to come twice
	TCP_FLAGS, // together in a way that no TCP sends
	BAD_TCP_OFFSET,
	COUNTERS,
	ADMITTED = COUNTERS, // nothing that is counted
};

// A rule that marks packets, the first one that fits. Fields that say nothing fit everything.
struct rule {
	struct address src;
	struct address src_mask;
	struct address dst;
	struct address dst_mask;
	__u16 src_first;
	__u16 src_last;
	__u16 dst_first;
	__u16 dst_last;
	__u16 port; // ANY_PORT
	__u8 protocol;
	__u8 wanted; // the families (V4, V6) in which a service has its mark
	__u32 region; // a bit; 0: wherever the source is
};

#define RULES 64
#define ANY_PORT 0xffff
#define V4 1
#define V6 2

struct rules {
	struct rule rule[RULES];
};

// Two lists, of which `scope` says which one holds: the other one is being written.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct rules);
} rules SEC(".maps");

// What there is beyond endpoints with a port.
struct scope {
	__u32 wide;	// whether endpoints without a port
	__u32 rules;	// how many rules
	__u32 list;	// in which list
	__u32 regional; // whether any of them names a region
};

struct scope scope MEMORY(scopes);

// Ports of one of the host's own addresses that the director speaks from; none when first > last.
struct own {
	__u16 first;
	__u16 last;
};

// The host's own addresses.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, struct own);
} locals SEC(".maps");

// Slot: port * QUEUES + queue.
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

// The Ethernet address of each port. What is for another station (a bridge floods it, or the
// interface listens to all) is not for the director.
__u64 stations[16] MEMORY(stations); // the 6 bytes as they come, and two of zero

// What was counted on a port, in one entry: a packet looks it up once.
#define COUNTS 32 // COUNTERS, up to a power of two

_Static_assert(COUNTERS <= COUNTS, "a counter has no room");

struct counts {
	__u64 of[COUNTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct counts);
} counters SEC(".maps");

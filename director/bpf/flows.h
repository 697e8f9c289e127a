// SPDX-License-Identifier: MIT
//
// The flow cache: connections that the director has established, as far as the gate needs them to
// forward their packets by itself. User space maps all of it into its memory and writes it; the
// gate writes courses, and tallies. Its Rust twin is src/gate/flows.rs.
//
//     flow_slots  tuple -> number of the flow and way         two slots a flow at most
//     flows     one a connection: what moves with its packets, and what becomes of them
//     wides     one beside each flow: its addresses in full, if they are not all of IPv4
//     splices   one beside each flow: how its halves differ, if they do
//     hops      next hops, shared        \ a flow is good as long as it names
//     reals     real servers, shared     / the present era of both
//     tallies   what was forwarded, by CPU and real server

#pragma once

#include "address.h"
#include "lanes.h"
#include "memory.h"

// Goes up with each change of a layout below, and PINNED_LAYOUT (maps.h) with it.
#define FLOWS_LAYOUT 4

// Words that are hashed: two addresses, ports, protocol; and a constant.
#define HASH_KEYS 11

struct head {
	__u32 layout;
	__u32 mask; // number of buckets - 1
	__u32 now;  // in ticks of 100 ms
	__u32 zero;
	__u64 keys[HASH_KEYS];
};

// A slot: hash in the upper half, below it number of the flow + 1 and, in bit 0, the way. Where the lower
// half is 0 nobody stands; where all of it is, nobody who is at home there stands elsewhere.
#define SLOTS 8

struct bucket {
	__u64 slot[SLOTS];
};

// How far the packets that go one way have come. Written by the gate; those of the other way read
// it, to hold their acknowledgements against it.
struct course {
	__u64 bytes; // of IP
	__u32 packets;
	__u32 end;    // after the highest byte sent
	__u32 ack;    // highest acknowledgement sent
	__u32 edge;   // what the other end may send up to; one-way: how far numbers may jump
	__u32 window; // largest window advertised, bytes
	__u32 seen;   // tick of the last packet
};

// Whose the packets are that go one way, and where they leave. Written by the director.
struct way {
	__be32 src; // IPv6: the last word
	__be32 dst;
	__be32 ports; // as they follow each other in a packet
	__u32 hop; // number and era; no number, no forwarding
	__u32 era; // of the real server
	__u16 longest; // IP packet that fits the next hop
	__u16 ip_change; // what is added to the complement of a checksum
	__u16 l4_change;
	__u8 shift; // of the window field
	__u8 zero;
};

enum shim {
	IPIP,
	GRE,
	GUE,
};

// Kinds of a flow, a bit each.
#define FLOW_V6 1
#define FLOW_TCP 2
#define FLOW_ONE_WAY 4   // the other way is never seen
#define FLOW_TRANSLATE 8 // addresses and ports change
#define FLOW_WRAP 16     // goes into a tunnel
#define FLOW_SPLICE 32   // the ends number what the real server says in different ways
#define FLOW_WIDE 64     // not all of its addresses are of IPv4

// The ways of a flow: from the client to the VIP, and from the real server to whom it talks to. What
// goes one way leaves with the ends of the other, mirrored. Of a tunnel, the way back has the ends of its
// outer header.
enum direction {
	THERE,
	BACK,
};

// Two cache lines side by side, of which a packet writes the first and reads both: what a packet
// costs among many flows are the lines, and the pages, that it is the first to meet.
struct flow {
	struct course course[2];
	struct way way[2];
	__u16 real;
	__u8 kind;
	__u8 shim; // which header comes after the outer IP header
	__u32 entropy; // of a tunnel
};

struct ends {
	struct address src;
	struct address dst;
};

// By way.
struct wide {
	struct ends ends[2];
};

// How far a sender shifts its windows, and how far their receiver does.
struct shifts {
	__u8 said;
	__u8 read;
};

struct splice {
	__u32 numbers; // what is added to the real server's, for the client
	__u32 clock;   // the same of its timestamps
	struct shifts there;
	struct shifts back;
	__u32 zero;
};

#define HOP_ERA_BITS 18
#define HOPS 16384

struct hop {
	__u16 dst[3];
	__u16 src[3];
	__u32 era;
	__u32 port;
	__u32 zero;
};

#define REALS 16384

struct real {
	__u32 era;
	__u32 zero;
};

// By way.
struct tally {
	__u64 packets[2];
	__u64 bytes[2];
};

#define SHARED_ARRAY(name, entry, count)                                                           \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(map_flags, BPF_F_MMAPABLE);                                                 \
		__uint(max_entries, count);                                                        \
		__type(key, __u32);                                                                \
		__type(value, entry);                                                              \
	} name SEC(".maps")

struct head head MEMORY(heads);
struct hop hops[HOPS] MEMORY(hops);
struct real reals[REALS] MEMORY(reals);

SHARED_ARRAY(flow_slots, struct bucket, 1); // as many as the configuration says
SHARED_ARRAY(flows, struct flow, 1);     // the same
SHARED_ARRAY(wides, struct wide, 1);     // the same
SHARED_ARRAY(splices, struct splice, 1); // the same
SHARED_ARRAY(tallies, struct tally, REALS); // as often as there are CPUs

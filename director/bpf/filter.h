// SPDX-License-Identifier: MIT
//
// The filters: whose packets the gate takes at all.
//
//     listed? -- allowed ------------------------------------------------------> in
//        |  `--- black hole, or denied and of no TCP connection --> dropped
//     a bogon, or not from where the way back leads? ------------> dropped
//        |
//        in; a packet for a service then passes its region (region.h) and the limits (limit.h)

#pragma once

#include "maps.h"
#include "parse.h"

// Of the C library's headers, which programs for the kernel do not have.
#define AF_INET 2
#define AF_INET6 10

// Lists that a network can be on.
#define ALLOW 1
#define DENY 2
#define BLACK_HOLE 3

// What is done with the packets of a network.
struct listing {
	__u64 until;   // by bpf_ktime_get_ns(); 0: for ever
	__u64 packets; // that it has decided about
	__u32 list;
	__u32 zero;
};

struct network_v4 {
	__u32 bits;
	__be32 addr;
};

struct network_v6 {
	__u32 bits;
	struct address addr;
};

#define LISTINGS (1 << 20)

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, LISTINGS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct network_v4);
	__type(value, struct listing);
} listed_v4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, LISTINGS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct network_v6);
	__type(value, struct listing);
} listed_v6 SEC(".maps");

// Networks that no packet from the internet can come from, of both families.
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct network_v6);
	__type(value, __u32);
} bogons SEC(".maps");

// What there is to filter. Ports are a bit each.
struct filter {
	__u32 listed; // the families (V4, V6) of which networks are listed
	__u32 bogons; // ports where bogons are dropped
	__u32 strict; // ports whose packets must come from where their answers go
	__u32 loose;  // ports where there must be a way back at all
	__u32 limits; // how many
	// Regions are a bit each (region.h).
	__u32 regions; // the families of which it is known where networks are
	__u32 outside; // regions that are all but what they name
	__u32 closed;  // regions that open no connections
	__u32 sealed;  // regions of which nothing is taken
	__u32 gap;     // between packets that are shown (sight.h); 0: none is
};

struct filter filter MEMORY(filters);

static __always_inline struct listing *in_force(struct listing *found)
{
	return found && found->until && bpf_ktime_get_ns() >= found->until ? 0 : found;
}

// The listing of who has sent a packet of IPv4, which is asked for before anything else is read.
static __always_inline struct listing *listing_v4(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct network_v4 network = { 32 };

	if (!(filter.listed & V4) || (void *)(ip + 1) > end ||
	    type_of(eth) != bpf_htons(ETH_P_IP))
		return 0;
	network.addr = ip->saddr;
	return in_force(bpf_map_lookup_elem(&listed_v4, &network));
}

static __always_inline struct listing *listing_v6(const struct address *from)
{
	struct network_v6 network = { 128, *from };

	return in_force(bpf_map_lookup_elem(&listed_v6, &network));
}

// Where the addresses of real servers fall, a bit each: few other addresses do, and those of a flood
// are looked up in little memory. src/gate/reals.rs says the same in Rust.
#define REAL_WORDS 64

__u64 real_bits[REAL_WORDS] MEMORY(real_bits);

static __always_inline bool may_be_real(const struct address *a)
{
	__u32 hash = (a->word[0] ^ a->word[1] ^ a->word[2] ^ a->word[3]) * 0x9e3779b1;

	return real_bits[hash >> 26] >> (hash >> 20 & 63) & 1;
}

// Real servers answer to whom they have been given: they are not filtered.
static __always_inline bool is_real(const struct address *from)
{
	struct endpoint whole = { .addr = *from };
	const struct standing *standing;

	if (!may_be_real(from))
		return false;
	standing = standing_of(&whole);
	return standing && standing->roles & REAL;
}

// A segment that opens nothing may be of a connection that was there before; the director knows.
static __always_inline bool may_be_known(const struct packet *p)
{
	return p->dst.protocol == IPPROTO_TCP && !opens(p);
}

static __always_inline enum counter noted(struct listing *listing)
{
	__sync_fetch_and_add(&listing->packets, 1);
	switch (listing->list) {
	case DENY:
		return DENIED;
	case BLACK_HOLE:
		return BLACK_HOLED;
	default:
		return ADMITTED;
	}
}

static __always_inline enum counter by_list(const struct packet *p, struct listing *listing)
{
	if (listing->list == DENY && may_be_known(p))
		return ADMITTED;
	if (listing->list != ALLOW && is_real(&p->from))
		return ADMITTED;
	return noted(listing);
}

// Whether an answer to the source would leave through the interface that the packet came in
// through (RFC 3704 2.2), or, where that is not asked for, at all (2.4).
static __always_inline bool leads_back(struct xdp_md *ctx, const struct address *from, bool strict)
{
	struct bpf_fib_lookup way = {};

	way.ifindex = ctx->ingress_ifindex;
	if (is_v4(from)) {
		way.family = AF_INET;
		way.ipv4_dst = from->word[3];
	} else {
		way.family = AF_INET6;
		__builtin_memcpy(way.ipv6_dst, from, sizeof(*from));
	}
	switch (bpf_fib_lookup(ctx, &way, sizeof(way), 0)) {
	case BPF_FIB_LKUP_RET_BLACKHOLE:
	case BPF_FIB_LKUP_RET_UNREACHABLE:
	case BPF_FIB_LKUP_RET_PROHIBIT:
	case BPF_FIB_LKUP_RET_NOT_FWDED:
		return false;
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_NO_NEIGH:
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		return !strict || way.ifindex == ctx->ingress_ifindex;
	default: // the kernel does not forward here and cannot tell
		return true;
	}
}

static __always_inline bool is_link_local(const struct address *from)
{
	return (from->word[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

__noinline enum counter by_origin(struct xdp_md *ctx, const struct address *from,
				  __u32 port)
{
	struct network_v6 one = { 128 };
	__u32 here = 1 << (port & 31);

	if (!ctx || !from)
		return ADMITTED;
	if (is_link_local(from))
		return ADMITTED;
	one.addr = *from;
	if (filter.bogons & here && bpf_map_lookup_elem(&bogons, &one))
		return BOGON;
	if ((filter.strict | filter.loose) & here &&
	    !leads_back(ctx, from, filter.strict & here))
		return REVERSE_PATH;
	return ADMITTED;
}

static __always_inline bool is_empty(const struct address *a)
{
	return !(a->word[0] | a->word[1] | a->word[2] | a->word[3]);
}

// Why a packet is not taken, or ADMITTED. `listing` is that of IPv4; `allowed` says whether a list lets
// it in.
static __always_inline enum counter filtered(struct xdp_md *ctx, const struct packet *p,
					     struct listing *listing, __u32 port, bool *allowed)
{
	if (is_empty(&p->from)) // neither IPv4 nor IPv6, or from nobody
		return ADMITTED;
	if (filter.listed & V6 && !is_v4(&p->from))
		listing = listing_v6(&p->from);
	if (listing) {
		*allowed = listing->list == ALLOW;
		return by_list(p, listing);
	}
	if (filter.bogons | filter.strict | filter.loose)
		return by_origin(ctx, &p->from, port);
	return ADMITTED;
}

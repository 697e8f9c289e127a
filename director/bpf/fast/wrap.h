// SPDX-License-Identifier: MIT
//
// Tunnels: the outer header of a datagram that goes to its real server in one, as
// src/forward/tunnel.rs writes it. Those with a checksum over the data are not the gate's.
//
//     Ethernet | IP 4 or 41                 | datagram        IPIP
//     Ethernet | IP 47 | GRE                | datagram        GRE
//     Ethernet | IP 17 | UDP | GUE          | datagram        GUE

#pragma once

#include "../ipv4.h"
#include "../parse.h"
#include "rewrite.h"

#define GRE_LENGTH 4
#define GUE_LENGTH 12 // UDP and GUE

// The first of the dynamic ports, which bear the entropy of GUE.
#define DYNAMIC_PORTS 0xc000

// What the outer header takes from the datagram, which has one hop less to live already.
struct inner {
	__u32 length;
	__be16 ethertype;
	__u8 protocol; // of an outer header
	__u8 class;
	__u8 hops;
	bool may_fragment;
};

// What goes before a datagram.
struct outer {
	__u32 shim; // bytes behind the IP header: of IPIP none
	bool v4;
};

static __always_inline struct outer outer_of(const struct found *f)
{
	__u8 shim = f->flow->shim;

	return (struct outer){
		shim == GUE ? GUE_LENGTH : shim == GRE ? GRE_LENGTH : 0,
		!f->wide || is_v4(&f->wide->ends[BACK].src),
	};
}

static __always_inline __u32 ip_length(const struct outer *o)
{
	return o->v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

static __always_inline __u8 protocol_of(const struct outer *o, const struct inner *inner)
{
	return !o->shim ? inner->protocol : o->shim == GRE_LENGTH ? IPPROTO_GRE : IPPROTO_UDP;
}

// Takes a hop off the datagram at `at`, and reads it.
static __always_inline bool enter(void *at, void *end, bool v6, struct inner *inner)
{
	if (v6) {
		struct ipv6hdr *ip = at;

		if ((void *)(ip + 1) > end)
			return false;
		ip->hop_limit--;
		inner->ethertype = bpf_htons(ETH_P_IPV6);
		inner->protocol = IPPROTO_IPV6;
		inner->class = bpf_ntohl(*(__be32 *)ip) >> 20;
		inner->hops = ip->hop_limit;
		inner->may_fragment = true;
	} else {
		struct iphdr *ip = at;

		if ((void *)(ip + 1) > end)
			return false;
		take_hop(ip);
		inner->ethertype = bpf_htons(ETH_P_IP);
		inner->protocol = IPPROTO_IPIP;
		inner->class = ip->tos;
		inner->hops = ip->ttl;
		inner->may_fragment = !(ip->frag_off & bpf_htons(IP_DONT_FRAGMENT));
	}
	return true;
}

static __always_inline bool write_v4(struct iphdr *ip, void *end, const struct found *f,
				     const struct outer *o, const struct inner *inner)
{
	const struct flow *flow = f->flow;
	const struct way *ends = &flow->way[BACK];
	__u16 length = sizeof(*ip) + o->shim + inner->length;
	__u16 id = flow->entropy + flow->course[THERE].packets;
	struct ipv4_start start = {
		bpf_htonl(0x45000000 | inner->class << 16 | length),
		bpf_htonl(inner->may_fragment ? id << 16 : IP_DONT_FRAGMENT),
		bpf_htonl(inner->hops << 24 | protocol_of(o, inner) << 16),
	};

	if ((void *)(ip + 1) > end)
		return false;
	write_ipv4(ip, &start, ends->dst, ends->src);
	return true;
}

static __always_inline bool write_v6(struct ipv6hdr *ip, void *end, const struct found *f,
				     const struct outer *o, const struct inner *inner)
{
	const struct flow *flow = f->flow;

	if ((void *)(ip + 1) > end || !f->wide)
		return false;
	*(__be32 *)ip =
		bpf_htonl(6u << 28 | (__u32)inner->class << 20 | (flow->entropy & 0xfffff));
	ip->payload_len = bpf_htons(o->shim + inner->length);
	ip->nexthdr = protocol_of(o, inner);
	ip->hop_limit = inner->hops;
	__builtin_memcpy(&ip->saddr, &f->wide->ends[BACK].dst, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &f->wide->ends[BACK].src, sizeof(ip->daddr));
	return true;
}

static __always_inline bool write_shim(void *at, void *end, const struct flow *flow,
				       const struct outer *o, const struct inner *inner)
{
	__be16 *half = at;

	if (!o->shim)
		return true;
	if (o->shim == GRE_LENGTH) {
		if (at + GRE_LENGTH > end)
			return false;
		half[0] = 0;
		half[1] = inner->ethertype;
	} else {
		__u8 *gue = at + sizeof(struct udphdr);

		if (at + GUE_LENGTH > end)
			return false;
		half[0] = bpf_htons(DYNAMIC_PORTS | (flow->entropy & 0xffff));
		half[1] = (__be16)flow->way[BACK].ports;
		half[2] = bpf_htons(GUE_LENGTH + inner->length);
		half[3] = 0;
		gue[0] = 0;
		gue[1] = inner->protocol;
		gue[2] = 0;
		gue[3] = 0;
	}
	return true;
}

// Wraps a packet that has been made longer; false is impossible, but the verifier cannot know.
static __always_inline bool wrap(struct xdp_md *ctx, const struct found *f, const struct outer *o,
				 __u32 length)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	const struct flow *flow = f->flow;
	struct inner inner = { .length = length };
	void *ip = eth + 1;
	void *shim = ip + ip_length(o);

	if ((void *)(eth + 1) > end || !enter(shim + o->shim, end, flow->kind & FLOW_V6, &inner))
		return false;
	set_type(eth, o->v4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6));
	return (o->v4 ? write_v4(ip, end, f, o, &inner) : write_v6(ip, end, f, o, &inner)) &&
	       write_shim(shim, end, flow, o, &inner);
}

// SPDX-License-Identifier: MIT
//
// What stands between the outer header and the inner one: nothing (IPIP), GRE, or UDP and GUE.

#pragma once

#include <linux/udp.h>

#include "packet.h"

// GRE, RFC 2784 2 and RFC 2890 2.
#define GRE_CHECKSUM 0x8000

struct gre {
	__be16 flags; // and version
	__be16 protocol;
};

struct gre_sum {
	__be16 sum;
	__be16 reserved;
};

// GUE, draft-ietf-intarea-gue 3, and include/net/gue.h for the private flags.
#define GUE_VARIANT(first) ((first) >> 6)
#define GUE_CONTROL 0x20
#define GUE_WORDS(first) ((first) & 0x1f)
#define GUE_PRIVATE 0x0001
#define GUE_REMOTE_SUM 0x80000000

struct gue {
	__u8 first; // variant, control, words of options
	__u8 protocol;
	__be16 flags;
};

struct gue_remote_sum {
	__be32 flags;
	__be16 from; // both from the start of the inner packet
	__be16 to;
};

const volatile __be16 GUE_PORT;

// A bit for each of IPIP, GRE and GUE.
const volatile __u32 TUNNELS;

static __always_inline enum outcome wanted(enum outcome tunnel)
{
	return TUNNELS & 1 << tunnel ? tunnel : PASSED;
}

// IPIP, GRE, GUE, or PASSED for anything else.
static __always_inline enum outcome tunnel_of(struct __sk_buff *skb, const struct packet *p)
{
	struct udphdr udp;

	switch (p->protocol) {
	case IPPROTO_IPIP:
	case IPPROTO_IPV6:
		return wanted(IPIP);
	case IPPROTO_GRE:
		return wanted(GRE);
	case IPPROTO_UDP:
		return !LOAD(skb, p, &udp) && udp.dest == GUE_PORT ? wanted(GUE) : PASSED;
	default:
		return PASSED;
	}
}

static __always_inline enum outcome read_gre(struct __sk_buff *skb, struct packet *p)
{
	struct gre gre;
	__u32 start = p->at;

	if (LOAD(skb, p, &gre))
		return MALFORMED;
	if (gre.flags & ~bpf_htons(GRE_CHECKSUM))
		return FORM;
	p->at += sizeof(gre);
	if (gre.flags) {
		// Of merged packets, the receiver has checked each.
		if (!skb->gso_size && sum(skb, start, p->end) != 0xffff)
			return CHECKSUM;
		p->at += sizeof(struct gre_sum);
	}
	p->inner = gre.protocol;
	return READ_ON;
}

// The only option that is known: the sender leaves the inner checksum to us.
static __always_inline enum outcome read_gue_options(struct __sk_buff *skb, struct packet *p)
{
	struct gue_remote_sum remote;

	if (LOAD(skb, p, &remote))
		return MALFORMED;
	if (remote.flags != bpf_htonl(GUE_REMOTE_SUM) || skb->gso_size)
		return FORM;
	p->at += sizeof(remote);
	p->sum_from = p->at + bpf_ntohs(remote.from);
	p->sum_to = p->at + bpf_ntohs(remote.to);
	if (p->sum_from > p->sum_to || p->sum_to + sizeof(__u16) > p->end)
		return MALFORMED;
	return READ_ON;
}

static __always_inline enum outcome read_gue_header(struct __sk_buff *skb, struct packet *p)
{
	struct gue gue;
	__u32 options;

	if (LOAD(skb, p, &gue))
		return MALFORMED;
	options = GUE_WORDS(gue.first) * 4;
	if (gue.first & GUE_CONTROL)
		return FORM;
	p->at += sizeof(gue);
	p->protocol = gue.protocol;
	if (gue.flags == 0 && options == 0)
		return READ_ON;
	if (gue.flags == bpf_htons(GUE_PRIVATE) && options == sizeof(struct gue_remote_sum))
		return read_gue_options(skb, p);
	return FORM;
}

// An inner packet right behind the UDP header: its version begins with the bits 01.
static __always_inline enum outcome read_gue_direct(struct packet *p, __u8 first)
{
	p->protocol = first >> 4 == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	return READ_ON;
}

// The outer UDP checksum is not looked at: a sender on the same machine may have left it to
// hardware that is not there, and the inner packet has its own.
static __always_inline enum outcome read_gue(struct __sk_buff *skb, struct packet *p)
{
	struct udphdr udp;
	__u32 end;
	__u8 first;

	if (LOAD(skb, p, &udp))
		return MALFORMED;
	end = end_of(skb, p->at + bpf_ntohs(udp.len));
	if (end > p->end)
		return MALFORMED;
	p->end = end;
	p->at += sizeof(udp);
	if (LOAD(skb, p, &first))
		return MALFORMED;
	switch (GUE_VARIANT(first)) {
	case 0:
		return read_gue_header(skb, p);
	case 1:
		return read_gue_direct(p, first);
	default:
		return FORM;
	}
}

// Leaves `at` at the inner packet, and its kind in `inner`.
static __always_inline enum outcome read_tunnel(struct __sk_buff *skb, struct packet *p,
						enum outcome tunnel)
{
	enum outcome outcome = READ_ON;

	if (tunnel == GRE)
		return read_gre(skb, p);
	if (tunnel == GUE)
		outcome = read_gue(skb, p);
	if (p->protocol == IPPROTO_IPIP)
		p->inner = bpf_htons(ETH_P_IP);
	if (p->protocol == IPPROTO_IPV6)
		p->inner = bpf_htons(ETH_P_IPV6);
	return outcome;
}

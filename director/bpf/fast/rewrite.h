// SPDX-License-Identifier: MIT
//
// What is done to a packet on its way: one hop less to live, addresses and ports of the other side,
// the next hop's stations. Checksums are brought after it (RFC 1624); what is wrong before is wrong
// after, so that the end host still finds out.

#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "find.h"
#include "splice.h"

// What a TTL that is one less adds to the complement of the header's checksum, and to the checksum.
#define ONE_HOP_LESS bpf_htons(0xfeff)
#define ONE_HOP_BACK bpf_htons(0x0100)

static __always_inline __u16 changed(__u16 checksum, __u32 change)
{
	__u32 sum = (__u16)~checksum + change;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

// Of a header that does not change otherwise (RFC 1141, which a sound checksum allows).
static __always_inline void take_hop(struct iphdr *ip)
{
	__u32 check = ip->check + ONE_HOP_BACK;

	ip->ttl--;
	ip->check = check + (check >= 0xffff);
}

static __always_inline void set_stations(struct ethhdr *eth, const struct hop *hop)
{
	*(__u64 *)eth = *(const __u64 *)hop;
	*((__u32 *)eth + 2) = *((const __u32 *)hop + 2);
}

// Headers are there, as who read them has found; the checks are for the verifier, which has
// forgotten it.

static __always_inline void set_ports(void *l4, void *end, const struct found *f)
{
	__be32 *ports = l4, mirrored = way_of(f->flow, !f->back)->ports;
	struct tcphdr *tcp = l4;
	__u32 change = f->way->l4_change;

	if ((void *)(ports + 1) > end)
		return;
	*ports = mirrored << 16 | mirrored >> 16;
	if (f->flow->kind & FLOW_TCP) {
		if ((void *)(tcp + 1) > end)
			return;
		if (f->splice)
			change += f->back ? splice_back(tcp, end, f->splice) :
					    splice_there(tcp, end, f->splice);
		tcp->check = changed(tcp->check, change);
	} else {
		struct udphdr *udp = l4;

		if ((void *)(udp + 1) <= end && udp->check)
			udp->check = changed(udp->check, change) ?: 0xffff;
	}
}

static __always_inline void rewrite_v4(struct iphdr *ip, void *end, const struct found *f)
{
	if ((void *)(ip + 1) > end)
		return;
	if (!(f->flow->kind & FLOW_TRANSLATE))
		return take_hop(ip);
	const struct way *other = way_of(f->flow, !f->back);

	ip->ttl--;
	ip->check = changed(ip->check, ONE_HOP_LESS + f->way->ip_change);
	ip->saddr = other->dst;
	ip->daddr = other->src;
	set_ports(ip + 1, end, f);
}

static __always_inline void rewrite_v6(struct ipv6hdr *ip, void *end, const struct found *f)
{
	if ((void *)(ip + 1) > end)
		return;
	ip->hop_limit--;
	if (f->flow->kind & FLOW_TRANSLATE && f->wide) {
		const struct ends *ends = &f->wide->ends[!f->back];

		__builtin_memcpy(&ip->saddr, &ends->dst, sizeof(ip->saddr));
		__builtin_memcpy(&ip->daddr, &ends->src, sizeof(ip->daddr));
		set_ports(ip + 1, end, f);
	}
}

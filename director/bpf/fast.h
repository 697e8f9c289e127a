// SPDX-License-Identifier: MIT
//
// The fast path: packets of connections that the director has established.
//
//     read -> find -> still valid? -> fits? -> within its windows? -> count -> rewrite -> send
//
// It decides nothing. SYN, FIN, RST, fragments, options, what is out of its windows and what
// misses in any other way is left to the director.

#pragma once

#include "fast/find.h"
#include "fast/rewrite.h"
#include "fast/window.h"
#include "fast/wrap.h"
#include "parse.h"
#include "sum.h"

#define MISS -1

// A packet under way.
struct trip {
	struct found found;
	const struct hop *hop;
	__u32 length; // of the IP packet
};

// Whether what the director has known when it entered the flow still holds, and the interface
// delivers.
static __always_inline const struct hop *hop_of(const struct found *f)
{
	const struct way *way = f->way;
	const struct hop *hop = &hops[way->hop >> HOP_ERA_BITS & (HOPS - 1)];
	const struct real *real = &reals[f->flow->real & (REALS - 1)];
	bool holds;

	barrier_var(hop);
	holds = real->era == way->era && hop->era == (way->hop & ((1 << HOP_ERA_BITS) - 1));
	return holds && lanes[hop->port & (LANES - 1)].on ? hop : NULL;
}

// Whether the packet may go to its next hop, `whole` bytes long with what stands behind it: drivers look at
// that too, and the director leaves it behind.
static __always_inline bool is_fit(struct trip *t, __u32 whole)
{
	t->hop = hop_of(&t->found);
	return t->hop && whole <= t->found.way->longest;
}

static __always_inline void tally(const struct found *f, __u32 length)
{
	__u32 row = bpf_get_smp_processor_id() * REALS + f->flow->real;
	struct tally *tally = bpf_map_lookup_elem(&tallies, &row);
	struct course *course = course_of(f->flow, f->back);

	course->packets += 1;
	course->bytes += length;
	course->seen = head.now;
	if (tally) {
		tally->packets[f->back] += 1;
		tally->bytes[f->back] += length;
	}
}

// Whether the packet, whose transport header and data are `length` bytes long, may go by itself.
static __always_inline bool may_go(const struct found *f, void *l4, void *end, __u32 length)
{
	struct tcphdr *tcp;
	struct udphdr *udp;
	struct claim claim;

	barrier_var(l4); // or clang leaves checks out that follow from the length; the verifier does not see it
	tcp = l4;
	udp = l4;
	if (!(f->flow->kind & FLOW_TCP))
		return (void *)(udp + 1) <= end && length >= sizeof(*udp) &&
		       bpf_ntohs(udp->len) == length;
	if ((void *)(tcp + 1) > end || !read_claim(tcp, end, length, &claim))
		return false;
	if (f->splice && !f->back)
		mean_claim(f->splice, &claim);
	return moves(f, &claim);
}

// Whether there may be a flow for it at all.
static __always_inline bool is_worth_looking(__u8 protocol, void *l4, void *end)
{
	return protocol == IPPROTO_TCP ? goes_on(l4, end) : protocol == IPPROTO_UDP;
}

// A length as it stands in a header. Verifiers before 6.6 forget at a swap of bytes that it has 16
// bits only, and clang knows it too well to keep the mask.
static __always_inline __u32 length_of(__be16 field)
{
	__u32 length = bpf_ntohs(field);

	barrier_var(length);
	return length & 0xffff;
}

// Whether the IPv4 header of 20 bytes has its checksum right.
static __always_inline bool is_sound(const struct iphdr *ip)
{
	const __u32 *word = (const __u32 *)ip;

	return folded_twice((__u64)word[0] + word[1] + word[2] + word[3] + word[4]) == 0xffff;
}

static __always_inline bool read_v4_flow(struct iphdr *ip, void *end, struct trip *t)
{
	__be32 *ports = (void *)(ip + 1);
	struct tuple tuple = {};

	if ((void *)(ports + 1) > end || *(__u8 *)ip != 0x45 || ip->ttl < 2 ||
	    ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_OFFSET) ||
	    !is_worth_looking(ip->protocol, ports, end))
		return false;
	tuple.src = &ip->saddr;
	tuple.dst = &ip->daddr;
	tuple.ports = *ports;
	tuple.protocol = ip->protocol;
	tuple.kind = ip->protocol == IPPROTO_TCP ? FLOW_TCP : 0;
	t->length = length_of(ip->tot_len);
	return find(&tuple, end, &t->found) && t->length >= sizeof(*ip) &&
	       (void *)ip + t->length <= end && is_sound(ip) && is_fit(t, end - (void *)ip) &&
	       may_go(&t->found, ports, end, t->length - sizeof(*ip));
}

static __always_inline bool read_v6_flow(struct ipv6hdr *ip, void *end, struct trip *t)
{
	__be32 *ports = (void *)(ip + 1);
	struct tuple tuple = {};

	if ((void *)(ports + 1) > end || *(__u8 *)ip >> 4 != 6 || ip->hop_limit < 2 ||
	    !is_worth_looking(ip->nexthdr, ports, end))
		return false;
	tuple.src = ip->saddr.in6_u.u6_addr32;
	tuple.dst = ip->daddr.in6_u.u6_addr32;
	tuple.ports = *ports;
	tuple.protocol = ip->nexthdr;
	tuple.kind = FLOW_V6 | (ip->nexthdr == IPPROTO_TCP ? FLOW_TCP : 0);
	t->length = length_of(ip->payload_len) + sizeof(*ip);
	return find(&tuple, end, &t->found) && (void *)ip + t->length <= end && is_fit(t, end - (void *)ip) &&
	       may_go(&t->found, ports, end, t->length - sizeof(*ip));
}

// Sends a packet whose headers are as they leave, but for the stations. Never by XDP_TX, where it
// goes back the way it came: veth loses it then without a word, although it has been put into the
// ring of the far end.
static __always_inline int send(struct xdp_md *ctx, const struct hop *hop)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP; // impossible
	set_stations(eth, hop);
	return bpf_redirect_map(&exits, hop->port, XDP_DROP);
}

// By a tunnel. Where a frame has no room at its front, the director has.
static __always_inline int send_wrapped(struct xdp_md *ctx, const struct trip *t)
{
	struct outer outer = outer_of(&t->found);

	if (bpf_xdp_adjust_head(ctx, -(int)(ip_length(&outer) + outer.shim)))
		return MISS;
	tally(&t->found, t->length);
	if (!wrap(ctx, &t->found, &outer, t->length))
		return XDP_DROP; // impossible
	return send(ctx, t->hop);
}

// Forwards a packet, or leaves it as it was.
static __always_inline int forward(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	void *ip = eth + 1;
	struct trip t;
	bool v4;

	if (ip > end)
		return MISS;
	v4 = type_of(eth) == bpf_htons(ETH_P_IP);
	if (!v4 && type_of(eth) != bpf_htons(ETH_P_IPV6))
		return MISS;
	if (v4 ? !read_v4_flow(ip, end, &t) : !read_v6_flow(ip, end, &t))
		return MISS;
	if (t.found.flow->kind & FLOW_WRAP)
		return send_wrapped(ctx, &t);
	tally(&t.found, t.length);
	if (v4)
		rewrite_v4(ip, end, &t.found);
	else
		rewrite_v6(ip, end, &t.found);
	return send(ctx, t.hop);
}

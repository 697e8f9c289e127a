// SPDX-License-Identifier: MIT
//
// The inner packet: whole, and for this host.

#pragma once

#include "packet.h"

#define AF_INET 2
#define AF_INET6 10

// The kernel would not send it on: it is for this host, or this host does not forward.
static __always_inline bool stays_here(struct __sk_buff *skb, struct bpf_fib_lookup *fib)
{
	long answer;

	fib->ifindex = skb->ifindex;
	answer = bpf_fib_lookup(skb, fib, sizeof(*fib), 0);
	return answer == BPF_FIB_LKUP_RET_NOT_FWDED || answer == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

static __always_inline enum outcome judge_inner(struct packet *p, __u32 end, __u8 traffic_class)
{
	if (end > p->end)
		return MALFORMED;
	if (p->congested && (traffic_class & ECN_MASK) == ECN_NOT_ECT)
		return CONGESTION;
	return READ_ON;
}

static __always_inline enum outcome read_inner_v4(struct __sk_buff *skb, struct packet *p)
{
	struct bpf_fib_lookup fib = { .family = AF_INET };
	struct address dst;
	struct iphdr ip;

	if (LOAD(skb, p, &ip) || ip.version != 4 || ip.ihl < 5)
		return MALFORMED;
	if (bpf_ntohs(ip.tot_len) < ip.ihl * 4 && !skb->gso_size)
		return MALFORMED;
	set_v4(&dst, ip.daddr);
	fib.l4_protocol = ip.protocol;
	fib.tos = ip.tos;
	fib.ipv4_src = ip.saddr;
	fib.ipv4_dst = ip.daddr;
	if (!is_in(&vips, &dst) || !stays_here(skb, &fib))
		return DESTINATION;
	return judge_inner(p, end_of(skb, p->at + bpf_ntohs(ip.tot_len)), ip.tos);
}

static __always_inline enum outcome read_inner_v6(struct __sk_buff *skb, struct packet *p)
{
	struct bpf_fib_lookup fib = { .family = AF_INET6 };
	struct address dst;
	struct ipv6hdr ip;
	__u32 end;

	if (LOAD(skb, p, &ip) || ip.version != 6)
		return MALFORMED;
	set_v6(&dst, &ip.daddr);
	fib.l4_protocol = ip.nexthdr;
	__builtin_memcpy(fib.ipv6_src, &ip.saddr, sizeof(fib.ipv6_src));
	__builtin_memcpy(fib.ipv6_dst, &ip.daddr, sizeof(fib.ipv6_dst));
	if (!is_in(&vips, &dst) || !stays_here(skb, &fib))
		return DESTINATION;
	end = end_of(skb, p->at + sizeof(ip) + bpf_ntohs(ip.payload_len));
	return judge_inner(p, end, traffic_class(&ip));
}

static __always_inline enum outcome read_inner(struct __sk_buff *skb, struct packet *p)
{
	switch (p->inner) {
	case bpf_htons(ETH_P_IP):
		return read_inner_v4(skb, p);
	case bpf_htons(ETH_P_IPV6):
		return read_inner_v6(skb, p);
	default:
		return FORM;
	}
}

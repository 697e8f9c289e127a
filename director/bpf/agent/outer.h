// SPDX-License-Identifier: MIT
//
// The outer header.

#pragma once

#include "packet.h"

static __always_inline enum outcome read_outer_v4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr ip;

	if (LOAD(skb, p, &ip) || ip.version != 4 || ip.ihl < 5)
		return PASSED;
	set_v4(&p->src, ip.saddr);
	set_v4(&p->dst, ip.daddr);
	p->end = end_of(skb, p->at + bpf_ntohs(ip.tot_len));
	p->at += ip.ihl * 4;
	p->protocol = ip.protocol;
	p->plain = ip.ihl == 5 && !(ip.frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_OFFSET));
	p->congested = (ip.tos & ECN_MASK) == ECN_CE;
	return READ_ON;
}

// A packet with extension headers has their protocol, which is no tunnel's.
static __always_inline enum outcome read_outer_v6(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6hdr ip;

	if (LOAD(skb, p, &ip) || ip.version != 6)
		return PASSED;
	set_v6(&p->src, &ip.saddr);
	set_v6(&p->dst, &ip.daddr);
	p->at += sizeof(ip);
	p->end = end_of(skb, p->at + bpf_ntohs(ip.payload_len));
	p->protocol = ip.nexthdr;
	p->plain = true;
	p->congested = (traffic_class(&ip) & ECN_MASK) == ECN_CE;
	return READ_ON;
}

static __always_inline enum outcome read_outer(struct __sk_buff *skb, struct packet *p)
{
	p->at = ETH_HLEN;
	p->outer = skb->protocol;
	switch (p->outer) {
	case bpf_htons(ETH_P_IP):
		return read_outer_v4(skb, p);
	case bpf_htons(ETH_P_IPV6):
		return read_outer_v6(skb, p);
	default:
		return PASSED;
	}
}

// The stack would have judged the outer header: nobody else does when it is taken off.
static __always_inline enum outcome check_outer(struct __sk_buff *skb, const struct packet *p)
{
	if (!p->plain)
		return FORM;
	if (p->end > skb->len)
		return MALFORMED;
	if (p->outer == bpf_htons(ETH_P_IP) &&
	    sum(skb, ETH_HLEN, ETH_HLEN + sizeof(struct iphdr)) != 0xffff)
		return CHECKSUM;
	return READ_ON;
}

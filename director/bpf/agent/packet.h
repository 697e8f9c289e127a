// SPDX-License-Identifier: MIT
//
// A packet as far as it has been read.

#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "checksum.h"
#include "maps.h"

#define IP_MORE_FRAGMENTS 0x2000
#define IP_OFFSET 0x1fff

// RFC 3168 5: the low two bits of the traffic class.
#define ECN_MASK 3
#define ECN_NOT_ECT 0
#define ECN_CE 3

struct packet {
	struct address src; // of the outer header
	struct address dst;
	__u32 at;  // where reading goes on
	__u32 end; // where the packet ends; what follows in the frame is padding
	__be16 outer; // ETH_P_IP or ETH_P_IPV6
	__be16 inner;
	__u8 protocol; // of what stands at `at`
	bool plain;    // without options, and no fragment
	bool congested;
	// Remote checksum offload: a sum that is still to be made. None when `sum_to` is 0.
	__u32 sum_from;
	__u32 sum_to;
};

#define LOAD(skb, p, header) bpf_skb_load_bytes(skb, (p)->at, header, sizeof(*(header)))

// What the receiver has merged (GRO) has the length of the whole, which can exceed the field.
static __always_inline __u32 end_of(struct __sk_buff *skb, __u32 said)
{
	return skb->gso_size ? skb->len : said;
}

static __always_inline __u8 traffic_class(const struct ipv6hdr *ip)
{
	return ip->priority << 4 | ip->flow_lbl[0] >> 4;
}

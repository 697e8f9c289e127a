// SPDX-License-Identifier: MIT
//
// Takes the outer header off.

#pragma once

#include "packet.h"

// include/uapi/linux/bpf.h since Linux 6.3.
#define DECAP_L3_IPV4 (1ULL << 7)
#define DECAP_L3_IPV6 (1ULL << 8)

#define ETH_PROTO_AT 12

// Makes the checksum that remote checksum offload left to us, as hardware would have.
static __always_inline bool make_sum(struct __sk_buff *skb, const struct packet *p)
{
	__u16 made = ~sum(skb, p->sum_from, p->end);

	return !bpf_skb_store_bytes(skb, p->sum_to, &made, sizeof(made), BPF_F_RECOMPUTE_CSUM);
}

// Inner segments of a merged packet (GRO) keep their size, so its GSO size is fixed.
static __always_inline __u64 flags_of(const struct packet *p)
{
	__u64 family = p->inner == bpf_htons(ETH_P_IP) ? DECAP_L3_IPV4 : DECAP_L3_IPV6;

	return BPF_F_ADJ_ROOM_FIXED_GSO | (p->inner != p->outer ? family : 0);
}

// RFC 6040 4.2: the mark of a congested router on the way goes over to the inner packet.
static __always_inline bool mark_congested(struct __sk_buff *skb)
{
	__u32 headers = ETH_HLEN + sizeof(struct ipv6hdr);

	if (headers > skb->len)
		headers = skb->len;
	return !bpf_skb_pull_data(skb, headers) && bpf_skb_ecn_set_ce(skb);
}

static __always_inline bool strip(struct __sk_buff *skb, const struct packet *p)
{
	__s32 outer = p->at - ETH_HLEN;

	if (p->sum_to && !make_sum(skb, p))
		return false;
	if (bpf_skb_adjust_room(skb, -outer, BPF_ADJ_ROOM_MAC, flags_of(p)))
		return false;
	if (p->inner != p->outer &&
	    bpf_skb_store_bytes(skb, ETH_PROTO_AT, &p->inner, sizeof(p->inner), 0))
		return false;
	bpf_set_hash_invalid(skb); // the outer one's; the flow is the inner one
	return !p->congested || mark_congested(skb);
}

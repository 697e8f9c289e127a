// SPDX-License-Identifier: MIT
//
// Makes a SYN its own answer: a SYN+ACK with a cookie, in the frame that the SYN came in.

#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "options.h"
#include "service.h"

// What is advertised beside the MSS. The agent says the same to the real server's kernel.
#define OUR_WINDOW 64240
#define OUR_SCALE 7
#define OUR_TTL 64

#define WORDS 5 // MSS, timestamps in three, scale

// A SYN that is to be answered, and the answer's options.
struct reply {
	__u32 sequence;
	__u32 acknowledged;
	__u32 words[WORDS]; // in network order
	__u32 count;
	__u16 window;
	bool v4;
	bool ecn;
};

static __always_inline void add_word(struct reply *r, __u32 word)
{
	if (r->count < WORDS)
		r->words[r->count++] = bpf_htonl(word);
}

static __always_inline void add_options(struct reply *r, __u16 mss, const struct offer *offer,
					__u32 value, __u32 echo)
{
	add_word(r, OPTION_MSS << 24 | 4 << 16 | mss);
	if (offer->timestamps) {
		__u32 sack = offer->sack ? OPTION_SACK << 24 | 2 << 16 : 0x01010000;

		add_word(r, sack | OPTION_TIMESTAMPS << 8 | 10);
		add_word(r, value);
		add_word(r, echo);
	} else if (offer->sack) {
		add_word(r, 0x01010000 | OPTION_SACK << 8 | 2);
	}
	if (offer->scale != NO_SCALE)
		add_word(r, OPTION_NOP << 24 | OPTION_SCALE << 16 | 3 << 8 | OUR_SCALE);
}

static __always_inline __u16 folded(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static __always_inline void turn_ethernet(struct ethhdr *eth)
{
	__u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
}

// These two write the header and give the sum of the addresses, for the checksum of TCP.
static __always_inline __u64 turn_v4(struct iphdr *ip, __u16 length)
{
	__be32 src = ip->saddr;
	__u64 addresses = (__u64)ip->saddr + ip->daddr;

	ip->tos = 0;
	ip->tot_len = bpf_htons(sizeof(*ip) + length);
	ip->id = 0;
	ip->frag_off = bpf_htons(0x4000); // do not fragment
	ip->ttl = OUR_TTL;
	ip->saddr = ip->daddr;
	ip->daddr = src;
	ip->check = 0;
	ip->check = ~folded(addresses + (__u64)((__be32 *)ip)[0] + ((__be32 *)ip)[1] +
			    ((__be32 *)ip)[2]);
	return addresses;
}

static __always_inline __u64 turn_v6(struct ipv6hdr *ip, __u16 length)
{
	struct in6_addr src = ip->saddr;
	__u64 addresses = 0;

	*(__be32 *)ip = bpf_htonl(6 << 28);
	ip->payload_len = bpf_htons(length);
	ip->hop_limit = OUR_TTL;
	ip->saddr = ip->daddr;
	ip->daddr = src;
	for (int i = 0; i < 4; i++)
		addresses += (__u64)ip->saddr.in6_u.u6_addr32[i] + ip->daddr.in6_u.u6_addr32[i];
	return addresses;
}

static __always_inline void turn_tcp(struct tcphdr *tcp, const struct reply *r)
{
	__be16 port = tcp->source;

	tcp->source = tcp->dest;
	tcp->dest = port;
	tcp->seq = bpf_htonl(r->sequence);
	tcp->ack_seq = bpf_htonl(r->acknowledged);
	((__u8 *)tcp)[12] = (5 + r->count) << 4;
	((__u8 *)tcp)[13] = 0x12 | (r->ecn ? 0x40 : 0); // SYN, ACK, ECE
	tcp->window = bpf_htons(r->window);
	tcp->check = 0;
	tcp->urg_ptr = 0;
}

// The frame gets as long as the answer; false when it cannot.
static __always_inline bool write_answer(struct xdp_md *ctx, const struct reply *r)
{
	__u32 headers = ETH_HLEN + (r->v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	__u16 length = sizeof(struct tcphdr) + r->count * 4;
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 present = end - data;
	struct tcphdr *tcp;
	__u64 sum;

	barrier_var(present); // or clang subtracts in an order that the verifier refuses
	if (bpf_xdp_adjust_tail(ctx, (int)(headers + length) - (int)present))
		return false;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	tcp = data + headers;
	if ((void *)(tcp + 1) > end)
		return false;
	turn_ethernet(data);
	sum = r->v4 ? turn_v4(data + ETH_HLEN, length) : turn_v6(data + ETH_HLEN, length);
	turn_tcp(tcp, r);
	sum += bpf_htonl(IPPROTO_TCP) + (__u64)bpf_htonl(length);
	for (int i = 0; i < 5; i++)
		sum += ((__be32 *)tcp)[i];
	for (int i = 0; i < WORDS && i < r->count; i++) {
		__be32 *at = (__be32 *)(tcp + 1) + i;

		if ((void *)(at + 1) > end)
			return false;
		*at = r->words[i];
		sum += r->words[i];
	}
	tcp->check = ~folded(sum);
	return true;
}

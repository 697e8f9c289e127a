// SPDX-License-Identifier: MIT
//
// Makes a SYN its own answer: a SYN+ACK with a cookie, in the frame that the SYN came in.

#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "../maps.h"
#include "../ipv4.h"
#include "options.h"
#include "service.h"

// What is advertised beside the MSS. The agent says the same to the real server's kernel.
#define OUR_WINDOW 64240
#define OUR_SCALE 7
#define OUR_TTL 64

#define WORDS 5 // MSS, timestamps in three, scale
#define WORDS_ROOM 8

// A SYN that is to be answered, and the answer's options.
struct reply {
	__u32 sequence;
	__u32 acknowledged;
	__u32 words[WORDS_ROOM]; // in network order
	__u32 count;
	__u16 window;
	bool v4;
	bool ecn;
};

static __always_inline void add_word(struct reply *r, __u32 word)
{
	__u32 at = r->count++;

	barrier_var(at); // or clang leaves the mask out, and Linux 6.1 has forgotten the bounds
	r->words[at & (WORDS_ROOM - 1)] = bpf_htonl(word);
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

// The addresses of both stations. (struct ethhdr is packed: clang would go byte by byte.)
static __always_inline void turn_ethernet(struct station *to)
{
	struct station own = *to;

	to[0] = to[1];
	to[1] = own;
}

// These two write the header and give the sum of the addresses, for the checksum of TCP.
static __always_inline __u64 turn_v4(struct iphdr *ip, __u16 length)
{
	struct ipv4_start start = {
		bpf_htonl(0x45000000 | (sizeof(*ip) + length)),
		bpf_htonl(IP_DONT_FRAGMENT),
		bpf_htonl(OUR_TTL << 24 | IPPROTO_TCP << 16),
	};

	return write_ipv4(ip, &start, ip->daddr, ip->saddr);
}

static __always_inline __u64 turn_v6(struct ipv6hdr *ip, __u16 length)
{
	__be32 *src = ip->saddr.in6_u.u6_addr32, *dst = ip->daddr.in6_u.u6_addr32;
	__u64 addresses = 0;

	*(__be32 *)ip = bpf_htonl(6 << 28);
	ip->payload_len = bpf_htons(length);
	ip->hop_limit = OUR_TTL;
	for (int i = 0; i < 4; i++) {
		__be32 from = src[i], to = dst[i];

		addresses += (__u64)from + to;
		src[i] = to;
		dst[i] = from;
	}
	return addresses;
}

// Writes the header but for its checksum, and gives the sum of its words.
static __always_inline __u64 turn_tcp(struct tcphdr *tcp, const struct reply *r)
{
	__u32 flags = 0x12 | (r->ecn ? 0x40 : 0); // SYN, ACK, ECE
	__be32 *word = (__be32 *)tcp;
	__be32 ports = word[0] << 16 | word[0] >> 16;
	__be32 sequence = bpf_htonl(r->sequence);
	__be32 acknowledged = bpf_htonl(r->acknowledged);
	__be32 rest = bpf_htonl((5 + r->count) << 28 | flags << 16 | r->window);

	word[0] = ports;
	word[1] = sequence;
	word[2] = acknowledged;
	word[3] = rest;
	tcp->urg_ptr = 0;
	return (__u64)ports + sequence + acknowledged + rest;
}

// Makes the frame as long as the answer, or as Ethernet's shortest: what fills it up then is left of
// the SYN. False when it cannot be.
static __always_inline bool fit(struct xdp_md *ctx, __u32 wanted)
{
	__u32 present = (void *)(long)ctx->data_end - (void *)(long)ctx->data;

	barrier_var(present); // or clang subtracts in an order that the verifier refuses
	if (wanted < ETH_ZLEN)
		wanted = ETH_ZLEN;
	return wanted == present || !bpf_xdp_adjust_tail(ctx, (int)wanted - (int)present);
}

// False when there is no room for it.
static __always_inline bool write_answer(struct xdp_md *ctx, const struct reply *r)
{
	__u32 headers = ETH_HLEN + (r->v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	__u16 length = sizeof(struct tcphdr) + r->count * 4;
	void *data, *end;
	struct tcphdr *tcp;
	__u64 sum;

	if (!fit(ctx, headers + length))
		return false;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	tcp = data + headers;
	if ((void *)(tcp + 1) > end)
		return false;
	turn_ethernet(data);
	sum = r->v4 ? turn_v4(data + ETH_HLEN, length) : turn_v6(data + ETH_HLEN, length);
	sum += turn_tcp(tcp, r) + bpf_htonl(IPPROTO_TCP) + (__u64)bpf_htonl(length);
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

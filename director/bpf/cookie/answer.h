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

// A SYN that is to be answered.
struct reply {
	__u32 sequence;
	__u32 acknowledged;
	__u32 offer; // of its client, what is agreed to
	__u32 value; // timestamps
	__u32 echo;
	__u16 window;
	__u16 mss; // 0: there are no options
	bool v4;
};

// Writes words behind each other, and adds them up.
struct pen {
	__be32 *at;
	void *end;
	__u64 sum;
};

// False when there is no room.
static __always_inline bool put(struct pen *pen, __u32 word)
{
	__be32 *at = pen->at;
	__be32 written = bpf_htonl(word);

	if ((void *)(at + 1) > pen->end)
		return false;
	*at = written;
	pen->at = at + 1;
	pen->sum += written;
	return true;
}

// How many words its options are.
static __always_inline __u32 words_of(const struct reply *r)
{
	__u32 words = 1;

	if (!r->mss)
		return 0;
	if (r->offer & OFFERED_TIMESTAMPS)
		words += 3;
	else if (r->offer & OFFERED_SACK)
		words += 1;
	return scale_of(r->offer) == NO_SCALE ? words : words + 1;
}

static __always_inline bool put_timestamps(struct pen *pen, const struct reply *r)
{
	__u32 sack = r->offer & OFFERED_SACK ? OPTION_SACK << 24 | 2 << 16 : 0x01010000;

	return put(pen, sack | OPTION_TIMESTAMPS << 8 | 10) && put(pen, r->value) && put(pen, r->echo);
}

static __always_inline bool put_options(struct pen *pen, const struct reply *r)
{
	if (!r->mss)
		return true;
	if (!put(pen, OPTION_MSS << 24 | 4 << 16 | r->mss))
		return false;
	if (r->offer & OFFERED_TIMESTAMPS) {
		if (!put_timestamps(pen, r))
			return false;
	} else if (r->offer & OFFERED_SACK && !put(pen, 0x01010000 | OPTION_SACK << 8 | 2)) {
		return false;
	}
	return scale_of(r->offer) == NO_SCALE ||
	       put(pen, OPTION_NOP << 24 | OPTION_SCALE << 16 | 3 << 8 | OUR_SCALE);
}

// Two stations of six bytes change places, in whole words.
static __always_inline void turn_ethernet(void *frame)
{
	__u64 first = *(__u64 *)frame;
	__u32 last = *(__u32 *)(frame + 8);

	*(__u64 *)frame = first >> 48 | (__u64)last << 16 | first << 48;
	*(__u32 *)(frame + 8) = first >> 16;
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

// Writes the header but for its checksum, of `length` bytes with its options, and gives the sum of its
// words.
static __always_inline __u64 turn_tcp(struct tcphdr *tcp, const struct reply *r, __u32 length)
{
	__u32 flags = r->offer & OFFERED_ECN ? 0x52 : 0x12; // SYN, ACK, ECE
	__be32 *word = (__be32 *)tcp;
	__be32 ports = word[0] << 16 | word[0] >> 16;
	__be32 sequence = bpf_htonl(r->sequence);
	__be32 acknowledged = bpf_htonl(r->acknowledged);
	__be32 rest = bpf_htonl(length << 26 | flags << 16 | r->window);

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
	__u32 length = sizeof(struct tcphdr) + words_of(r) * 4;
	struct tcphdr *tcp;
	struct pen pen;
	void *data;

	if (!fit(ctx, headers + length))
		return false;
	data = (void *)(long)ctx->data;
	tcp = data + headers;
	pen.at = (__be32 *)(tcp + 1);
	pen.end = (void *)(long)ctx->data_end;
	if ((void *)pen.at > pen.end)
		return false;
	turn_ethernet(data);
	pen.sum = r->v4 ? turn_v4(data + ETH_HLEN, length) : turn_v6(data + ETH_HLEN, length);
	pen.sum += turn_tcp(tcp, r, length) + bpf_htonl(IPPROTO_TCP) + (__u64)bpf_htonl(length);
	if (!put_options(&pen, r))
		return false;
	tcp->check = ~folded(pen.sum);
	return true;
}

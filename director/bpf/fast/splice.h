// SPDX-License-Identifier: MIT
//
// Connections whose halves were opened one after the other: what each end says of the other one's
// numbers, clock and window is made what the other one has said. src/forward/splice.rs says the same
// in Rust; the numbers that segments are judged by are the real server's own.

#pragma once

#include "window.h"

// A window that the sender has shifted in the one way, for a receiver that shifts it in the other.
static __always_inline __u32 rescaled(__u32 window, const struct shifts *by)
{
	__u32 units = window << (by->said & 15) >> (by->read & 15);

	return units < 0xffff ? units : 0xffff;
}

// What a client says, as its real server is to read it.
static __always_inline void mean_claim(const struct splice *splice, struct claim *s)
{
	s->ack -= splice->numbers;
	s->acked -= splice->numbers;
	s->window = rescaled(s->window, &splice->there);
}

static __always_inline __u32 halves(__u32 word)
{
	return (word & 0xffff) + (word >> 16);
}

// These change a field, and give what is added to the complement of the checksum.
static __always_inline __u32 add_to(__be32 *field, __u32 by)
{
	__be32 old = *field;

	*field = bpf_htonl(bpf_ntohl(old) + by);
	return halves(~old) + halves(*field);
}

static __always_inline __u32 rescale(struct tcphdr *tcp, const struct shifts *by)
{
	__be16 old = tcp->window;

	tcp->window = bpf_htons(rescaled(bpf_ntohs(old), by));
	return (__u16)~old + tcp->window;
}

static __always_inline __u32 shift_sack(__be32 *option, void *end, __u32 words, __u32 by)
{
	__u32 change = 0;

	for (__u32 i = 1; i <= 2 * SACK_BLOCKS; i++) {
		__be32 *edge = option + i;

		if (i >= words || (void *)(edge + 1) > end)
			break;
		change += add_to(edge, by);
	}
	return change;
}

// What the header has behind its first 20 bytes is known: read_claim has taken nothing else.
static __always_inline __u32 splice_there(struct tcphdr *tcp, void *end,
					  const struct splice *splice)
{
	__be32 *option = (void *)(tcp + 1);
	__u32 words = (((__u8 *)tcp)[12] >> 4) - 5;
	__u32 change = add_to(&tcp->ack_seq, -splice->numbers) + rescale(tcp, &splice->there);

	if (words < 3 || (void *)(option + 3) > end)
		return change;
	if (*option != TIMESTAMP)
		return change + shift_sack(option, end, words, -splice->numbers);
	change += add_to(option + 2, -splice->clock);
	if (words == 3)
		return change;
	return change + shift_sack(option + 3, end, words - 3, -splice->numbers);
}

static __always_inline __u32 splice_back(struct tcphdr *tcp, void *end,
					 const struct splice *splice)
{
	__be32 *option = (void *)(tcp + 1);
	__u32 words = (((__u8 *)tcp)[12] >> 4) - 5;
	__u32 change = add_to(&tcp->seq, splice->numbers) + rescale(tcp, &splice->back);

	if (words < 3 || (void *)(option + 3) > end || *option != TIMESTAMP)
		return change;
	return change + add_to(option + 1, splice->clock);
}

// SPDX-License-Identifier: MIT
//
// Whether a segment lies within the bounds of its connection: those of src/tcp/window.rs and
// src/tcp/tracking/one_way.rs. What does not is the director's to judge. What does moves them.

#pragma once

#include <linux/tcp.h>

#include "find.h"

#define ACK_SLACK 66000 // as in window.rs

// Flags, in byte 13 of the header.
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_URG 0x20

// NOP, NOP, a time stamp; and NOP, NOP, the beginning of SACK: so they are aligned by all (RFC 7323
// appendix A), and what else a segment of an established connection bears is rare.
#define TIMESTAMP bpf_htonl(0x0101080a)
#define SACK 0x010105
#define SACK_BLOCKS 3

struct claim {
	__u32 seq;
	__u32 ack;
	__u32 end;
	__u32 window; // not scaled
	__u32 acked; // the highest number that it acknowledges, by ACK or by SACK
};

static __always_inline bool after(__u32 a, __u32 b)
{
	return (__s32)(b - a) < 0;
}

static __always_inline __u32 later(__u32 a, __u32 b)
{
	return after(a, b) ? a : b;
}

static __always_inline __u32 away(__u32 a, __u32 b)
{
	__s32 gap = a - b;

	return gap < 0 ? -gap : gap;
}

// Reads SACK in the last `length` bytes of a header; false for other options.
static __always_inline bool read_sack(const __be32 *option, void *end, __u32 length,
				      struct claim *s)
{
	__u32 blocks = (length - 4) / 8;
	__u32 head;

	if ((void *)(option + 1) > end)
		return false;
	head = bpf_ntohl(*option);
	if (head >> 8 != SACK || (head & 0xff) != 2 + blocks * 8 || length != 4 + blocks * 8)
		return false;
	for (__u32 i = 0; i < SACK_BLOCKS; i++) {
		const __be32 *right = option + 2 + 2 * i;

		if (i >= blocks)
			break;
		if ((void *)(right + 1) > end)
			return false;
		s->acked = later(bpf_ntohl(*right), s->acked);
	}
	return blocks <= SACK_BLOCKS;
}

// Reads the options of a header of `length` bytes, its first 20 not counted.
static __always_inline bool read_known_options(const __be32 *option, void *end, __u32 length,
					 struct claim *s)
{
	if (!length)
		return true;
	if ((void *)(option + 1) > end)
		return false;
	if (*option != TIMESTAMP)
		return read_sack(option, end, length, s);
	return length == 12 || read_sack(option + 3, end, length - 12, s);
}

// Whether a segment neither opens nor ends anything. Asked before any look-up: a flood of SYNs is
// not worth one.
static __always_inline bool goes_on(const struct tcphdr *tcp, void *end)
{
	return (void *)(tcp + 1) <= end &&
	       (((__u8 *)tcp)[13] & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK | TCP_URG)) == TCP_ACK;
}

// Reads a segment of `length` bytes; false for options that nobody expects.
static __always_inline bool read_claim(const struct tcphdr *tcp, void *end, __u32 length,
					 struct claim *s)
{
	const __u8 *byte = (void *)tcp;
	__u32 header = (byte[12] >> 4) * 4;

	if (header > length || header < sizeof(*tcp))
		return false;
	s->seq = bpf_ntohl(tcp->seq);
	s->ack = bpf_ntohl(tcp->ack_seq);
	s->end = s->seq + length - header;
	s->window = bpf_ntohs(tcp->window);
	s->acked = s->ack;
	return read_known_options((void *)(tcp + 1), end, header - sizeof(*tcp), s);
}

static __always_inline bool is_within_windows(const struct course *sender,
					      const struct course *receiver,
					      const struct claim *s)
{
	__u32 slack = sender->window > ACK_SLACK ? sender->window : ACK_SLACK;

	return !after(s->seq, later(receiver->edge, sender->end)) &&     // I
	       !after(sender->end - receiver->window, s->end) &&         // II
	       !after(s->acked, receiver->end) &&                        // III
	       !after(sender->ack - slack, s->acked);                    // IV
}

static __always_inline bool is_near(const struct course *sender, const struct claim *s)
{
	__u32 seq = away(s->seq, sender->end);
	__u32 ack = away(s->ack, sender->ack);

	return !seq || !ack || (seq <= sender->edge && ack <= sender->edge);
}

static __always_inline bool moves(const struct found *f, const struct claim *s)
{
	struct course *sender = course_of(f->flow, f->back);
	__u32 window = s->window << (f->way->shift & 15);

	if (f->flow->kind & FLOW_ONE_WAY) {
		if (!is_near(sender, s))
			return false;
	} else {
		if (!is_within_windows(sender, course_of(f->flow, !f->back), s))
			return false;
		sender->edge = later(s->ack + (window ? window : 1), sender->edge);
	}
	sender->end = later(s->end, sender->end);
	sender->ack = later(s->ack, sender->ack);
	if (window > sender->window)
		sender->window = window;
	return true;
}

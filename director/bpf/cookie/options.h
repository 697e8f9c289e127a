// SPDX-License-Identifier: MIT
//
// The TCP options that a handshake is about (RFC 9293 3.2, RFC 7323, RFC 2018).

#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>

#include "../address.h"
#include "format.h"

#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_MSS 2
#define OPTION_SCALE 3
#define OPTION_SACK 4
#define OPTION_TIMESTAMPS 8

#define LARGEST_SCALE 14
#define DEFAULT_MSS 536 // RFC 9293 3.7.1

#define OPTION_BYTES 40 // at most, by the width of the data offset

struct options {
	__u32 value; // TSval
	__u32 echo;  // TSecr
	__u16 mss;
	__u8 scale;   // or NO_SCALE
	__u8 offered; // OFFERED_SACK, OFFERED_TIMESTAMPS
};

static __always_inline __u32 be32_at(const __u8 *at)
{
	return (__u32)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

static __always_inline void read_option(const __u8 *option, const void *end, struct options *o)
{
	__u8 kind = option[0], size = option[1];

	if (kind == OPTION_MSS && size == 4 && (void *)(option + 4) <= end) {
		o->mss = option[2] << 8 | option[3];
	} else if (kind == OPTION_SCALE && size == 3 && (void *)(option + 3) <= end) {
		o->scale = option[2] > LARGEST_SCALE ? LARGEST_SCALE : option[2];
	} else if (kind == OPTION_SACK && size == 2) {
		o->offered |= OFFERED_SACK;
	} else if (kind == OPTION_TIMESTAMPS && size == 10 && (void *)(option + 10) <= end) {
		o->offered |= OFFERED_TIMESTAMPS;
		o->value = be32_at(option + 2);
		o->echo = be32_at(option + 6);
	}
}

// Reads the options that stand from `at` on, as far as they can be walked, as end hosts do. A
// function of its own for the verifier, who would follow each of its ways on to the end otherwise.
__noinline int read_options(struct xdp_md *ctx, __u32 at, __u32 length, struct options *o)
{
	const void *end = (void *)(long)ctx->data_end;
	const __u8 *first;
	__u32 here = 0;

	if (!o)
		return 0;
	barrier_var(at); // or clang hides its bounds from the verifier
	first = (void *)(long)ctx->data + (at & 127);
	for (int i = 0; i < OPTION_BYTES && here < length; i++) {
		const __u8 *option;

		here &= 63;
		option = first + here;
		if ((void *)(option + 1) > end || option[0] == OPTION_END)
			break;
		if (option[0] == OPTION_NOP) {
			here++;
			continue;
		}
		if ((void *)(option + 2) > end || option[1] < 2 || here + option[1] > length)
			break;
		read_option(option, end, o);
		here += option[1];
	}
	return 0;
}

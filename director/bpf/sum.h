// SPDX-License-Identifier: MIT
//
// The internet checksum (RFC 1071), of words that are added up in 64 bits.

#pragma once

#include <linux/types.h>

// The sum of at most 255 words of 32 bits: the first step leaves 24 bits, the second 17. If nothing is
// wrong with a header, these are 0xffff.
static __always_inline __u32 folded_twice(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

// The same in 16 bits.
static __always_inline __u16 folded(__u64 sum)
{
	sum = folded_twice(sum);
	return sum + (sum >> 16);
}

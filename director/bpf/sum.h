// SPDX-License-Identifier: MIT
//
// The internet checksum (RFC 1071), of words that are added up in 64 bits.

#pragma once

#include <linux/types.h>

// The sum of at most 255 words of 32 bits, in 16: the first step leaves 24, the second 17.
static __always_inline __u16 folded(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

// SPDX-License-Identifier: MIT
//
// The header of an IPv4 packet that the gate makes (RFC 791 3.1).

#pragma once

#include <linux/ip.h>

#include "sum.h"

#define IP_DONT_FRAGMENT 0x4000

// What comes before the addresses, with a checksum of zero.
struct ipv4_start {
	__be32 word[3];
};

// Gives the sum of the addresses. All is written in whole words, and nothing is read back: a processor
// waits where it has to put a word together of what was just written.
static __always_inline __u64 write_ipv4(struct iphdr *ip, const struct ipv4_start *start, __be32 src,
					__be32 dst)
{
	__be32 *word = (__be32 *)ip;
	__u64 addresses = (__u64)src + dst;
	__u64 sum = addresses;

	for (int i = 0; i < 3; i++) {
		word[i] = start->word[i];
		sum += start->word[i];
	}
	ip->check = ~folded(sum);
	ip->saddr = src;
	ip->daddr = dst;
	return addresses;
}

// SPDX-License-Identifier: MIT
//
// Addresses and endpoints as all programs and their maps hold them.

#pragma once

#include <linux/in6.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

typedef _Bool bool;
#define true 1
#define false 0

// An IPv4 address is held in its mapped form, ::ffff:a.b.c.d.
struct address {
	__u32 word[4];
};

static __always_inline void set_v4(struct address *address, __be32 v4)
{
	address->word[0] = 0;
	address->word[1] = 0;
	address->word[2] = bpf_htonl(0xffff);
	address->word[3] = v4;
}

static __always_inline bool is_v4(const struct address *a)
{
	return !a->word[0] && !a->word[1] && a->word[2] == bpf_htonl(0xffff);
}

static __always_inline bool is_same(const struct address *a, const struct address *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1] &&
	       a->word[2] == b->word[2] && a->word[3] == b->word[3];
}

static __always_inline void set_v6(struct address *address, const struct in6_addr *v6)
{
	__builtin_memcpy(address, v6, sizeof(*address));
}

struct endpoint {
	struct address addr;
	__be16 port; // 0: every port; with protocol 0 the address as a whole, for fragments
	__u8 protocol;
	__u8 zero;
};

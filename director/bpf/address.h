// SPDX-License-Identifier: MIT
//
// Addresses as all programs and their maps hold them.

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

static __always_inline void set_v6(struct address *address, const struct in6_addr *v6)
{
	__builtin_memcpy(address, v6, sizeof(*address));
}

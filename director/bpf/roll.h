// SPDX-License-Identifier: MIT
//
// The roll: which tuples may have a connection, as the workers write it. A Bloom filter of words of 64
// bits, two of one word for each tuple, at places that a keyed hash gives: so nothing that has a
// connection is missing, and little else is found. The workers keep the counters (cookie/roll.rs).

#pragma once

#include "maps.h"
#include "siphash.h"

const volatile __u64 ROLL_KEY[2];
const volatile __u32 ROLL_MASK; // words - 1

// The loader sizes it.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} roll SEC(".maps");

// VIPs that differ only in how their words add up share places; their ports tell them apart.
static __always_inline __u64 place_of(const struct endpoint *client, const struct endpoint *vip)
{
	const struct address *c = &client->addr, *v = &vip->addr;
	__u32 folded = v->word[0] ^ v->word[1] ^ v->word[2] ^ v->word[3];
	__u64 words[3] = {
		(__u64)c->word[1] << 32 | c->word[0],
		(__u64)c->word[3] << 32 | c->word[2],
		(__u64)folded << 32 | (__u32)vip->port << 16 | client->port,
	};

	return siphash(1, 3, ROLL_KEY[0], ROLL_KEY[1], words);
}

static __always_inline bool is_on_roll(__u64 place)
{
	__u32 slot = place & ROLL_MASK;
	__u64 *word = bpf_map_lookup_elem(&roll, &slot);
	__u64 bits = 1ULL << (place >> 32 & 63) | 1ULL << (place >> 38 & 63);

	return !word || (*(volatile __u64 *)word & bits) == bits;
}

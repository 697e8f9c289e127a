// SPDX-License-Identifier: MIT
//
// The roll: which tuples may have a connection, as the workers write it. A Bloom filter of words of 64
// bits, two of one word for each tuple, at places that a keyed hash gives: so nothing that has a
// connection is missing, and little else is found. Behind the words stands what is looked at first, the
// front: a bit for each group of their bits, whether any of it is set. A flood of strangers meets
// little else, and it fits in the nearest cache. The workers keep the counters (cookie/roll.rs).

#pragma once

#include "maps.h"
#include "parse.h"

#define ROLL_KEYS 7  // a constant; the client's words, those of the VIP in one, ports
#define GROUP_BITS 4 // the logarithm of how many bits are a group

const volatile __u64 ROLL_KEY[ROLL_KEYS];
const volatile __u32 ROLL_MASK; // words - 1

// The loader sizes it.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} roll SEC(".maps");

// Multilinear, as the hash of flows (fast/find.h), and stirred: of the sum its upper half is good, and
// here all of it is used. VIPs that differ only in how their words add up share places; their ports tell
// them apart. cookie/place.rs computes the same.
static __always_inline __u64 place_of(const struct packet *p)
{
	const struct address *c = &p->src.addr, *v = &p->dst.addr;
	__u32 folded = v->word[0] ^ v->word[1] ^ v->word[2] ^ v->word[3];
	__u32 ports = (__u32)p->dst.port << 16 | p->src.port;
	__u64 sum = ROLL_KEY[0] + ROLL_KEY[4] * c->word[3] + ROLL_KEY[5] * folded +
		    ROLL_KEY[6] * ports;

	if (!p->v4)
		sum += ROLL_KEY[1] * c->word[0] + ROLL_KEY[2] * c->word[1] +
		       ROLL_KEY[3] * c->word[2];
	sum = (sum ^ sum >> 32) * 0x9e3779b97f4a7c15;
	return sum ^ sum >> 32;
}

static __always_inline __u64 roll_bit(__u32 number)
{
	return 1ULL << (number & 63);
}

static __always_inline bool has_bits(__u32 slot, __u64 bits)
{
	__u64 *word = bpf_map_lookup_elem(&roll, &slot);

	return !word || (*(volatile __u64 *)word & bits) == bits;
}

static __always_inline bool is_on_roll(__u64 place)
{
	__u32 line = place & ROLL_MASK;
	__u32 one = place >> 32 & 63, other = place >> 38 & 63;
	__u32 group = line << (6 - GROUP_BITS);
	__u32 front = ROLL_MASK + 1 + (group >> 6);

	return has_bits(front, roll_bit(group | one >> GROUP_BITS) |
			       roll_bit(group | other >> GROUP_BITS)) &&
	       has_bits(line, roll_bit(one) | roll_bit(other));
}

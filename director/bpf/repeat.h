// SPDX-License-Identifier: MIT
//
// Repeats: of a UDP service that is flooded nobody who is not known gets by with his first datagram. Who
// comes again within some seconds is let in: clients do, forged addresses don't. What is on the roll is
// known, and what the fast path has does not come here.
//
//     word   8 era | 28 of the era before | 28 of this one
//
// A Bloom filter in which each word is two: one is written to, and the one before is still read. An era
// lasts 8.6 s, so who has come is remembered for that long at least, and for twice as long at most. A word
// is moved on by whoever meets it in a later era; nobody has to clear anything. What a flood fills in has
// some of it get by; it keeps no client out.

#pragma once

#include "endpoints.h"
#include "parse.h"
#include "roll.h"

#define REPEATS_KEPT (1 << 21) // words, of which a packet looks at one

#define ERA_SHIFT 33 // of nanoseconds
#define ERA_BITS 8
#define PART_BITS 28
#define PART ((1ULL << PART_BITS) - 1)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REPEATS_KEPT);
	__type(key, __u32);
	__type(value, __u64);
} repeats SEC(".maps");

// First datagrams that were dropped, by the slot of their service.
#define REPEATING_SERVICES 1024

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REPEATING_SERVICES);
	__type(key, __u32);
	__type(value, __u64);
} repeat_counts SEC(".maps");

// Of the address alone: who asks again may do so from another port, as resolvers do.
static __always_inline __u64 place_of_source(const struct address *a)
{
	__u64 sum = ROLL_KEY[0] + ROLL_KEY[4] * a->word[3];

	if (!is_v4(a))
		sum += ROLL_KEY[1] * a->word[0] + ROLL_KEY[2] * a->word[1] +
		       ROLL_KEY[3] * a->word[2];
	sum = (sum ^ sum >> 32) * 0x9e3779b97f4a7c15;
	return sum ^ sum >> 32;
}

// One of the bits of a part, by 10 bits of a hash.
static __always_inline __u64 part_bit(__u32 hash)
{
	return 1ULL << ((hash & 0x3ff) * PART_BITS >> 10);
}

// A word as it stands in an era.
static __always_inline __u64 in_era(__u64 word, __u64 era)
{
	__u64 passed = (era - (word >> 2 * PART_BITS)) & ((1 << ERA_BITS) - 1);
	__u64 before = passed == 0 ? word >> PART_BITS & PART : passed == 1 ? word & PART : 0;

	return era << 2 * PART_BITS | before << PART_BITS | (passed == 0 ? word & PART : 0);
}

// Whether the source was heard within some seconds; it is from now on. Two CPUs may write a word at
// once: then one of two clients comes once more.
static __always_inline bool is_heard_again(const struct address *from)
{
	__u64 place = place_of_source(from);
	__u64 bits = part_bit(place >> 32) | part_bit(place >> 42) | part_bit(place >> 52);
	__u64 era = bpf_ktime_get_ns() >> ERA_SHIFT & ((1 << ERA_BITS) - 1);
	__u32 slot = place & (REPEATS_KEPT - 1);
	__u64 *kept = bpf_map_lookup_elem(&repeats, &slot);
	__u64 word;

	if (!kept)
		return true;
	word = in_era(*(volatile __u64 *)kept, era);
	*(volatile __u64 *)kept = word | bits;
	return (word & bits) == bits || (word >> PART_BITS & bits) == bits;
}

// Whether a datagram to such a service is the first one of somebody who is not known.
__noinline bool comes_first(const struct packet *p, __u32 slot)
{
	__u64 *count;

	if (!p || p->dst.protocol != IPPROTO_UDP || is_on_roll(place_of(p)) ||
	    is_heard_again(&p->from))
		return false;
	count = bpf_map_lookup_elem(&repeat_counts, &slot);
	if (count)
		*count += 1;
	return true;
}

// SPDX-License-Identifier: MIT
//
// Which flow a packet belongs to.
//
// The hash is multilinear over words of the tuple, under keys that are drawn at each start (D.
// Lemire and O. Kaser, "Strongly universal string hashing is fast"): nobody outside can make up
// tuples that meet in one bucket, and it costs a multiplication a word.

#pragma once

#include "../flows.h"

// Addresses are read where they are: the stack of the gate has no room for those of IPv6.
struct tuple {
	const __be32 *src; // one word, or four
	const __be32 *dst;
	__be32 ports;
	__u8 kind; // FLOW_V6, FLOW_TCP
	__u8 protocol;
};

// A flow, and the way of a packet in it.
struct found {
	struct flow *flow;
	const struct way *way;
	const struct wide *wide; // if it is
	const struct splice *splice; // if its ends need it
	enum direction back;
};

static __always_inline __u32 hash_of(const struct tuple *t)
{
	const __u64 *key = head.keys;
	__u32 last = t->kind & FLOW_V6 ? 3 : 0;
	__u64 sum = key[0] + key[4] * t->src[last] + key[8] * t->dst[last] + key[9] * t->ports +
		    key[10] * t->protocol;

	for (__u32 i = 0; i < last; i++)
		sum += key[1 + i] * t->src[i] + key[5 + i] * t->dst[i];
	return sum >> 32;
}

// Where in a bucket a hash is entered, if that place is free.
static __always_inline __u32 home_of(__u32 hash)
{
	return hash >> 29;
}

// The slot of a hash that does not stand at home, or 0. No jumps: where it stands is different each
// time, and the processor would guess wrong. (clang would make jumps of it without the barrier.)
static __always_inline __u64 slot_away(const struct bucket *bucket, __u32 hash)
{
	__u64 hit = 0;

	for (int i = 0; i < SLOTS; i++) {
		__u64 slot = bucket->slot[i];
		__s64 same = ((__s64)(slot >> 32 ^ hash) - 1) >> 63;

		barrier_var(same);
		hit |= slot & same;
	}
	return hit;
}

// The slot of a hash, or 0. Where nobody stands at its home, and nobody has left it behind, it stands
// nowhere: most of what belongs to no flow is told by one look.
static __always_inline __u32 slot_of(__u32 hash)
{
	__u32 number = hash & head.mask;

#pragma unroll
	for (int i = 0; i < 2; i++) {
		const struct bucket *bucket = bpf_map_lookup_elem(&flow_slots, &number);
		__u64 slot = bucket ? bucket->slot[home_of(hash)] : 0;

		if (!slot || slot >> 32 == hash)
			return slot;
		slot = slot_away(bucket, hash);
		if ((__u32)slot)
			return slot;
		number = (hash * 0x9e3779b1) >> 8 & head.mask;
	}
	return 0;
}

static __always_inline bool is_at(const struct address *a, const __be32 *word)
{
	return a->word[0] == word[0] && a->word[1] == word[1] && a->word[2] == word[2] &&
	       a->word[3] == word[3];
}

// That four words of an address are there the verifier has forgotten by now.
static __always_inline bool is_its(const struct found *f, const struct tuple *t, void *end)
{
	const struct way *way = f->way;
	const struct ends *ends;

	if ((f->flow->kind & (FLOW_V6 | FLOW_TCP)) != t->kind || way->ports != t->ports)
		return false;
	if (!(t->kind & FLOW_V6))
		return way->src == *t->src && way->dst == *t->dst;
	if (!f->wide || (void *)(t->dst + 4) > end || (void *)(t->src + 4) > end)
		return false;
	ends = &f->wide->ends[f->back];
	return is_at(&ends->src, t->src) && is_at(&ends->dst, t->dst);
}

// A way of a flow, and its course. Without the barriers clang reckons the address anew for each field.

static __always_inline const struct way *way_of(const struct flow *flow, enum direction back)
{
	const struct way *way = &flow->way[back];

	barrier_var(way);
	return way;
}

static __always_inline struct course *course_of(struct flow *flow, enum direction back)
{
	struct course *course = &flow->course[back];

	barrier_var(course);
	return course;
}

static __always_inline bool find(const struct tuple *t, void *end, struct found *f)
{
	__u32 hash = hash_of(t);
	__u32 slot = slot_of(hash);
	__u32 number;
	__u8 kind;

	if (!slot)
		return false;
	number = (slot >> 1) - 1;
	f->back = slot & 1;
	f->flow = bpf_map_lookup_elem(&flows, &number);
	if (!f->flow)
		return false;
	f->way = way_of(f->flow, f->back);
	kind = f->flow->kind;
	f->wide = kind & FLOW_WIDE ? bpf_map_lookup_elem(&wides, &number) : NULL;
	f->splice = kind & FLOW_SPLICE ? bpf_map_lookup_elem(&splices, &number) : NULL;
	return is_its(f, t, end) && (f->splice || !(kind & FLOW_SPLICE));
}

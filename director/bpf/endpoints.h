// SPDX-License-Identifier: MIT
//
// Endpoints: what an address and a port are to the director, and how the cookies of those that are
// services are made; one look-up tells all.
//
//     places     hash of an endpoint -> number of its standing     rows of eight, two for each
//     standings  by number
//
// The kernel's own hash map takes three times as long, most of it for calls. The director writes both
// in its own memory (src/gate/standings.rs): a standing in use never changes, another takes its place.

#pragma once

#include "address.h"
#include "cookie/service.h"
#include "memory.h"

// Roles of an endpoint, a bit each.
#define SERVICE 1
#define REAL 2
#define FTP_DATA 4 // with port 0: a service at the ports that FTP has its data on

struct standing {
	struct endpoint end;
	__u32 roles;
	struct cookie_service cookies;
};

#define STANDINGS (1 << 17)
#define ROW_BITS 15
#define ROW 8
#define NUMBER_BITS 18

// Each the upper bits of a hash, and a number; no two have the same hash. 0 is empty.
struct row {
	__u64 place[ROW];
};

struct row places[1 << ROW_BITS] MEMORY(places);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, STANDINGS);
	__type(key, __u32);
	__type(value, struct standing);
} standings SEC(".maps");

// Multilinear, and stirred: the upper bits are good. Whoever configures endpoints may aim them at one
// row, to find no room in it for more; packets cannot.
static __always_inline __u64 hash_of_endpoint(const struct endpoint *e)
{
	const __u32 *word = e->addr.word;
	__u64 sum = word[0] * 0xbf58476d1ce4e5b9 + word[1] * 0x94d049bb133111eb +
		    word[2] * 0xd6e8feb86659fd93 + word[3] * 0xa0761d6478bd642f +
		    (e->port | (__u32)e->protocol << 16) * 0xe7037ed1a0b428db;

	return (sum ^ sum >> 32) * 0x9e3779b97f4a7c15;
}

// The number that stands in a row with a hash, or 0. No jumps but for the most common: a row that has
// nothing, or begins with it.
static __always_inline __u32 number_in(__u32 row, __u64 hash)
{
	const struct row *r = &places[row & ((1 << ROW_BITS) - 1)];
	__u64 hit = 0;

	if (!r->place[0])
		return 0;
	if (!((r->place[0] ^ hash) >> NUMBER_BITS))
		return r->place[0] & ((1 << NUMBER_BITS) - 1);
	for (int i = 1; i < ROW; i++) {
		__u64 place = r->place[i];
		__s64 difference = (place ^ hash) >> NUMBER_BITS;

		hit |= place & (difference - 1) >> 63;
	}
	return hit & ((1 << NUMBER_BITS) - 1);
}

static __always_inline bool is_of(const struct standing *s, const struct endpoint *e)
{
	return is_same(&s->end.addr, &e->addr) && s->end.port == e->port &&
	       s->end.protocol == e->protocol;
}

static __always_inline const struct standing *standing_of(const struct endpoint *e)
{
	__u64 hash = hash_of_endpoint(e);
	__u32 number = number_in(hash >> (64 - ROW_BITS), hash);
	const struct standing *standing;

	if (!number)
		number = number_in(hash >> (64 - 2 * ROW_BITS) & ((1 << ROW_BITS) - 1), hash);
	if (!number)
		return 0;
	standing = bpf_map_lookup_elem(&standings, &number);
	return standing && is_of(standing, e) ? standing : 0;
}

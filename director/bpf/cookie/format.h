// SPDX-License-Identifier: MIT
//
// The cookie: what a SYN+ACK says so that nothing has to be kept until the ACK comes back.
//
//     sequence number   22 MAC | 1 key | 2 MSS | 4 scale | 1 SACK | 1 ECN | 1 timestamps
//     timestamp         24 MAC | 8 zero                              (when the client sent one)
//
// The MAC is over client, client's sequence number and service, so the same holds on a real
// server that sees another destination. The nine bits behind the key's are masked with bits of
// the MAC's hash: nobody can guess them. director/src/cookie/format.rs says the same in Rust.

#pragma once

#include "../address.h"
#include "../siphash.h"

#define KEY_BIT 9
#define DATA_BITS 0x1ff

// What a client has offered in its SYN, as a cookie keeps it.
#define OFFERED_TIMESTAMPS 1
#define OFFERED_ECN 2
#define OFFERED_SACK 4
#define SCALE_AT 3
#define MSS_AT 7

#define NO_SCALE 15 // all bits of it

// Of a SYN without options: the least MSS, and nothing else.
#define NO_OFFER (NO_SCALE << SCALE_AT)

// Whom a cookie is for.
struct visitor {
	const struct address *addr;
	bool v4;
	__be16 port;
	__u16 service;
	__be32 isn;
};

// An IPv4 address is one word of four here: a MAC of fewer bytes takes less time.
static __always_inline __u64 mac(const struct siphash_key *key, const struct visitor *v)
{
	struct sip s = siphash_of(key);
	__u64 whom = (__u32)v->service << 16 | v->port;

	if (v->v4) {
		absorb(&s, whom << 32 | v->addr->word[3]);
		return finish(&s, 12, v->isn);
	}
	absorb(&s, (__u64)v->addr->word[1] << 32 | v->addr->word[0]);
	absorb(&s, (__u64)v->addr->word[3] << 32 | v->addr->word[2]);
	absorb(&s, (__u64)v->isn << 32 | whom);
	return finish(&s, 24, 0);
}

static __always_inline __u32 masked(__u32 data, __u64 mac)
{
	return (data ^ mac >> 33) & DATA_BITS;
}

static __always_inline __u32 sequence_of(__u64 mac, __u32 parity, __u32 offer)
{
	return (__u32)(mac >> 42) << 10 | parity << KEY_BIT | masked(offer, mac);
}

static __always_inline __u32 scale_of(__u32 offer)
{
	return offer >> SCALE_AT & NO_SCALE;
}

static __always_inline __u32 timestamp_of(__u64 mac)
{
	return (__u32)mac << 8;
}

// Whether `sequence` is a cookie with this MAC, and if so, what the client has offered. `echo` is
// the timestamp that the client has echoed, if it has.
static __always_inline bool is_cookie(__u64 mac, __u32 sequence, bool has_echo, __u32 echo,
				      __u32 *offer)
{
	if (sequence >> 10 != mac >> 42)
		return false;
	*offer = masked(sequence, mac);
	return !(*offer & OFFERED_TIMESTAMPS) ||
	       (has_echo && echo >> 8 == ((__u32)mac & 0xffffff));
}

// The largest of four sizes that is not above what the client has said; the least stands for
// less, which no link has. A switch: a table this small would get a section of its own.
static __always_inline __u16 mss_of(bool v4, __u8 index)
{
	switch (index) {
	case 3:
		return v4 ? 1460 : 1440;
	case 2:
		return v4 ? 1440 : 1420;
	case 1:
		return v4 ? 1300 : 1380;
	default:
		return v4 ? 536 : 1220;
	}
}

static __always_inline __u8 mss_index(bool v4, __u16 mss)
{
	for (__u8 index = 3; index > 0; index--)
		if (mss >= mss_of(v4, index))
			return index;
	return 0;
}

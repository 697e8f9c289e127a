// SPDX-License-Identifier: MIT
//
// Limits: how many packets, or how many that open a connection, one source may send to a service
// in a second, or all together.
//
// Each is a token bucket in its form with one number (GCRA, ITU-T I.371): the moment when the
// bucket will be full again. A packet moves it on by its share of a second, and is over the limit
// when it lies more than the burst ahead.

#pragma once

#include "region.h"
#include "roll.h"

#define LIMITS 16
#define BUCKETS (1 << 17)
#define ACCUSED 4096

// What a limit counts.
#define OF_PACKETS 0
#define OF_SYNS 1

// What has a bucket of its own.
#define PER_SOURCE 0
#define PER_SERVICE 1

struct limit {
	__u64 share; // nanoseconds of one packet
	__u64 burst; // nanoseconds that may be ahead
	__u64 within; // nanoseconds in which a source may be over it
	__u32 over;   // less often than this, or it is told of; 0: as often as it likes
	struct endpoint service; // protocol 0: every one
	struct address mask_v4;  // of the source
	struct address mask_v6;
	__u32 of;
	__u32 per;
	__u32 region; // a bit; 0: wherever the source is
	__u32 series; // of its buckets; other limits have others
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LIMITS);
	__type(key, __u32);
	__type(value, struct limit);
} limits SEC(".maps");

struct bucket_name {
	struct address addr; // of the source, masked, or of the service
	__be16 port;	     // of the service
	__u8 protocol;
	__u8 limit;
	__u32 series;
};

struct tokens {
	__u64 full;  // when it will be
	__u64 since; // when `over` began to be counted
	__u64 over;  // packets over the limit since then
};

// The sources that are heard of least give way. A later director goes on with them, while the gate of the
// former one still does.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, BUCKETS);
	__type(key, struct bucket_name);
	__type(value, struct tokens);
} buckets SEC(".maps");

// Sources that were over a limit too often, for the director to judge. When there is no room, it
// hears of them the next time.
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, ACCUSED);
	__type(value, struct bucket_name);
} accused SEC(".maps");

// Packets over each limit.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LIMITS);
	__type(key, __u32);
	__type(value, __u64);
} over_limits SEC(".maps");

static __always_inline bool concerns(const struct limit *limit, const struct packet *p,
				     __u32 regions)
{
	const struct endpoint *only = &limit->service;

	if (limit->region && !(limit->region & regions))
		return false;
	if (limit->of == OF_SYNS && !(p->dst.protocol == IPPROTO_TCP && opens(p)))
		return false;
	return !only->protocol ||
	       (only->protocol == p->dst.protocol && only->port == p->dst.port &&
		is_same(&only->addr, &p->dst.addr));
}

static __always_inline struct bucket_name bucket_of(const struct limit *limit, __u32 number,
						    const struct packet *p)
{
	const struct address *mask = is_v4(&p->from) ? &limit->mask_v4 : &limit->mask_v6;
	struct bucket_name name = { .limit = number, .series = limit->series };

	if (limit->per == PER_SERVICE) {
		name.addr = p->dst.addr;
		name.port = p->dst.port;
		name.protocol = p->dst.protocol;
		return name;
	}
	for (int i = 0; i < 4; i++)
		name.addr.word[i] = p->from.word[i] & mask->word[i];
	return name;
}

// Counts a packet over the limit; one too many of them, and the director is told.
static __always_inline void accuse(const struct limit *limit, const struct bucket_name *name,
				   struct tokens *tokens, __u64 now)
{
	if (!limit->over)
		return;
	if (now - tokens->since > limit->within) {
		tokens->since = now;
		tokens->over = 0;
	}
	tokens->over += 1;
	if (tokens->over < limit->over)
		return;
	tokens->over = 0; // it is counted anew, whatever comes of it
	bpf_map_push_elem(&accused, name, BPF_ANY);
}

// Two CPUs may take the same token: that is not worth a lock.
static __always_inline bool overflows(const struct limit *limit, const struct bucket_name *name,
				      __u64 now)
{
	struct tokens *tokens = bpf_map_lookup_elem(&buckets, name);
	struct tokens first = { .full = now + limit->share };

	if (!tokens) {
		bpf_map_update_elem(&buckets, name, &first, BPF_ANY);
		return false;
	}
	if (tokens->full <= now) {
		tokens->full = first.full;
	} else if (tokens->full - now > limit->burst) {
		accuse(limit, name, tokens, now);
		return true;
	} else {
		tokens->full += limit->share;
	}
	return false;
}

// Established connections come first, also those that the gate does not forward by itself.
static __always_inline bool is_established(const struct packet *p)
{
	return may_be_known(p) && is_on_roll(place_of(p));
}

// Why a packet for a service is too many, or ADMITTED.
__noinline enum counter over_limit(const struct packet *p, __u32 count, __u32 regions)
{
	__u64 now, *over;

	if (!p || is_established(p))
		return ADMITTED;
	now = bpf_ktime_get_ns();
	for (__u32 i = 0; i < LIMITS; i++) {
		__u32 number = i;
		struct limit *limit;
		struct bucket_name name;

		if (i >= count)
			break;
		limit = bpf_map_lookup_elem(&limits, &number);
		if (!limit || !concerns(limit, p, regions))
			continue;
		name = bucket_of(limit, number, p);
		if (!overflows(limit, &name, now))
			continue;
		over = bpf_map_lookup_elem(&over_limits, &number);
		if (over)
			*over += 1;
		return limit->per == PER_SOURCE ? SOURCE_LIMIT : SERVICE_LIMIT;
	}
	return ADMITTED;
}

// Why a packet for a service is not taken, or ADMITTED.
__noinline enum counter restricted(const struct packet *p)
{
	enum counter refused;
	__u32 regions;

	if (!p)
		return ADMITTED;
	regions = filter.regions | filter.outside ? regions_of(&p->from) : 0;
	refused = by_region(p, regions);
	if (refused != ADMITTED || !filter.limits)
		return refused;
	return over_limit(p, filter.limits, regions);
}

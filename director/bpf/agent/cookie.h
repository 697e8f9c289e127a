// SPDX-License-Identifier: MIT
//
// Takes in the connections of clients that the director has gone through the handshake with: who
// brings a cookie to a listening socket gets what his SYN would have got him, and so does who brings
// one to the connection that his last one from this port has left behind.

#pragma once

#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/tcp.h>

#include "../cookie/format.h"
#include "packet.h"
#include "remains.h"
#include "segment.h"

// What becomes of the segments that find a listener where there are keys, or bring a cookie to an old
// connection.
enum welcome {
	WELCOMED, // a cookie: the kernel has the connection
	STRAY,    // none, or one that was not made so: the kernel answers it as it likes
	DECLINED, // a cookie, and the kernel does not take it
	RECYCLED, // a cookie: the old connection ends, and the segment comes again
	WELCOMES,
};

// Services whose connections may come to one endpoint.
#define SERVICES 4

struct service_keys {
	struct siphash_key keys[2]; // by parity
	__u16 service;
	__u8 has; // a bit for each key
	__u8 zero[5];
};

struct guests {
	struct service_keys service[SERVICES];
	__u64 until; // bpf_ktime_get_ns(): what the director does not renew ends
	__u32 count;
	__u8 scale; // that clients were told
	__u8 able;
	__u8 zero[2];
};

// Bits of `able`: what this kernel does, which the director has been told.
#define ABLE_SACK 0x01
#define ABLE_SCALE 0x02
#define ABLE_TIMESTAMPS 0x04
#define ABLE_ECN 0x08

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct place);
	__type(value, struct guests);
} guests SEC(".maps");

// Segments that were declined.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct place);
	__type(value, __u64);
} declined SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WELCOMES);
	__type(key, __u32);
	__type(value, __u64);
} welcomes SEC(".maps");

// TCP_TIME_WAIT and TCP_LISTEN of include/net/tcp_states.h, and those in which a connection has two ends:
// ESTABLISHED, FIN_WAIT1 and 2, CLOSE_WAIT, LAST_ACK and CLOSING.
#define WAITING 6
#define LISTENING 10
#define OPEN (1 << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11)

// include/linux/btf.h and net/core/filter.c, since Linux 6.9.
struct bpf_tcp_req_attrs {
	__u32 rcv_tsval;
	__u32 rcv_tsecr;
	__u16 mss;
	__u8 rcv_wscale;
	__u8 snd_wscale;
	__u8 ecn_ok;
	__u8 wscale_ok;
	__u8 sack_ok;
	__u8 tstamp_ok;
	__u8 usec_ts_ok;
	__u8 reserved[3];
};

struct sock {
	__u8 opaque; // libbpf compares kinds: a declaration alone is another one
};

extern int bpf_sk_assign_tcp_reqsk(struct __sk_buff *skb, struct sock *sk,
				   struct bpf_tcp_req_attrs *attrs, int attrs__sz) __ksym __weak;

static __always_inline void count_welcome(enum welcome what)
{
	__u32 slot = what;
	__u64 *value = bpf_map_lookup_elem(&welcomes, &slot);

	if (value)
		*value += 1;
}

static __always_inline void note_declined(const struct place *place)
{
	__u64 one = 1, *value = bpf_map_lookup_elem(&declined, place);

	if (value)
		__sync_fetch_and_add(value, 1);
	else
		bpf_map_update_elem(&declined, place, &one, BPF_ANY);
}

static __always_inline bool checks(const struct service_keys *keys, const struct segment *s,
				   __u32 *offer)
{
	__u32 cookie = s->acknowledged - 1;
	__u32 parity = cookie >> KEY_BIT & 1;
	struct visitor visitor = {
		&s->client,
		is_v4(&s->client),
		s->port,
		keys->service,
		bpf_htonl(s->sequence - 1),
	};

	if (!(keys->has >> parity & 1))
		return false;
	return is_cookie(mac(&keys->keys[parity], &visitor), cookie, s->options.timestamps,
			 s->options.echo, offer);
}

static __always_inline bool is_invited(const struct guests *all, const struct segment *s,
				       __u32 *offer)
{
	if (bpf_ktime_get_ns() > all->until)
		return false;
	for (int i = 0; i < SERVICES; i++) {
		if (i >= all->count)
			return false;
		if (checks(&all->service[i], s, offer))
			return true;
	}
	return false;
}

// The data of a cookie are masked, not proved: a client can ask for what it was never offered, and the
// kernel would refuse that.
static __always_inline bool is_able(const struct guests *all, __u32 offer)
{
	return (!(offer & OFFERED_SACK) || all->able & ABLE_SACK) &&
	       (scale_of(offer) == NO_SCALE || all->able & ABLE_SCALE) &&
	       (!(offer & OFFERED_TIMESTAMPS) || all->able & ABLE_TIMESTAMPS) &&
	       (!(offer & OFFERED_ECN) || all->able & ABLE_ECN);
}

static __always_inline bool brings_cookie(const struct guests *all, const struct segment *s,
					  __u32 *offer)
{
	return is_invited(all, s, offer) && is_able(all, *offer);
}

static __always_inline enum welcome seat(struct __sk_buff *skb, struct bpf_sock *listener,
					 const struct guests *all, const struct segment *s,
					 __u32 offer)
{
	struct bpf_tcp_req_attrs agreed = {};
	struct sock *sk = (struct sock *)bpf_skc_to_tcp_sock(listener);

	if (!sk)
		return DECLINED;
	agreed.rcv_tsval = s->options.value;
	agreed.rcv_tsecr = s->options.echo;
	agreed.mss = mss_of(s->v4, offer >> MSS_AT);
	agreed.ecn_ok = !!(offer & OFFERED_ECN);
	agreed.sack_ok = !!(offer & OFFERED_SACK);
	agreed.tstamp_ok = offer & OFFERED_TIMESTAMPS;
	if (scale_of(offer) != NO_SCALE) {
		agreed.wscale_ok = 1;
		agreed.snd_wscale = scale_of(offer);
		agreed.rcv_wscale = all->scale;
	}
	return bpf_sk_assign_tcp_reqsk(skb, sk, &agreed, sizeof(agreed)) ? DECLINED : WELCOMED;
}

static __always_inline void meet_listener(struct __sk_buff *skb, struct bpf_sock *listener,
					  const struct guests *all, struct segment *s)
{
	__u32 offer = 0;
	enum welcome what = STRAY;

	read_segment_options(skb, s);
	if (brings_cookie(all, s, &offer))
		what = seat(skb, listener, all, s, offer);
	count_welcome(what);
	if (what == DECLINED)
		note_declined(&s->place);
}

static __always_inline void meet_remains(struct __sk_buff *skb, const struct remains *old,
					 const struct guests *all, struct segment *s)
{
	__u32 offer = 0;

	read_segment_options(skb, s);
	if (!is_again(skb) && is_after(s, old) && brings_cookie(all, s, &offer) &&
	    recycle(skb, s, old))
		count_welcome(RECYCLED);
}

static __always_inline bool read_remains(struct bpf_sock *found, const struct segment *s,
					 struct remains *old)
{
	if (found->state == WAITING)
		return read_waiting(found, old);
	return OPEN >> (found->state & 31) & 1 && read_open(found, s, old);
}

// A packet that is about to go to the stack.
static __always_inline void welcome(struct __sk_buff *skb)
{
	struct segment segment = {};
	struct remains old = {};
	struct bpf_sock *found;
	struct guests *all;

	if (!bpf_sk_assign_tcp_reqsk) // before Linux 6.9
		return;
	if (skb->pkt_type != PACKET_HOST || skb->vlan_present || !read_segment(skb, &segment))
		return;
	all = bpf_map_lookup_elem(&guests, &segment.place);
	if (!all)
		return;
	found = bpf_skc_lookup_tcp(skb, &segment.tuple, segment.v4 ? sizeof(segment.tuple.ipv4) :
				   sizeof(segment.tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	if (!found)
		return;
	if (found->state == LISTENING)
		meet_listener(skb, found, all, &segment);
	else if (read_remains(found, &segment, &old))
		meet_remains(skb, &old, all, &segment);
	bpf_sk_release(found);
}

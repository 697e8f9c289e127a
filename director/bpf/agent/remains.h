// SPDX-License-Identifier: MIT
//
// A client that comes again from a port whose last connection is still here, in TIME_WAIT or open, while
// its director and it have forgotten that one.
//
// The kernel lets a SYN take the place of one in TIME_WAIT, and challenges that to an open one, which its
// client ends then (RFC 5961 4). A cookie comes with an ACK: the kernel finds the old connection first,
// and with the cookie assigned to the segment nevertheless, inet_ehash_insert() finds it as a duplicate.
// So the segment goes in twice: at once as the RST with which a client ends what it does not know any
// more, and behind that as it is, to the listener.

#pragma once

#include <linux/bpf.h>
#include <linux/tcp.h>

#include "segment.h"

// What is read of include/net/sock.h, include/net/inet_timewait_sock.h and include/linux/tcp.h.
struct sock_common {
	__u32 skc_tw_rcv_nxt;
} __attribute__((preserve_access_index));

struct inet_timewait_sock {
	struct sock_common __tw_common;
} __attribute__((preserve_access_index));

struct tcp_timewait_sock {
	struct inet_timewait_sock tw_sk;
	__u32 tw_ts_recent;
} __attribute__((preserve_access_index));

struct tcp_options_received {
	__u32 ts_recent;
} __attribute__((preserve_access_index));

struct tcp_sock {
	__u32 rcv_nxt;
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 max_window;
	__u64 tcp_mstamp; // of the last packet that came or went, in microseconds of bpf_ktime_get_ns()
	struct tcp_options_received rx_opt;
} __attribute__((preserve_access_index));

// How long a segment may be under way, in microseconds: the MSL of RFC 9293 3.4.1.
const volatile __u32 MSL;

// What is left of the old connection: the client's next number, its clock (0: it had none), and whether
// nobody has spoken for longer than that.
struct remains {
	__u32 next;
	__u32 clock;
	bool quiet;
};

// In `tc_index`, of which nothing at ingress makes use: a segment whose RST went ahead. When the old
// connection is still there (net.ipv4.tcp_rfc1337), the kernel gets it as it is.
#define AGAIN 0xb0a9

static __always_inline bool is_again(const struct __sk_buff *skb)
{
	return skb->tc_index == AGAIN;
}

static __always_inline bool read_waiting(struct bpf_sock *waiting, struct remains *old)
{
	struct tcp_timewait_sock *tw = bpf_skc_to_tcp_timewait_sock(waiting);

	if (!tw)
		return false;
	old->next = tw->tw_sk.__tw_common.skc_tw_rcv_nxt;
	old->clock = tw->tw_ts_recent;
	old->quiet = false;
	return true;
}

// False when the segment acknowledges what an end of the open connection would (RFC 5961 5.2).
static __always_inline bool read_open(struct bpf_sock *open, const struct segment *s,
				      struct remains *old)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(open);

	if (!tcp || tcp->snd_nxt - s->acknowledged <= tcp->snd_nxt - tcp->snd_una + tcp->max_window)
		return false;
	old->next = tcp->rcv_nxt;
	old->clock = tcp->rx_opt.ts_recent;
	old->quiet = bpf_ktime_get_ns() / 1000 - tcp->tcp_mstamp > MSL;
	return true;
}

// As of a SYN (RFC 1122 4.2.2.13): the client's initial number lies beyond all of the old connection.
// So a late copy of what has opened that one by this very cookie, or one before it, does not open it
// again; of a quiet one none is under way. RFC 6191 would let a later clock do, that of the SYN; what
// came behind it may be sent again, by a later one.
static __always_inline bool is_after(const struct segment *s, const struct remains *old)
{
	bool clocks = s->options.timestamps && old->clock;

	if (old->quiet)
		return true;
	if (clocks && (__s32)(s->options.value - old->clock) < 0)
		return false;
	return (__s32)(s->sequence - 1 - old->next) > 0;
}

static __always_inline void make_reset(struct __sk_buff *skb, const struct segment *s, __u32 number)
{
	__u32 at = s->at - sizeof(struct tcphdr);
	struct tcphdr was, now;
	__s64 change;

	if (bpf_skb_load_bytes(skb, at, &was, sizeof(was)))
		return;
	now = was;
	now.seq = bpf_htonl(number);
	now.ack_seq = 0;
	now.fin = now.psh = now.ack = now.urg = 0;
	now.rst = 1;
	change = bpf_csum_diff((__be32 *)&was, sizeof(was), (__be32 *)&now, sizeof(now), 0);
	if (!bpf_skb_store_bytes(skb, at, &now, sizeof(now), 0))
		bpf_l4_csum_replace(skb, at + __builtin_offsetof(struct tcphdr, check), 0, change, 0);
}

// The copy waits for its turn behind the packet that is on its way through the stack. False when
// there is no room for it.
static __always_inline bool recycle(struct __sk_buff *skb, const struct segment *s,
				    const struct remains *old)
{
	__u32 index = skb->tc_index;
	long lost;

	skb->tc_index = AGAIN;
	lost = bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS);
	skb->tc_index = index;
	if (lost)
		return false;
	make_reset(skb, s, old->next);
	return true;
}

// SPDX-License-Identifier: MIT
//
// A TCP segment that may bring a cookie: with ACK, without SYN and RST.

#pragma once

#include <linux/tcp.h>

#include "packet.h"

#define TCP_FLAGS 13 // where they stand
#define SYN_RST_ACK 0x16
#define ACK_ALONE 0x10

#define OPTION_ROOM 64 // 40 bytes at most, and what may be read behind them

struct place {
	struct address addr;
	__be16 port;
	__u16 zero;
};

// What an acknowledgement says of clocks.
struct clocks {
	__u32 value; // TSval
	__u32 echo;  // TSecr
	bool timestamps;
};

struct segment {
	struct place place; // to where it goes
	struct address client;
	struct bpf_sock_tuple tuple;
	__u32 sequence;
	__u32 acknowledged;
	struct clocks options;
	__u32 at;     // where the options begin
	__u32 length; // of them
	__be16 port;
	bool v4;
};

struct option_bytes {
	__u8 byte[OPTION_ROOM];
};

static __always_inline bool read_tcp(struct __sk_buff *skb, struct segment *s, __u32 at)
{
	struct tcphdr tcp;
	__u8 *bytes = (__u8 *)&tcp;

	if (bpf_skb_load_bytes(skb, at, &tcp, sizeof(tcp)) ||
	    (bytes[TCP_FLAGS] & SYN_RST_ACK) != ACK_ALONE || tcp.doff < 5)
		return false;
	s->port = tcp.source;
	s->place.port = tcp.dest;
	s->sequence = bpf_ntohl(tcp.seq);
	s->acknowledged = bpf_ntohl(tcp.ack_seq);
	s->at = at + sizeof(tcp);
	s->length = tcp.doff * 4 - sizeof(tcp);
	if (s->v4) {
		s->tuple.ipv4.sport = tcp.source;
		s->tuple.ipv4.dport = tcp.dest;
	} else {
		s->tuple.ipv6.sport = tcp.source;
		s->tuple.ipv6.dport = tcp.dest;
	}
	return true;
}

static __always_inline bool read_segment_v4(struct __sk_buff *skb, struct segment *s)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5 ||
	    ip.protocol != IPPROTO_TCP || ip.frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_OFFSET))
		return false;
	s->v4 = true;
	set_v4(&s->client, ip.saddr);
	set_v4(&s->place.addr, ip.daddr);
	s->tuple.ipv4.saddr = ip.saddr;
	s->tuple.ipv4.daddr = ip.daddr;
	return read_tcp(skb, s, ETH_HLEN + ip.ihl * 4);
}

static __always_inline bool read_segment_v6(struct __sk_buff *skb, struct segment *s)
{
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.version != 6 ||
	    ip.nexthdr != IPPROTO_TCP)
		return false;
	set_v6(&s->client, &ip.saddr);
	set_v6(&s->place.addr, &ip.daddr);
	__builtin_memcpy(s->tuple.ipv6.saddr, &ip.saddr, sizeof(ip.saddr));
	__builtin_memcpy(s->tuple.ipv6.daddr, &ip.daddr, sizeof(ip.daddr));
	return read_tcp(skb, s, ETH_HLEN + sizeof(ip));
}

static __always_inline bool read_segment(struct __sk_buff *skb, struct segment *s)
{
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		return read_segment_v4(skb, s);
	case bpf_htons(ETH_P_IPV6):
		return read_segment_v6(skb, s);
	default:
		return false;
	}
}

// Finds the timestamps. A function of its own for the verifier, who would follow each of its
// ways on to the end otherwise.
__noinline int read_clocks(const struct option_bytes *options, __u32 length, struct clocks *found)
{
	__u32 here = 0;

	if (!options || !found)
		return 0;
	for (int i = 0; i < 40 && here < length; i++) {
		const __u8 *option;

		here &= 63;
		if (here > OPTION_ROOM - 10)
			break;
		option = options->byte + here;
		if (option[0] == 0)
			break;
		if (option[0] == 1) {
			here++;
			continue;
		}
		if (option[0] == 8 && option[1] == 10 && here + 10 <= length) {
			__builtin_memcpy(&found->value, option + 2, sizeof(found->value));
			__builtin_memcpy(&found->echo, option + 6, sizeof(found->echo));
			found->timestamps = true;
			break;
		}
		if (option[1] < 2)
			break;
		here += option[1];
	}
	return 0;
}

static __always_inline void read_segment_options(struct __sk_buff *skb, struct segment *s)
{
	struct option_bytes options = {};
	__u64 length = s->length;

	barrier_var(length); // or clang hides its bounds from the verifier
	if (length == 0 || length > 40 ||
	    bpf_skb_load_bytes(skb, s->at, options.byte, length))
		return;
	read_clocks(&options, length, &s->options);
	s->options.value = bpf_ntohl(s->options.value);
	s->options.echo = bpf_ntohl(s->options.echo);
}

/* Writes the headers of a frame anew, each time for another flow. */
#pragma once

#include "frame.h"

/* Host byte order. The sums are over everything that a checksum covers but what varies from flow
 * to flow: the low word of the source address and the source port. */
struct config {
	__u8 header[80];
	__u32 flows;        /* taken in turn; 0: at random, all that fit in the bits */
	__u32 first;        /* number of the first of them */
	__u32 address_bits; /* low bits of the flow number that go to the address */
	__u32 port_bits;    /* the bits above them, which go to the port */
	__u32 source;       /* low word of the first source address */
	__u32 port;         /* first source port */
	__u32 ip_sum;
	__u32 payload_sum;
	__u32 ipv6;
	__u32 tcp;
	__u32 spoof;  /* every frame its own source, port and sequence number, at random */
	__u32 stride; /* from a flow to the next */
	__u32 length; /* of a frame */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct config);
} config SEC(".maps");

static __u32 position;

static __always_inline __u32 next_flow(const struct config *c)
{
	__u32 flow = position;

	if (!c->flows)
		return bpf_get_prandom_u32();
	position = flow + c->stride;
	if (position >= c->flows)
		position -= c->flows;
	return c->first + flow;
}

static __always_inline void write_sum(void *transport, const struct config *c, __u32 sum)
{
	if (c->tcp)
		((struct tcphdr *)transport)->check = fold(sum);
	else
		((struct udphdr *)transport)->check = fold(sum) ?: 0xffff;
}

static __always_inline __u32 low_bits(__u32 value, __u32 bits)
{
	return value & ((1u << (bits & 31)) - 1);
}

/* As wide as programs read: a processor waits where it puts a word together of what was just written,
 * and frames of a network do not make it wait. */
static __always_inline void write_headers(void *to, const void *from, __u32 words)
{
	__u32 *at = to;
	const __u32 *of = from;

	for (int i = 0; i < 3; i++)
		at[i] = of[i];
	*(__u16 *)(at + 3) = *(const __u16 *)(of + 3);
	at = to + sizeof(struct ethhdr);
	of = from + sizeof(struct ethhdr);
	for (__u32 i = 0; i < words; i++)
		at[i] = of[i];
}

/* Whether the frame was long enough. */
static __always_inline int craft(struct xdp_md *ctx, const struct config *c)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 flow = next_flow(c), more = flow >> (c->address_bits & 31), sequence = 0;
	__u32 source, port, sum;
	void *transport;

	if (c->spoof) {
		more = bpf_get_prandom_u32();
		sequence = bpf_get_prandom_u32();
	}
	source = c->source + low_bits(flow, c->address_bits);
	port = c->port + low_bits(more, c->port_bits);
	sum = c->payload_sum + words(source) + port + words(sequence);
	if (c->ipv6) {
		struct ipv6hdr *ip = data + sizeof(struct ethhdr);

		if (data + V6_HEADERS > end)
			return 0;
		write_headers(data, c->header, (V6_HEADERS - sizeof(struct ethhdr)) / 4);
		ip->saddr.s6_addr32[3] = bpf_htonl(source);
		transport = ip + 1;
	} else {
		struct iphdr *ip = data + sizeof(struct ethhdr);

		if (data + V4_HEADERS > end)
			return 0;
		write_headers(data, c->header, (V4_HEADERS - sizeof(struct ethhdr)) / 4);
		ip->saddr = bpf_htonl(source);
		ip->check = fold(c->ip_sum + words(source));
		transport = ip + 1;
	}
	*(__be16 *)transport = bpf_htons(port);
	if (c->spoof)
		((struct tcphdr *)transport)->seq = bpf_htonl(sequence);
	write_sum(transport, c, sum);
	return 1;
}

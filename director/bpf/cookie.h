// SPDX-License-Identifier: MIT
//
// How TCP to a service with cookies is met. What may have a connection is the director's, as ever;
// of the rest a SYN is answered here and forgotten, and nothing but a cookie that came back
// goes on, or the SYN of a client that has reset the answer to its first one.

#pragma once

#include "cookie/answer.h"
#include "cookie/format.h"
#include "cookie/options.h"
#include "cookie/reset.h"
#include "cookie/service.h"
#include "cookie/visitor.h"
#include "parse.h"
#include "roll.h"

enum meeting {
	GO_ON,   // it is the director's to judge
	ANSWER,  // the frame holds the answer
	REFUSE,  // neither of a connection nor with a cookie
	HEARD,   // the client has shown that it is there
};

#define TCP_ECN 0xc0 // ECE and CWR

// A segment whose headers stand where they mostly do.
struct segment {
	struct tcphdr *tcp;
	__u32 at;      // where its options begin
	__u32 options; // bytes
	bool v4;
};

// False for IPv4 options, IPv6 extensions and what is cut off: the director reads those.
static __always_inline bool read_segment(struct xdp_md *ctx, const struct packet *p,
					 struct segment *s)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 header = p->header == sizeof(struct iphdr) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);

	s->tcp = data + ETH_HLEN + header;
	if (!p->header || p->fault == BAD_OFFSET || (void *)(s->tcp + 1) > end)
		return false;
	s->v4 = header == sizeof(struct iphdr);
	s->at = ETH_HLEN + header + sizeof(*s->tcp);
	s->options = (((__u8 *)s->tcp)[12] >> 4) * 4 - sizeof(*s->tcp);
	return true;
}

// What the options of a segment say, if it has some.
static __always_inline struct options said_in(struct xdp_md *ctx, const struct segment *s)
{
	struct options said = { .mss = DEFAULT_MSS, .scale = NO_SCALE };

	if (s->options)
		read_options(ctx, s->at, s->options, &said);
	return said;
}

// Nobody answers what comes from no single host beyond this one (RFC 1122 3.2.1.3, RFC 4291 2.5 and
// 2.7). `Addr::is_host` says the same in Rust.
static __always_inline bool is_host(const struct address *a, bool v4)
{
	__u8 first_v4 = *(__u8 *)&a->word[3], first = *(__u8 *)&a->word[0];

	if (v4)
		return first_v4 > 0 && first_v4 < 224 && first_v4 != 127;
	return first != 0xff && !is_v4(a) &&
	       (a->word[0] | a->word[1] | a->word[2] || bpf_ntohl(a->word[3]) > 1);
}

// What is taken up of what a SYN offers, and its timestamp.
static __always_inline __u32 agreed(struct xdp_md *ctx, const struct packet *p,
				    const struct cookie_service *service, const struct segment *s,
				    __u32 *stamp)
{
	__u32 ecn = (p->flags & TCP_ECN) == TCP_ECN ? OFFERED_ECN : 0;
	struct options said;

	if (!s->options)
		return NO_OFFER | (ecn & service->offers);
	said = said_in(ctx, s);
	*stamp = said.value;
	return mss_index(s->v4, said.mss) << MSS_AT | (said.scale | service->scale) << SCALE_AT |
	       ((said.offered | ecn) & service->offers);
}

static __always_inline enum meeting mint(struct xdp_md *ctx, const struct packet *p,
					 const struct cookie_service *service,
					 const struct segment *s)
{
	struct visitor visitor = visitor_of(p, service, s->tcp->seq);
	__u32 parity = service->parity & 1;
	__u32 stamp = 0;
	__u32 offer = agreed(ctx, p, service, s, &stamp);
	__u64 hash = mac(&service->keys[parity], &visitor);
	struct reply reply = {
		.sequence = sequence_of(hash, parity, offer),
		.acknowledged = bpf_ntohl(s->tcp->seq) + 1,
		.window = service->flags & SPLICES ? 0 : OUR_WINDOW,
		.mss = service->mss,
		.offer = offer,
		.value = timestamp_of(hash),
		.echo = stamp,
		.v4 = s->v4,
	};

	if (!write_answer(ctx, &reply))
		return GO_ON;
	count_cookie(service, COOKIES_SENT);
	return ANSWER;
}

static __always_inline __u32 payload_of(const struct segment *s)
{
	const struct iphdr *v4 = (void *)s->tcp - sizeof(*v4);
	const struct ipv6hdr *v6 = (void *)s->tcp - sizeof(*v6);
	__u32 all = s->v4 ? bpf_ntohs(v4->tot_len) - sizeof(*v4) : bpf_ntohs(v6->payload_len);

	return all - sizeof(*s->tcp) - s->options;
}

// A client that waits for a window asks for it with the number before its first byte, without data;
// so does one whose ACK was lost.
static __always_inline bool is_probe(const struct cookie_service *service,
				     const struct segment *s)
{
	return service->flags & SPLICES && !payload_of(s);
}

// Whether the client that began with `isn` has got the cookie that the segment acknowledges.
static __always_inline bool has_got(struct xdp_md *ctx, const struct packet *p,
				    const struct cookie_service *service,
				    const struct segment *s, __u32 isn)
{
	__u32 cookie = bpf_ntohl(s->tcp->ack_seq) - 1;
	struct visitor visitor = visitor_of(p, service, bpf_htonl(isn));
	__u32 parity = cookie >> KEY_BIT & 1;
	struct options said;
	__u32 offer;
	__u64 hash;

	if (!(service->flags & HAS_KEY << parity))
		return false;
	hash = mac(&service->keys[parity], &visitor);
	if (cookie >> 10 != hash >> 42) // most of what is forged ends here
		return false;
	said = said_in(ctx, s);
	return is_cookie(hash, cookie, said.offered & OFFERED_TIMESTAMPS, said.echo, &offer);
}

static __always_inline bool brings_cookie(struct xdp_md *ctx, const struct packet *p,
					  const struct cookie_service *service,
					  const struct segment *s)
{
	__u32 seq = bpf_ntohl(s->tcp->seq);

	if ((p->flags & (TCP_SYN | TCP_RST | TCP_ACK)) != TCP_ACK)
		return false;
	return has_got(ctx, p, service, s, seq - 1) ||
	       (is_probe(service, s) && has_got(ctx, p, service, s, seq));
}

// Answers a SYN with what its client resets. Nobody looks at the sequence number.
static __always_inline enum meeting provoke(struct xdp_md *ctx, const struct packet *p,
					    const struct cookie_service *service,
					    const struct segment *s)
{
	__u32 bait = bait_for(service, p, bpf_ntohl(s->tcp->seq));
	struct reply reply = {
		.sequence = ~bait,
		.acknowledged = bait,
		.window = OUR_WINDOW,
		.v4 = s->v4,
	};

	if (!write_answer(ctx, &reply))
		return GO_ON;
	count_cookie(service, COOKIES_SENT);
	return ANSWER;
}

// Whether the client of a SYN has reset the answer to an earlier one.
static __always_inline bool has_reset(const struct packet *p, const struct cookie_service *service,
				      const struct segment *s, __u64 place)
{
	__u64 *kept = reset_at(place);
	__u64 word = kept ? *(volatile __u64 *)kept : 0;
	__u32 number = word;

	return word == word_of(place, number) && bpf_ntohl(s->tcp->seq) - number <= NEAR &&
	       is_bait(service, p, number);
}

// Keeps a RST of just what its client was given.
static __always_inline bool hear(const struct packet *p, const struct cookie_service *service,
				 const struct segment *s, __u64 place)
{
	__u32 number = bpf_ntohl(s->tcp->seq);
	__u64 *kept = reset_at(place);

	if (!(p->flags & TCP_RST) || !kept || !is_bait(service, p, number))
		return false;
	*(volatile __u64 *)kept = word_of(place, number);
	return true;
}

static __always_inline enum meeting turn_away(const struct cookie_service *service)
{
	count_cookie(service, COOKIES_REFUSED);
	return REFUSE;
}

static __always_inline enum meeting meet(struct xdp_md *ctx, const struct packet *p,
			     const struct cookie_service *service)
{
	struct segment s;
	bool resets;
	__u64 place;

	place = place_of(p);
	if (is_on_roll(place) || !read_segment(ctx, p, &s))
		return GO_ON;
	resets = service->flags & RESETS;
	if ((p->flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) == TCP_SYN) {
		if (!is_host(&p->src.addr, s.v4))
			return turn_away(service);
		if (!resets)
			return mint(ctx, p, service, &s);
		return has_reset(p, service, &s, place) ? GO_ON : provoke(ctx, p, service, &s);
	}
	if (resets && hear(p, service, &s, place))
		return HEARD;
	if (brings_cookie(ctx, p, service, &s)) {
		count_cookie(service, COOKIES_ACCEPTED);
		return GO_ON;
	}
	return service->flags & LENIENT ? GO_ON : turn_away(service);
}

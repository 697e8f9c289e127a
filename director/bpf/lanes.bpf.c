// SPDX-License-Identifier: MIT
//
// Whether what is redirected to an interface gets there.
//
// A driver that takes no redirected frames, or no more of them, tells nobody but the tracepoints:
// veth, when the far end has neither an XDP program nor GRO. The gate reads `on` before it sends.
// `probe` sends one frame that nobody answers, so that the director can ask before it relies on it.

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/if_ether.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "lanes.h"

#define RELOCATED __attribute__((preserve_access_index))

// What is needed of the kernel's own, wherever it is there.
struct ns_common {
	unsigned int inum;
} RELOCATED;

struct net {
	struct ns_common ns;
} RELOCATED;

typedef struct {
	struct net *net;
} RELOCATED possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
} RELOCATED;

// The network namespace whose interfaces these are: others have the same numbers.
const volatile __u32 NAMESPACE;
// The map of exits: others have such maps too.
const volatile __u32 EXITS;
// Whether a probe is under way: what is sent without a loss matters to nobody else.
volatile __u32 probing;

static __always_inline void note(const struct net_device *dev, int sent, int lost, int error)
{
	if (dev->nd_net.net->ns.inum != NAMESPACE)
		return;
	for (__u32 port = 0; port < PORTS; port++) {
		struct lane *lane = &lanes[port];

		if (lane->ifindex != dev->ifindex)
			continue;
		__sync_fetch_and_add(&lane->sent, sent);
		if (lost)
			__sync_fetch_and_add(&lane->lost, lost);
		// Without an error it is the ring that was full.
		if (error) {
			lane->error = error;
			lane->on = 0;
		}
		return;
	}
}

SEC("tp_btf/xdp_devmap_xmit")
int BPF_PROG(redirected, const struct net_device *from, const struct net_device *to, int sent,
	     int lost, int error)
{
	if (lost || error || probing)
		note(to, sent, lost, error);
	return 0;
}

// A driver that says beforehand that it takes none, or not this one: it is too long.
SEC("tp_btf/xdp_redirect_err")
int BPF_PROG(refused, const struct net_device *from, const void *program,
	     const void *to, int error, int kind, __u32 map, __u32 port)
{
	struct lane *lane = &lanes[port & (LANES - 1)];

	if (map != EXITS)
		return 0;
	__sync_fetch_and_add(&lane->lost, 1);
	if (error == -EMSGSIZE)
		return 0;
	lane->error = error;
	lane->on = 0;
	return 0;
}

// Sends a frame through the port that it names after its Ethernet header.
SEC("xdp")
int probe(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	__u32 *port = (void *)(eth + 1);

	if ((void *)(port + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	return bpf_redirect_map(&exits, *port, XDP_DROP);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

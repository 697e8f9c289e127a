/* Makes frames of many flows, for BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES.
 *
 * The kernel hands the same pages out again without resetting them, and a NAT downstream has
 * written into them: every header is written anew each time.
 */
#include "craft.h"

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	__u32 zero = 0;
	const struct config *c = bpf_map_lookup_elem(&config, &zero);

	return c && craft(ctx, c) ? XDP_TX : XDP_ABORTED;
}

/* A veth transmits XDP frames only if it has a program of its own. */
SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";

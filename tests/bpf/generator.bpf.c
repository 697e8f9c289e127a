/* Makes frames of many flows, for BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES.
 *
 * The kernel hands the same pages out again without resetting them, and a NAT downstream has
 * written into them: every header is written anew each time.
 */
#include "craft.h"

/* Nanoseconds from a frame to the next one at least. A call that sends frames takes 25 ms of its own,
 * so a rate is kept within one call and not by many. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} pace SEC(".maps");

/* Looks at the clock, in some milliseconds. */
#define LOOKS (1 << 16)

static __u64 due;

static long is_due(__u32 look, void *unused)
{
	return bpf_ktime_get_ns() >= due;
}

static __always_inline void wait_a_gap(void)
{
	__u32 zero = 0;
	const __u64 *gap = bpf_map_lookup_elem(&pace, &zero);

	if (!gap || !*gap)
		return;
	bpf_loop(LOOKS, is_due, 0, 0);
	due = bpf_ktime_get_ns() + *gap;
}

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	__u32 zero = 0;
	const struct config *c = bpf_map_lookup_elem(&config, &zero);

	wait_a_gap();
	return c && craft(ctx, c) ? XDP_TX : XDP_ABORTED;
}

/* A veth transmits XDP frames only if it has a program of its own. */
SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";

/* Hands frames of many flows to another program, for BPF_PROG_TEST_RUN without live frames: the one
 * frame there is has been changed by the program before, so it is written anew each time. What this
 * costs is measured with a program that does nothing.
 */
#include "craft.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} subject SEC(".maps");

static __always_inline int grown(const struct xdp_md *ctx, const struct config *c)
{
	long present = (void *)(long)ctx->data_end - (void *)(long)ctx->data;

	barrier_var(present); /* or clang subtracts pointers in 32 bits, which the verifier refuses */
	return present - (int)c->length;
}

static __always_inline int hand_over(struct xdp_md *ctx, const struct config *c)
{
	if (craft(ctx, c))
		bpf_tail_call(ctx, &subject, 0);
	return XDP_ABORTED;
}

/* For what makes frames longer at their front, or leaves them as long as they are. */
SEC("xdp")
int drive(struct xdp_md *ctx)
{
	__u32 zero = 0;
	const struct config *c = bpf_map_lookup_elem(&config, &zero);

	if (!c || bpf_xdp_adjust_head(ctx, grown(ctx, c)))
		return XDP_ABORTED;
	return hand_over(ctx, c);
}

/* For what makes them longer or shorter at their end. */
SEC("xdp")
int drive_answered(struct xdp_md *ctx)
{
	__u32 zero = 0;
	const struct config *c = bpf_map_lookup_elem(&config, &zero);

	if (!c || bpf_xdp_adjust_tail(ctx, -grown(ctx, c)))
		return XDP_ABORTED;
	return hand_over(ctx, c);
}

char _license[] SEC("license") = "Dual MIT/GPL";

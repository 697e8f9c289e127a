//! What the kernel has for cookies.

use std::sync::OnceLock;

use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::Func;
use tracing::warn;

use crate::channel::Lack;

/// What `welcome()` of `bpf/agent/cookie.h` calls; without it that does nothing.
const CALLED: &str = "bpf_sk_assign_tcp_reqsk";

/// What this kernel lacks, which is asked once.
pub(super) fn lack() -> Option<Lack> {
    static LACK: OnceLock<Option<Lack>> = OnceLock::new();
    *LACK.get_or_init(|| {
        let lack = (!has(CALLED)).then_some(Lack::Kernel);
        if let Some(lack) = lack {
            warn!("no connections by cookies: {}", lack.name());
        }
        lack
    })
}

/// Whether the kernel has such a function; one without BTF calls none from BPF.
fn has(function: &str) -> bool {
    let kernel = Btf::from_vmlinux();
    kernel.is_ok_and(|kernel| kernel.type_by_name::<Func<'_>>(function).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_the_kernel_are_told_from_others() {
        if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
            return;
        }
        assert!(has("tcp_v4_rcv"));
        assert!(!has("bpf_sk_assign_tcp_nothing"));
    }
}

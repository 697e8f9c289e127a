//! IPv4 addresses as C's `inet_aton` reads them.

use std::net::Ipv4Addr;

/// Reads an IPv4 address as C's `inet_aton`: 1 to 4 parts, the last of which fills what is left,
/// each decimal, octal (`010`) or hexadecimal (`0x0a`).
pub(crate) fn loose_ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Option<Vec<u32>> = text.split('.').map(loose_part).collect();
    let parts = parts?;
    let (last, front) = parts.split_last()?;
    if front.len() > 3 || front.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 32 - 8 * front.len() as u32;
    if u64::from(*last) >= 1 << room {
        return None;
    }
    let front = front.iter().zip([24, 16, 8]);
    Some(Ipv4Addr::from(
        front.fold(*last, |bits, (part, shift)| bits | part << shift),
    ))
}

fn loose_part(text: &str) -> Option<u32> {
    let (digits, radix) = if let Some(hex) = text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        (hex, 16)
    } else if text.len() > 1 && text.starts_with('0') {
        (text, 8)
    } else {
        (text, 10)
    };
    if digits.starts_with('+') {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

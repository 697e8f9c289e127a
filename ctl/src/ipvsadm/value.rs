//! The values that options take: numbers with bounds, masks, multicast groups.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use adminapi::model::{BadHelper, Helper, Persistence};

use super::failure::Failure;
use super::grammar::TunnelType;
use super::inet::loose_ipv4;
use super::switches::Dialect;

/// Seconds in 31 days, the longest timeout.
pub(crate) const MAX_TIMEOUT: i64 = 31 * 24 * 60 * 60;

/// What C's `isspace` takes for blank.
pub(super) const BLANKS: [char; 6] = [' ', '\t', '\n', '\x0b', '\x0c', '\r'];

/// A decimal number within `range`, read as C's `strtol` does: blanks and a sign may lead.
pub(crate) fn number(text: &str, range: RangeInclusive<i64>) -> Option<i64> {
    let text = text.trim_start_matches(BLANKS);
    let value = text.parse::<i64>().ok()?;
    range.contains(&value).then_some(value)
}

/// The number that a text begins with, as C's `atoi` reads it: 0 where there is none.
fn leading_number(text: &str) -> i64 {
    let text = text.trim_start_matches(BLANKS);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let behind = unsigned.trim_start_matches(|c: char| c.is_ascii_digit());
    text[..text.len() - behind.len()].parse().unwrap_or(0)
}

/// A number within `range`, or `message`.
pub(crate) fn bounded<T: TryFrom<i64>>(
    text: &str,
    range: RangeInclusive<i64>,
    message: &str,
) -> Result<T, Failure> {
    number(text, range)
        .and_then(|value| T::try_from(value).ok())
        .ok_or_else(|| Failure::argument(message))
}

/// Seconds, at least `least`.
pub(crate) fn timeout(text: &str, least: i64) -> Result<u32, Failure> {
    let message = format!("invalid timeout value `{text}' specified");
    bounded(text, least..=MAX_TIMEOUT, &message)
}

/// A firewall mark.
pub(crate) fn fwmark(text: &str) -> Result<u32, Failure> {
    let message = format!("invalid fwmark value `{text}' specified");
    bounded(text, 1..=u32::MAX.into(), &message)
}

/// The mask of clients that count as one: dotted for IPv4, a length for IPv6, whatever is behind it.
/// None when that is each by itself. ipvsadm has no IPv6 mask of length 0.
pub(crate) fn client_mask(text: &str, ipv6: bool, dialect: Dialect) -> Result<Option<u8>, Failure> {
    if ipv6 && text == "0" && dialect == Dialect::Bulwark {
        return Ok(Some(0));
    }
    if ipv6 {
        let prefix = u8::try_from(leading_number(text)).ok();
        let prefix = prefix.filter(|prefix| (1..=128).contains(prefix));
        let prefix = prefix.ok_or_else(|| Failure::argument("illegal ipv6 netmask specified"))?;
        return Ok(Some(prefix).filter(|prefix| *prefix < 128));
    }
    let bad = || Failure::argument("illegal virtual server persistent mask specified");
    let mask = loose_ipv4(text).ok_or_else(bad)?;
    let holes = || Failure::operation(format!("mask {mask}: the director takes none with holes"));
    let prefix = Persistence::of_netmask(mask).ok_or_else(holes)?;
    Ok(Some(prefix).filter(|prefix| *prefix < 32))
}

/// The group of the sync daemons: IPv6 where there is a colon, whatever else there is.
pub(crate) fn multicast_group(text: &str) -> Result<IpAddr, Failure> {
    let (group, family) = match text.contains(':') {
        true => (text.parse().ok().map(IpAddr::V6), "IPv6"),
        false => (text.parse().ok().map(IpAddr::V4), "IPv4"),
    };
    group
        .filter(IpAddr::is_multicast)
        .ok_or_else(|| Failure::argument(format!("invalid {family} mcast-group `{text}'")))
}

/// How a tunnel wraps packets.
pub(crate) fn tunnel_type(text: &str) -> Result<TunnelType, Failure> {
    TunnelType::ALL
        .into_iter()
        .find(|kind| kind.rule().name == text)
        .ok_or_else(|| Failure::argument("illegal tunnel type specified"))
}

/// What is to follow the connections of a service.
pub(super) fn helper(text: &str) -> Result<Helper, Failure> {
    (text.parse()).map_err(|error: BadHelper| Failure::argument(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_strtol_does() {
        for (text, value) in [
            ("0", Some(0)),
            ("010", Some(10)),
            ("+5", Some(5)),
            (" 5", Some(5)),
            ("-1", None),
            ("1x", None),
            ("1.5", None),
            ("0x10", None),
            ("", None),
            ("+", None),
            ("5 ", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(number(text, 0..=100), value, "{text:?}");
        }
    }

    #[test]
    fn groups_must_be_multicast() {
        assert!(multicast_group("224.0.0.81").is_ok());
        assert!(multicast_group("ff05::1").is_ok());
        for (text, family) in [
            ("10.0.0.1", "IPv4"),
            ("zz", "IPv4"),
            ("2001:db8::1", "IPv6"),
            ("zz::", "IPv6"),
            ("ff05::1::2", "IPv6"),
            ("ff05::1%eth0", "IPv6"),
            ("224.0.0.81:80", "IPv6"),
        ] {
            let said = multicast_group(text).map_err(|e| e.to_string());
            assert_eq!(said, Err(format!("invalid {family} mcast-group `{text}'")));
        }
    }

    #[test]
    fn lengths_of_ipv6_masks_are_read_as_atoi_does() {
        for (text, mask) in [
            ("64", Some(Some(64))),
            ("64abc", Some(Some(64))),
            (" +64.5", Some(Some(64))),
            ("128", Some(None)),
            ("129", None),
            ("0", None),
            ("-64", None),
            ("abc", None),
            ("+-64", None),
            ("", None),
            ("99999999999999999999999", None),
        ] {
            let read = |dialect| client_mask(text, true, dialect).ok();
            assert_eq!(read(Dialect::Ipvsadm), mask, "{text:?}");
            let own = mask.or_else(|| (text == "0").then_some(Some(0)));
            assert_eq!(read(Dialect::Bulwark), own, "{text:?}");
        }
    }
}

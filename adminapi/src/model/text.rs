//! Schemas of values that are text on the wire.

use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{ConnectionId, Cursor, PortRange, Prefix, ServiceId, TcpFlags, TemplateId};

/// An IPv4 or IPv6 address.
pub(crate) struct AddressText;

impl PartialSchema for AddressText {
    fn schema() -> RefOr<Schema> {
        let text = |format, example: &str| {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(format)))
                .examples([example])
        };
        AnyOfBuilder::new()
            .description(Some("An IPv4 or IPv6 address."))
            .item(text(KnownFormat::Ipv4, "192.0.2.10"))
            .item(text(KnownFormat::Ipv6, "2001:db8::10"))
            .into()
    }
}

impl ToSchema for AddressText {
    fn name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }
}

/// Implements the schema of a type that is text of a pattern.
macro_rules! patterns {
    ($($type:ty, $name:literal, $what:literal, $pattern:expr, $examples:expr;)*) => {
        $(impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some($what))
                    .pattern(Some($pattern))
                    .examples($examples)
                    .into()
            }
        }

        impl ToSchema for $type {
            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
        })*
    };
}

/// An address and a port.
pub(crate) struct EndpointText;

/// 0 to 255.
macro_rules! octet {
    () => {
        "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
    };
}

/// RFC 3986, section 3.2.2, but for IPv4 in IPv6, which nobody needs to write.
macro_rules! v4 {
    () => {
        concat!(octet!(), r"(\.", octet!(), "){3}")
    };
}

macro_rules! v6 {
    () => {
        concat!(
            "(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}",
            "|([0-9a-fA-F]{1,4}:){1,7}:",
            "|([0-9a-fA-F]{1,4}:){1,6}:[0-9a-fA-F]{1,4}",
            "|([0-9a-fA-F]{1,4}:){1,5}(:[0-9a-fA-F]{1,4}){1,2}",
            "|([0-9a-fA-F]{1,4}:){1,4}(:[0-9a-fA-F]{1,4}){1,3}",
            "|([0-9a-fA-F]{1,4}:){1,3}(:[0-9a-fA-F]{1,4}){1,4}",
            "|([0-9a-fA-F]{1,4}:){1,2}(:[0-9a-fA-F]{1,4}){1,5}",
            "|[0-9a-fA-F]{1,4}:(:[0-9a-fA-F]{1,4}){1,6}",
            "|:((:[0-9a-fA-F]{1,4}){1,7}|:))"
        )
    };
}

/// 0 to 65535.
macro_rules! port {
    () => {
        "([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
    };
}

/// 1 to 4294967295.
macro_rules! mark {
    () => {
        concat!(
            "([1-9][0-9]{0,8}|[1-3][0-9]{9}|4[01][0-9]{8}|42[0-8][0-9]{7}|429[0-3][0-9]{6}",
            "|4294[0-8][0-9]{5}|42949[0-5][0-9]{4}|429496[0-6][0-9]{3}|4294967[01][0-9]{2}",
            "|42949672[0-8][0-9]|429496729[0-5])"
        )
    };
}

macro_rules! endpoint {
    () => {
        concat!("(", v4!(), r"|\[", v6!(), r"\]):", port!())
    };
}

macro_rules! service {
    () => {
        concat!("((tcp|udp|sctp):", endpoint!(), "|fwm6?:", mark!(), ")")
    };
}

macro_rules! flag {
    () => {
        "(syn|fin|rst|psh|ack|urg|ece|cwr)"
    };
}

patterns! {
    EndpointText, "Endpoint", "An address and a port.",
        concat!("^", endpoint!(), "$"), ["10.0.2.1:8080", "[2001:db8::1]:53"];
    ServiceId, "ServiceId", "What names a virtual service.",
        concat!("^", service!(), "$"),
        ["tcp:192.0.2.10:80", "udp:[2001:db8::10]:53", "fwm:7"];
    ConnectionId, "ConnectionId", "What names a connection: protocol, client and VIP.",
        concat!("^(tcp|udp|sctp):", endpoint!(), "-", endpoint!(), "$"),
        ["tcp:203.0.113.7:40112-192.0.2.10:80"];
    TemplateId, "TemplateId", "What names a template: the service and the client.",
        concat!("^", service!(), "-(", v4!(), "|", v6!(), ")$"),
        ["tcp:192.0.2.10:80-203.0.113.7"];
    Prefix, "Prefix", "A network or one address.",
        concat!(
            "^(", v4!(), "(/(3[0-2]|[12]?[0-9]))?", "|", v6!(), "(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?)$"
        ),
        ["10.0.0.0/8", "2001:db8::/32"];
    PortRange, "PortRange", "A port or a range of ports.",
        concat!("^", port!(), "(-", port!(), ")?$"), ["80", "8000-8099"];
    TcpFlags, "TcpFlags", "Control bits of a TCP segment.",
        concat!("^(none|", flag!(), "(,", flag!(), ")*)$"), ["syn", "syn,ack"];
    Cursor, "Cursor", "Where the next page starts.",
        "^[0-9a-fA-F]{1,16}$", ["1f4"];
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn networks_are_described_as_they_are_read() {
        let RefOr::T(Schema::Object(described)) = Prefix::schema() else {
            panic!("it is text");
        };
        let pattern = Regex::new(&described.pattern.unwrap()).unwrap();
        // Of these no length leaves bits beyond the network.
        for address in ["0.0.0.0", "::"] {
            assert!(pattern.is_match(address));
            for length in 0..1000 {
                let text = format!("{address}/{length}");
                let read = text.parse::<Prefix>().is_ok();
                assert_eq!(pattern.is_match(&text), read, "{text}");
            }
        }
    }
}

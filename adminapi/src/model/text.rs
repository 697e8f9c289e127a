//! Schemas of values that are text on the wire.

use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{Cursor, PortRange, Prefix, ServiceId};

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

/// Loose on purpose: that an octet ends at 255 and how zeros are left out is for the reader.
macro_rules! endpoint {
    () => {
        r"([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9a-fA-F:.]{2,45}\]):[0-9]{1,5}"
    };
}

patterns! {
    EndpointText, "Endpoint", "An address and a port.",
        concat!("^", endpoint!(), "$"), ["10.0.2.1:8080", "[2001:db8::1]:53"];
    ServiceId, "ServiceId", "What names a virtual service.",
        concat!("^((tcp|udp|sctp):", endpoint!(), "|fwm6?:[0-9]{1,10})$"),
        ["tcp:192.0.2.10:80", "udp:[2001:db8::10]:53", "fwm:7"];
    Prefix, "Prefix", "A network or one address.",
        r"^[0-9a-fA-F:.]{2,45}(/[0-9]{1,3})?$", ["10.0.0.0/8", "2001:db8::/32"];
    PortRange, "PortRange", "A port or a range of ports.",
        "^[0-9]{1,5}(-[0-9]{1,5})?$", ["80", "8000-8099"];
    Cursor, "Cursor", "Where the next page starts.",
        "^[0-9a-fA-F]{1,16}$", ["1f4"];
}

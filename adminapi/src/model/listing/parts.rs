//! What leaves fields out when they are empty, in parts that are always there: an encoding without
//! names would not know which is missing. And what is a text elsewhere, in its numbers.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::{Engine, Persistence, Tunnel, TunnelChecksum, TunnelType};

pub(super) trait Whole: Copy {
    type Parts: Serialize + DeserializeOwned;
    fn parts(self) -> Self::Parts;
    fn whole(parts: Self::Parts) -> Self;
}

impl Whole for Persistence {
    type Parts = (u32, Option<u8>, Option<Engine>);

    fn parts(self) -> Self::Parts {
        (self.timeout, self.prefix, self.engine)
    }

    fn whole((timeout, prefix, engine): Self::Parts) -> Self {
        Self {
            timeout,
            prefix,
            engine,
        }
    }
}

impl Whole for Tunnel {
    type Parts = (TunnelType, Option<u16>, TunnelChecksum);

    fn parts(self) -> Self::Parts {
        (self.kind, self.port, self.checksum)
    }

    fn whole((kind, port, checksum): Self::Parts) -> Self {
        Self {
            kind,
            port,
            checksum,
        }
    }
}

pub(super) fn serialize<T: Whole, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.map(T::parts).serialize(serializer)
}

pub(super) fn deserialize<'de, T: Whole, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let parts = Option::<T::Parts>::deserialize(deserializer)?;
    Ok(parts.map(T::whole))
}

/// The name of a service, which is a text elsewhere.
pub(super) mod id {
    use std::net::SocketAddr;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::model::{Family, Protocol, ServiceId};

    #[derive(Serialize, Deserialize)]
    enum Id {
        Address(Protocol, SocketAddr),
        Mark(u32, Family),
    }

    pub(in super::super) fn serialize<S: Serializer>(
        id: &ServiceId,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match *id {
            ServiceId::Address { protocol, vip } => Id::Address(protocol, vip),
            ServiceId::Mark { mark, family } => Id::Mark(mark, family),
        }
        .serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ServiceId, D::Error> {
        Ok(match Id::deserialize(deserializer)? {
            Id::Address(protocol, vip) => ServiceId::at(protocol, vip),
            Id::Mark(mark, family) => ServiceId::Mark { mark, family },
        })
    }
}

//! What a packet is to the state machine.

use super::Invalid;
use crate::wire::sctp::{self, Chunk, kind};

/// The class of a packet by its chunks (`ipvs_sctp_event_t` of IPVS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Event {
    /// DATA, SACK, HEARTBEAT and whatever else moves no state.
    Data,
    /// INIT.
    Init,
    /// INIT ACK.
    InitAck,
    /// COOKIE ECHO.
    CookieEcho,
    /// COOKIE ACK.
    CookieAck,
    /// SHUTDOWN.
    Shutdown,
    /// SHUTDOWN ACK.
    ShutdownAck,
    /// SHUTDOWN COMPLETE.
    ShutdownComplete,
    /// ERROR.
    Error,
    /// ABORT.
    Abort,
}

impl Event {
    /// How many there are.
    pub const COUNT: usize = 10;

    /// All of them, in the order of the rows of a state table.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Data,
        Self::Init,
        Self::InitAck,
        Self::CookieEcho,
        Self::CookieAck,
        Self::Shutdown,
        Self::ShutdownAck,
        Self::ShutdownComplete,
        Self::Error,
        Self::Abort,
    ];

    /// The class of a chunk.
    const fn of(chunk: u8) -> Self {
        match chunk {
            kind::INIT => Self::Init,
            kind::INIT_ACK => Self::InitAck,
            kind::COOKIE_ECHO => Self::CookieEcho,
            kind::COOKIE_ACK => Self::CookieAck,
            kind::SHUTDOWN => Self::Shutdown,
            kind::SHUTDOWN_ACK => Self::ShutdownAck,
            kind::SHUTDOWN_COMPLETE => Self::ShutdownComplete,
            kind::ERROR => Self::Error,
            kind::ABORT => Self::Abort,
            _ => Self::Data,
        }
    }

    /// The name of its row.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Init => "init",
            Self::InitAck => "init-ack",
            Self::CookieEcho => "cookie-echo",
            Self::CookieAck => "cookie-ack",
            Self::Shutdown => "shutdown",
            Self::ShutdownAck => "shutdown-ack",
            Self::ShutdownComplete => "complete",
            Self::Error => "error",
            Self::Abort => "abort",
        }
    }

    /// Whether it stands alone in its packet (RFC 9260 §6.10).
    const fn is_alone(self) -> bool {
        matches!(self, Self::Init | Self::InitAck | Self::ShutdownComplete)
    }

    /// Whether it ends the association at once.
    pub(super) const fn ends(self) -> bool {
        matches!(self, Self::Abort | Self::ShutdownComplete)
    }
}

/// What one packet says, read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its class.
    pub event: Event,
    /// Its verification tag.
    pub tag: u32,
    /// Whether the tag is not the receiver's own but what the receiver has sent (the T bit of
    /// ABORT and SHUTDOWN COMPLETE): the sender knows no association.
    pub is_reflected: bool,
    /// What INIT and INIT ACK want packets to their sender to carry as their tag.
    pub initiate: u32,
}

/// T bit (RFC 9260 §3.3.7, §3.3.13).
const REFLECTED: u8 = 1;

/// Length of what INIT and INIT ACK have to say, bytes (RFC 9260 §3.3.2).
const INIT_LEN: usize = 16;

impl Packet {
    /// Reads the packet at `bytes`, which [`sctp::checked`] has passed.
    ///
    /// An ABORT decides wherever it stands, since chunks of control may stand before it; else the
    /// first chunk that moves a state.
    ///
    /// # Errors
    /// [`Invalid::Chunks`] for what a receiver throws away: one that has to stand alone among
    /// others, or an INIT that is cut short or names no tag.
    pub fn read(bytes: &[u8]) -> Result<Self, Invalid> {
        let header = sctp::header(bytes).ok_or(Invalid::Chunks)?;
        let (chunk, event) = decisive(bytes).ok_or(Invalid::Chunks)?;
        if event.is_alone() && sctp::chunks(bytes).nth(1).is_some() {
            return Err(Invalid::Chunks);
        }
        Ok(Self {
            event,
            tag: header.tag(),
            is_reflected: event.ends() && chunk.flags & REFLECTED != 0,
            initiate: match event {
                Event::Init | Event::InitAck => initiate(&chunk)?,
                _ => 0,
            },
        })
    }
}

fn decisive(bytes: &[u8]) -> Option<(Chunk<'_>, Event)> {
    let mut found = None;
    for chunk in sctp::chunks(bytes) {
        let event = Event::of(chunk.kind);
        match (event, found) {
            (Event::Abort, _) => return Some((chunk, event)),
            (_, None | Some((_, Event::Data))) => found = Some((chunk, event)),
            _ => {}
        }
    }
    found
}

fn initiate(chunk: &Chunk<'_>) -> Result<u32, Invalid> {
    match chunk.value.first_chunk() {
        Some(&tag) if chunk.value.len() >= INIT_LEN && tag != [0; 4] => Ok(u32::from_be_bytes(tag)),
        _ => Err(Invalid::Chunks),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with the tag 7 and these chunks: kind, flags, value.
    fn packet(chunks: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0];
        for (kind, flags, value) in chunks {
            bytes.extend([*kind, *flags]);
            bytes.extend((value.len() as u16 + 4).to_be_bytes());
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    fn event(chunks: &[(u8, u8, &[u8])]) -> Result<Event, Invalid> {
        Packet::read(&packet(chunks)).map(|packet| packet.event)
    }

    const INIT: &[u8] = &[0, 0, 0, 9, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0];

    #[test]
    fn the_first_chunk_that_moves_a_state_decides_and_an_abort_before_all() {
        const SACK: u8 = 3;
        for (chunks, expected) in [
            (&[(0, 3, b"data" as &[u8])][..], Event::Data),
            (&[(SACK, 0, b""), (kind::SHUTDOWN, 0, b"")], Event::Shutdown),
            (
                &[(kind::COOKIE_ECHO, 0, b"c"), (0, 3, b"d")],
                Event::CookieEcho,
            ),
            (
                &[(kind::COOKIE_ACK, 0, b""), (kind::ABORT, 0, b"")],
                Event::Abort,
            ),
            (
                &[(kind::ERROR, 0, b""), (kind::COOKIE_ECHO, 0, b"")],
                Event::Error,
            ),
            (&[(0xc1, 0, b"asconf")], Event::Data),
            (&[(kind::INIT, 0, INIT)], Event::Init),
            (
                &[(kind::SHUTDOWN_COMPLETE, 0, b"")],
                Event::ShutdownComplete,
            ),
        ] {
            assert_eq!(event(chunks), Ok(expected), "{chunks:?}");
        }
    }

    #[test]
    fn what_a_receiver_throws_away_is_invalid() {
        for chunks in [
            &[(kind::INIT, 0, INIT), (0, 3, b"d")][..],
            &[(3, 0, b""), (kind::INIT_ACK, 0, INIT)],
            &[(kind::SHUTDOWN_COMPLETE, 0, b""), (0, 3, b"d")],
            &[(kind::INIT, 0, &INIT[..12])],
            &[(kind::INIT, 0, &[0; 16])],
        ] {
            assert_eq!(event(chunks), Err(Invalid::Chunks), "{chunks:?}");
        }
    }

    #[test]
    fn tags_and_the_t_bit_are_read() {
        let init = Packet::read(&packet(&[(kind::INIT, 1, INIT)])).unwrap();
        assert_eq!((init.tag, init.initiate, init.is_reflected), (7, 9, false));
        let abort = Packet::read(&packet(&[(kind::ABORT, 1, b"")])).unwrap();
        assert_eq!((abort.initiate, abort.is_reflected), (0, true));
    }
}

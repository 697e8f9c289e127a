//! What the table keeps of one connection.

use std::sync::atomic::{Ordering::SeqCst, compiler_fence};

use super::tracked::Tracked;
use crate::direction::Direction;
use crate::service::RealId;
use crate::time::Tick;
use crate::wire::{Addr, Endpoint, Protocol, Tuple};

/// How much a connection is worth when room is short: the lowest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// TCP or SCTP whose handshake is not complete; lives in the half-open pool.
    HalfOpen = 1,
    /// UDP, as long as the real server has not answered.
    Unverified = 2,
    /// Both ends are done, or one has reset.
    Closing = 3,
    /// UDP whose real server has answered: anyone can bring that about, from
    /// any address.
    Answered = 4,
    /// Both ends talk.
    Established = 5,
}

impl Class {
    /// Whether a newcomer of this class may push out a connection of class `other`. What both
    /// ends have agreed on gives way to its like only, so that no flood can displace it.
    pub const fn may_displace(self, other: Self) -> bool {
        (other as u8) < Self::Answered as u8 || self as u8 >= Self::Answered as u8
    }
}

/// One connection. All zero = a free place.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Entry {
    client_addr: Addr,
    virtual_addr: Addr,
    client_port: u16,
    virtual_port: u16,
    real_port: u16,
    /// Port that the director speaks from towards the real server; 0 when that is the client's.
    pub local_port: u16,
    /// The number of the director's own address that goes with `local_port`.
    pub local_id: u16,
    /// Class in the low three bits, 0 = free; bits 3, 4, 5 and 7: see `FTP` and
    /// its like; bit 6 = no reply passes here.
    kind: u8,
    /// The prefix of the client in the template that controls it, and one; 0 = none does.
    control: u8,
    real: u32,
    expires: Tick,
    /// Protocol, and what its state machine keeps.
    pub tracked: Tracked,
    /// Packets from the client; stops at the top. Of a spliced connection, its [`Entry::clock`].
    pub packets: u32,
    /// Wheel links; in a free place `next` is the free list.
    pub(super) next: u32,
    pub(super) prev: u32,
    /// Hash of the reply tuple, which the entry alone cannot give: it has no RIP.
    reply_hash: u32,
}

const _: () = assert!(size_of::<Entry>() == 104);

const CLASS_MASK: u8 = 0x07;
/// The gate forwards its packets by itself.
const CACHED: u8 = 0x08;
const ONE_WAY: u8 = 0x40;
/// A control connection of FTP.
const FTP: u8 = 0x10;
/// Its client has last asked where to open a data connection to.
const ASKED: u8 = 0x20;
/// The real server has opened it.
const BY_REAL: u8 = 0x80;

impl Entry {
    /// How many leading bytes a packet of a known connection reads or writes.
    pub(super) const HOT_BYTES: usize = std::mem::offset_of!(Entry, next);

    /// A connection from `original.src` to the virtual service `original.dst`, given to port
    /// `real_port` of `real`, that expires at `expires` unless touched.
    pub fn new(
        original: &Tuple,
        real: RealId,
        real_port: u16,
        class: Class,
        expires: Tick,
    ) -> Self {
        Self {
            client_addr: original.src.addr,
            client_port: original.src.port,
            virtual_addr: original.dst.addr,
            virtual_port: original.dst.port,
            real_port,
            kind: class as u8,
            real: real.0,
            expires,
            tracked: Tracked::new(original.protocol),
            ..Self::default()
        }
    }

    /// Transport protocol.
    #[inline]
    pub const fn protocol(&self) -> Protocol {
        self.tracked.protocol()
    }

    /// Client endpoint (CIP).
    #[inline]
    pub const fn client(&self) -> Endpoint {
        Endpoint::new(self.client_addr, self.client_port)
    }

    /// Endpoint of the virtual service (VIP).
    #[inline]
    pub const fn vip(&self) -> Endpoint {
        Endpoint::new(self.virtual_addr, self.virtual_port)
    }

    /// The real server that has it.
    #[inline]
    pub const fn real(&self) -> RealId {
        RealId(self.real)
    }

    /// Port on the real server.
    #[inline]
    pub const fn real_port(&self) -> u16 {
        self.real_port
    }

    /// When it dies unless touched.
    #[inline]
    pub const fn expires(&self) -> Tick {
        self.expires
    }

    /// Lets it live until then at the least. To be said before a table has it.
    pub fn outlive(&mut self, moment: Tick) {
        self.expires = self.expires.max(moment);
    }

    /// What it is worth.
    #[inline]
    pub const fn class(&self) -> Class {
        match self.kind & CLASS_MASK {
            2 => Class::Unverified,
            3 => Class::Closing,
            4 => Class::Answered,
            5 => Class::Established,
            _ => Class::HalfOpen,
        }
    }

    /// The tuple of its packets from the client.
    #[inline]
    pub const fn original(&self) -> Tuple {
        Tuple {
            protocol: self.protocol(),
            src: self.client(),
            dst: self.vip(),
        }
    }

    /// Whether a packet from a client belongs to it.
    #[inline]
    pub fn matches_original(&self, tuple: &Tuple) -> bool {
        self.original() == *tuple
    }

    /// Whether a packet from a real server belongs to it; `real_addr` is the address (RIP) of
    /// [`Entry::real`] and `peer` whom that one talks to, neither of which the entry holds.
    #[inline]
    pub fn matches_reply(&self, tuple: &Tuple, real_addr: Addr, peer: Endpoint) -> bool {
        let reply = Tuple {
            protocol: self.protocol(),
            src: Endpoint::new(real_addr, self.real_port),
            dst: peer,
        };
        reply == *tuple && !self.is_one_way()
    }

    /// Says that a template controls it, one that is filed under so many bits of the client.
    pub const fn control(&mut self, prefix: u8) {
        self.control = prefix + 1;
    }

    /// Under how many bits of the client the template is filed that controls it, if one does.
    #[inline]
    pub const fn controlled_by(&self) -> Option<u8> {
        self.control.checked_sub(1)
    }

    /// Whether what one real server answers to the two could not be told apart.
    pub(super) fn is_answered_like(&self, other: &Self) -> bool {
        let same_peer = match (self.local_port, other.local_port) {
            (0, 0) => self.client() == other.client(),
            (own, others) => own == others && self.local_id == other.local_id,
        };
        same_peer && self.real_port == other.real_port && self.protocol() == other.protocol()
    }

    /// Counts a packet from the client.
    #[inline]
    pub fn count_packet(&mut self) {
        if !self.is_spliced() {
            self.packets = self.packets.saturating_add(1);
        }
    }

    /// Whether client and real server have each another number for what the real server says.
    #[inline]
    pub const fn is_spliced(&self) -> bool {
        self.tracked.is_spliced()
    }

    /// Of a spliced connection, what is added to the clock of its real server for the client; before
    /// that one has answered, the clock that the client was told.
    pub const fn clock(&self) -> u32 {
        self.packets
    }

    /// Says what it is.
    pub const fn set_clock(&mut self, clock: u32) {
        self.packets = clock;
    }

    /// Whether its replies never pass here.
    #[inline]
    pub const fn is_one_way(&self) -> bool {
        self.kind & ONE_WAY != 0
    }

    /// Whether it is a control connection of FTP.
    #[inline]
    pub const fn is_ftp(&self) -> bool {
        self.kind & FTP != 0
    }

    /// Says that it is a control connection of FTP.
    pub const fn set_ftp(&mut self) {
        self.kind |= FTP;
    }

    /// Whether its client has last asked where to open a data connection to.
    pub const fn has_asked(&self) -> bool {
        self.kind & ASKED != 0
    }

    /// Says whether it has.
    pub const fn set_asked(&mut self, asked: bool) {
        self.kind = match asked {
            true => self.kind | ASKED,
            false => self.kind & !ASKED,
        };
    }

    /// Whether the gate forwards its packets by itself, and knows more of it than this entry.
    #[inline]
    pub const fn is_cached(&self) -> bool {
        self.kind & CACHED != 0
    }

    /// Says whether it does.
    pub const fn set_cached(&mut self, cached: bool) {
        self.kind = match cached {
            true => self.kind | CACHED,
            false => self.kind & !CACHED,
        };
    }

    /// Says that the real server opens it.
    pub const fn set_by_real(&mut self) {
        self.kind |= BY_REAL;
    }

    /// The way of a packet as its state machine has it, where who opens is the client.
    #[inline]
    pub const fn side(&self, way: Direction) -> Direction {
        match self.kind & BY_REAL {
            0 => way,
            _ => way.reversed(),
        }
    }

    /// Fills a free place. A process that is killed meanwhile leaves it free: the class comes last.
    pub(super) fn move_in(&mut self, entry: Self) {
        *self = Self { kind: 0, ..entry };
        compiler_fence(SeqCst);
        self.kind = entry.kind;
    }

    /// Makes its place free, the first of a list that goes on at `next`. In one that a killed process
    /// has half emptied nothing lives: the class goes first.
    pub(super) fn leave(&mut self, next: u32) {
        self.kind = 0;
        compiler_fence(SeqCst);
        *self = Self {
            next,
            ..Self::default()
        };
    }

    /// Keeps the hash of its reply tuple, if replies pass here.
    pub(super) fn set_reply(&mut self, hash: Option<u32>) {
        self.reply_hash = hash.unwrap_or(0);
        self.kind = match hash {
            Some(_) => self.kind & !ONE_WAY,
            None => self.kind | ONE_WAY,
        };
    }

    /// The hash of its reply tuple, if replies pass here.
    pub(super) const fn reply(&self) -> Option<u32> {
        match self.is_one_way() {
            true => None,
            false => Some(self.reply_hash),
        }
    }

    #[inline]
    pub(super) const fn is_free(&self) -> bool {
        self.kind & CLASS_MASK == 0
    }

    /// Whether it is of a class that there is.
    pub(super) const fn has_class(&self) -> bool {
        matches!(self.kind & CLASS_MASK, 1..=5)
    }

    #[inline]
    pub(super) fn set_class(&mut self, class: Class) {
        self.kind = (self.kind & !CLASS_MASK) | class as u8;
    }

    #[inline]
    pub(super) fn set_expires(&mut self, expires: Tick) {
        self.expires = expires;
    }
}

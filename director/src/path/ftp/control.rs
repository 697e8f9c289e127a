//! What is said on a control connection of FTP. Where the real server names an end of its own, the
//! client reads one of the VIP; what is said after that is numbered as if it had been said so.

use crate::flow::{Direction, Entry};
use crate::forward::{self, Speech};
use crate::ftp::{self, Command, Expected, Offer, Shift};
use crate::path::onward::Onward;
use crate::path::view::View;
use crate::service::{Method, Real};
use crate::wire::{Addr, Endpoint, Piece, Protocol, Transport, Tuple, tcp};

impl View<'_> {
    /// Has a client's segment acknowledge what the real server has said in truth.
    #[inline(never)]
    pub(in crate::path) fn hear_acks(&self, entry: &Entry, frame: &mut [u8], packet: &Transport) {
        if let Some(shift) = self.shifts.of(&entry.original(), entry.expires()) {
            let segment = packet.layout.segment_mut(frame);
            forward::change_acks(segment, |number| shift.meant(number));
        }
    }

    /// Takes in what a segment says, and gives the words that it is to say instead.
    #[inline(never)]
    pub(in crate::path) fn listen_in(
        &self,
        entry: &mut Entry,
        frame: &mut [u8],
        at: &Onward<'_>,
    ) -> Option<Speech> {
        let segment = at.packet.layout.segment_mut(frame);
        let header = tcp::checked(segment).ok()?;
        let (seq, payload) = (header.seq(), header.data_offset());
        let payload = segment.get(payload..).unwrap_or_default();
        if at.way == Direction::Original {
            if !payload.is_empty() {
                self.client_says(entry, payload, at.real);
            }
            return None;
        }
        let shift = self.shifts.of(&entry.original(), entry.expires());
        let speech = self.server_says(entry, payload, at, seq, shift);
        if let Some(shift) = shift {
            forward::set_seq(segment, shift.told(seq));
        }
        speech
    }

    /// An address that is not the client's own is none of its business (RFC 2577 §3).
    fn client_says(&self, entry: &mut Entry, payload: &[u8], real: &Real) {
        let command = ftp::command(payload);
        entry.set_asked(command == Some(Command::Passive));
        let client = entry.client().addr;
        let Some(Command::Active(dst)) = command.filter(|_| real.method == Method::Nat) else {
            return;
        };
        let Some(port) = entry.real_port().checked_sub(1) else {
            return;
        };
        if dst.addr != client {
            return;
        }
        let tuple = Tuple {
            protocol: Protocol::Tcp,
            src: Endpoint::new(real.endpoint.addr, port),
            dst,
        };
        let expected = Expected {
            real: real.id,
            port,
            vip: Endpoint::new(entry.vip().addr, ftp::data_port(entry.vip().port)),
        };
        self.expectations.active(tuple, expected, self.now);
    }

    /// The words that a reply is to say instead. One that is sent again says the same again, since
    /// those after it are numbered by its length.
    fn server_says(
        &self,
        entry: &Entry,
        payload: &[u8],
        at: &Onward<'_>,
        seq: u32,
        shift: Option<Shift>,
    ) -> Option<Speech> {
        let again = shift.filter(|shift| shift.at == seq);
        let is_next = shift.is_none_or(|shift| shift.is_passed_by(seq));
        if at.packet.layout.piece != Piece::Whole
            || again.is_none() && !(is_next && entry.has_asked())
        {
            return None;
        }
        let vip = entry.vip().addr;
        let is_its_own = |addr: Addr| addr == at.real.endpoint.addr || addr == vip;
        let offer = Offer::read(payload).filter(|offer| offer.addr.is_none_or(is_its_own))?;
        let port = match again {
            Some(shift) => shift.said,
            None => {
                let client = entry.client().addr;
                self.expectations
                    .passive(client, vip, at.real.id, offer.port, self.now)?
            }
        };
        let words = offer.naming(Endpoint::new(vip, port))?;
        let speech = Speech::new(&at.packet.layout, offer.words, words.as_bytes())?;
        let is_kept = || {
            let shift = shift.unwrap_or_default().grown(seq, port, speech.growth());
            let until = entry.expires();
            (self.shifts).keep(entry.original(), shift, until, self.now)
        };
        let can_be_said = u32::from(speech.datagram_len()) <= at.hop.mtu
            && (again.is_some() || speech.growth() == 0 || is_kept());
        can_be_said.then_some(speech)
    }
}

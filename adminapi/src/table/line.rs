//! A line of a table, written from the left into blanks that are there already. Long listings are
//! made of these, and the formatter would take five times as long for them as all the rest.

use std::net::SocketAddrV4;

/// Blanks that a line begins with: more than most lines have bytes.
const ROOM: usize = 128;

/// What an octet of an address is written as, with a dot behind it.
const OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [([b' '; 4], 0); 256];
    let mut octet = 0;
    while octet < octets.len() {
        octets[octet] = dotted(octet as u8);
        octet += 1;
    }
    octets
};

/// Its digits and a dot, and how many bytes that are.
const fn dotted(octet: u8) -> ([u8; 4], u8) {
    let [hundreds, tens, ones] = [octet / 100, octet / 10 % 10, octet % 10];
    let [hundreds, tens, ones] = [b'0' + hundreds, b'0' + tens, b'0' + ones];
    match octet {
        0..10 => ([ones, b'.', b' ', b' '], 2),
        10..100 => ([tens, ones, b'.', b' '], 3),
        100.. => ([hundreds, tens, ones, b'.'], 4),
    }
}

/// A line that is being written behind others.
pub struct Line<'t> {
    text: &'t mut Vec<u8>,
    /// Where it goes on; behind that are blanks.
    at: usize,
}

impl<'t> Line<'t> {
    /// Begins a line behind `text`.
    pub fn behind(text: &'t mut Vec<u8>) -> Self {
        let at = text.len();
        text.resize(at + ROOM, b' ');
        Self { text, at }
    }

    /// Goes on at this place of `text`, over what is there.
    pub const fn over(text: &'t mut Vec<u8>, at: usize) -> Self {
        Self { text, at }
    }

    /// Where in the text it goes on.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Ends it.
    pub fn end(mut self) {
        self.write(b"\n");
        self.text.truncate(self.at);
    }

    /// A text as it is.
    pub fn text(&mut self, text: &str) {
        self.write(text.as_bytes());
    }

    /// A blank, and a text at the left of a column.
    pub fn cell(&mut self, text: &str, width: usize) {
        self.text(" ");
        self.left(text, width);
    }

    /// A blank, and a number at the left of a column.
    pub fn count(&mut self, number: u32, width: usize) {
        let end = self.at + 1 + width.max(1);
        if number < 10 && end < self.text.len() {
            self.text[self.at + 1] = b'0' + number as u8;
            self.at = end;
        } else {
            self.cell(itoa::Buffer::new().format(number), width);
        }
    }

    /// A text at the left of a column.
    pub fn left(&mut self, text: &str, width: usize) {
        self.text(text);
        self.blanks(width.saturating_sub(text.chars().count()));
    }

    /// A number with its unit at the right of a column.
    pub fn right(&mut self, number: u64, unit: &str, width: usize) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number);
        self.blanks(width.saturating_sub(digits.len() + unit.len()));
        self.text(digits);
        self.text(unit);
    }

    /// An address at the left of a column.
    pub fn endpoint(&mut self, at: SocketAddrV4, width: usize) {
        let start = self.at;
        for octet in at.ip().octets() {
            let (digits, length) = OCTETS[usize::from(octet)];
            self.write(&digits);
            self.at -= digits.len() - usize::from(length);
        }
        // In the place of the last dot, and of what a short octet has left behind it.
        self.text[self.at - 1] = b':';
        self.text(itoa::Buffer::new().format(at.port()));
        self.blanks(width.saturating_sub(self.at - start));
    }

    fn write(&mut self, bytes: &[u8]) {
        let end = self.room(bytes.len());
        self.text[self.at..end].copy_from_slice(bytes);
        self.at = end;
    }

    fn blanks(&mut self, count: usize) {
        self.at = self.room(count);
    }

    /// Where it goes on after `count` bytes, which there is room for then.
    fn room(&mut self, count: usize) -> usize {
        let end = self.at + count;
        if end > self.text.len() {
            self.text.resize(end + ROOM, b' ');
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Line<'_>)) -> String {
        let mut text = b"before\n".to_vec();
        let mut line = Line::behind(&mut text);
        write(&mut line);
        line.end();
        String::from_utf8(text).unwrap()
    }

    proptest! {
        #[test]
        fn cells_are_those_of_the_formatter(
            address: [u8; 4], port: u16, number in prop_oneof![0u32..12, any::<u32>()], long: u64,
            name in "[a-zü.]{0,300}", width in 0usize..40,
        ) {
            let at = SocketAddrV4::new(Ipv4Addr::from(address), port);
            let got = written(|line| {
                line.text("  -> ");
                line.endpoint(at, width);
                line.count(number, width);
                line.cell(&name, width);
                line.right(long, "K", width);
            });
            let (at, long) = (at.to_string(), format!("{long}K"));
            let want = format!("  -> {at:<width$} {number:<width$} {name:<width$}{long:>width$}");
            prop_assert_eq!(got, format!("before\n{want}\n"));
        }
    }
}

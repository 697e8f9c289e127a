//! SIP messages (RFC 3261), as far as telling which call they belong to.
//!
//! ```text
//!  INVITE sip:bob@example.net SIP/2.0      the start line
//!  Via: SIP/2.0/UDP 203.0.113.7            headers, in any order, of any case, perhaps folded;
//!  i: a84b4c76e66710@pc33                  Call-ID or i: the same in all messages of a call
//!                                          an empty line: what follows may say anything
//!  v=0
//! ```
//!
//! What is said over UDP comes from anybody: nothing beyond the datagram is looked at, and a name
//! that is none is no name.

/// The longest Call-ID that counts (`IP_VS_PEDATA_MAXLEN`).
pub const MAX_CALL_ID: usize = 255;

/// What stands for the call of one client: a keyed hash, since a Call-ID may have any length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Call(pub [u8; 16]);

/// The Call-ID of a message, or of as much of it as there is.
pub fn call_id(message: &[u8]) -> Option<&str> {
    let start = message.iter().position(|byte| !is_line_end(*byte))?;
    let mut rest = next_line(&message[start..])?;
    while rest.first().is_some_and(|byte| !is_line_end(*byte)) {
        if let Some(id) = value(rest).and_then(read) {
            return Some(id);
        }
        rest = next_line(rest)?;
    }
    None
}

const fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

const fn is_blank(byte: &u8) -> bool {
    matches!(*byte, b' ' | b'\t')
}

/// What follows the line that `text` begins with, if that is ended: by CRLF, or as in RFC 2543 by
/// one of the two.
fn next_line(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|byte| is_line_end(*byte))?;
    let rest = &text[end..];
    Some(rest.strip_prefix(b"\r\n").unwrap_or(&rest[1..]))
}

/// What follows the colon of the header that `line` begins with, if that is the Call-ID.
fn value(line: &[u8]) -> Option<&[u8]> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let name = name.trim_ascii_end();
    let is_it = name.eq_ignore_ascii_case(b"call-id") || name.eq_ignore_ascii_case(b"i");
    is_it.then(|| &value[1..])
}

/// `word [ "@" word ]`, with nothing but blanks before it, and after it up to the end of its line.
fn read(value: &[u8]) -> Option<&str> {
    let text = unfolded(value)?;
    let length = text.iter().position(|byte| !is_of_id(*byte))?;
    let (id, rest) = text.split_at(length);
    let end = rest.iter().find(|byte| !is_blank(byte))?;
    let is_it = is_line_end(*end) && length <= MAX_CALL_ID && is_id(id);
    std::str::from_utf8(id).ok().filter(|_| is_it)
}

/// Without the blanks that it begins with, one end of a line among them if the next line is a
/// continuation of this one.
fn unfolded(text: &[u8]) -> Option<&[u8]> {
    let text = without_blanks(text);
    match text.first().is_some_and(|byte| is_line_end(*byte)) {
        false => Some(text),
        true => next_line(text)
            .filter(|next| next.first().is_some_and(is_blank))
            .map(without_blanks),
    }
}

fn without_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| is_blank(byte)).count();
    &text[blanks..]
}

/// One word, or two with an `@` between them.
fn is_id(id: &[u8]) -> bool {
    let mut words = id.split(|byte| *byte == b'@');
    let named = words.by_ref().take(2).all(|word| !word.is_empty());
    named && words.next().is_none()
}

/// Characters of a `word` (RFC 3261, section 25.1), the comma that some use beside them, and `@`.
const fn is_of_id(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'@' | b'-'
                | b'.'
                | b'!'
                | b'%'
                | b'*'
                | b'_'
                | b'+'
                | b'`'
                | b'\''
                | b'~'
                | b'('
                | b')'
                | b'<'
                | b'>'
                | b':'
                | b'\\'
                | b'"'
                | b'/'
                | b'['
                | b']'
                | b'?'
                | b'{'
                | b'}'
                | b','
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "INVITE sip:x@10.9.9.9 SIP/2.0\r\n";

    fn of(headers: &str) -> Option<String> {
        let message = format!("{START}{headers}");
        call_id(message.as_bytes()).map(str::to_owned)
    }

    #[test]
    fn the_header_is_found_as_it_may_be_written() {
        for headers in [
            "Call-ID: a@x\r\n\r\n",
            "Via: SIP/2.0/UDP 1.2.3.4:5060;branch=z9\r\ncall-id:a@x\r\n",
            "CALL-ID \t: \t a@x \t\r\n",
            "i: a@x\r\n",
            "I:a@x\nTo: b\n\n",
            "To: b\rCall-ID: a@x\r\r",
            "Call-ID:\r\n a@x\r\n\r\n",
            "Call-ID:  \r\n\t a@x\r\n\r\n",
            "Call-ID: \r\nCall-ID: a@x\r\n\r\n",
            "Call-ID: a@x\r\nCall-ID: b@x\r\n\r\n",
        ] {
            assert_eq!(of(headers).as_deref(), Some("a@x"), "{headers:?}");
        }
        assert_eq!(call_id(b"\r\n\r\nBYE x\r\nCall-ID: a'b\r\n"), Some("a'b"));
        assert_eq!(
            of("i: f81d4fae-7dec{~}\r\n").as_deref(),
            Some("f81d4fae-7dec{~}")
        );
    }

    #[test]
    fn what_is_none_is_none() {
        for headers in [
            "",
            "\r\n",
            "To: b\r\n\r\nCall-ID: a@x\r\n",
            "Call-ID: a@x",
            "Call-ID: a@x \t",
            "Call-ID\r\n",
            "Call-ID:",
            "Call-ID: \r\n\r\n",
            "Call-ID: @x\r\n",
            "Call-ID: a@\r\n",
            "Call-ID: a@b@c\r\n",
            "Call-ID: a b\r\n",
            "Call-ID: a\x1b[2J\r\n",
            "Call-ID: \u{e4}\r\n",
            "Call-IDs: a@x\r\n",
            "X-Call-ID: a@x\r\n",
            "id: a@x\r\n",
            " i: a@x\r\n",
        ] {
            assert_eq!(of(headers), None, "{headers:?}");
        }
        for message in ["", "\r\n", "Call-ID: a@x\r\n", "\r\n\r\nCall-ID: a@x\r\n"] {
            assert_eq!(call_id(message.as_bytes()), None, "{message:?}");
        }
    }

    #[test]
    fn a_name_has_a_length() {
        for (length, counts) in [(1, true), (MAX_CALL_ID, true), (MAX_CALL_ID + 1, false)] {
            let id = "a".repeat(length);
            assert_eq!(of(&format!("i: {id}\r\n")).is_some(), counts, "{length}");
        }
    }

    /// Every beginning of a message is read without a fault, and says nothing but what it holds.
    #[test]
    fn a_message_may_end_anywhere() {
        let whole = format!("{START}Via: x\r\n y\r\nCall-ID:\r\n a@x\r\n\r\nbody");
        for end in 0..=whole.len() {
            let found = call_id(&whole.as_bytes()[..end]);
            assert!(found.is_none_or(|id| id == "a@x"), "{end}: {found:?}");
        }
    }
}

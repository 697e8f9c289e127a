//! JSON for people: a line for each value, two blanks a level, as `serde_json` lays it out. It is laid
//! out as it comes, and never held or understood.

/// Blanks a level.
const WIDTH: usize = 2;

/// JSON that is laid out piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Indented {
    /// Brackets that are open.
    depth: usize,
    place: Place,
}

/// What has just been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// A value or a part of one, a comma or a colon.
    #[default]
    Within,
    /// A bracket that opens.
    Opened,
    /// A part of a string.
    Text,
    /// A backslash in a string.
    Escape,
}

impl Indented {
    /// Writes a piece, which may begin and end anywhere, behind `text`.
    pub(crate) fn write(&mut self, piece: &[u8], text: &mut Vec<u8>) {
        let mut rest = piece;
        while let Some((&byte, behind)) = rest.split_first() {
            let run = match self.place {
                Place::Text => length_until(rest, |byte| matches!(byte, b'"' | b'\\')),
                Place::Within => length_until(rest, |byte| !byte.is_ascii_alphanumeric()),
                Place::Opened | Place::Escape => 0,
            };
            if run > 0 {
                text.extend_from_slice(&rest[..run]);
                rest = &rest[run..];
            } else {
                self.step(byte, text);
                rest = behind;
            }
        }
    }

    fn step(&mut self, byte: u8, text: &mut Vec<u8>) {
        use Place::{Escape, Opened, Text, Within};
        self.place = match (self.place, byte) {
            (Escape, _) => written(byte, Text, text),
            (Text, b'\\') => written(byte, Escape, text),
            (Text, b'"') => written(byte, Within, text),
            (Text, _) => written(byte, Text, text),
            (place, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                if place == Within {
                    self.new_line(text);
                }
                written(byte, Within, text)
            }
            (_, b',') => {
                text.push(byte);
                self.new_line(text);
                Within
            }
            (_, b':') => {
                text.extend_from_slice(b": ");
                Within
            }
            (place, _) => {
                if place == Opened {
                    self.new_line(text);
                }
                match byte {
                    b'{' | b'[' => {
                        self.depth += 1;
                        written(byte, Opened, text)
                    }
                    b'"' => written(byte, Text, text),
                    _ => written(byte, Within, text),
                }
            }
        };
    }

    fn new_line(&self, text: &mut Vec<u8>) {
        text.push(b'\n');
        text.resize(text.len() + WIDTH * self.depth, b' ');
    }
}

/// Where it is when `byte` has been written as it is.
fn written(byte: u8, place: Place, text: &mut Vec<u8>) -> Place {
    text.push(byte);
    place
}

fn length_until(bytes: &[u8], is_end: impl Fn(u8) -> bool) -> usize {
    let end = bytes.iter().position(|byte| is_end(*byte));
    end.unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a\\\\\"{}:,\\[\\] \n\u{e9}]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::hash_map("[a\\\\\":]{0,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_looks_as_serde_json_lays_it_out_in_whatever_pieces_it_comes(
            value in values(), size in 1usize..9,
        ) {
            let (mut layout, mut text) = (Indented::default(), Vec::new());
            for piece in serde_json::to_vec(&value).unwrap().chunks(size) {
                layout.write(piece, &mut text);
            }
            prop_assert_eq!(
                String::from_utf8(text).unwrap(),
                serde_json::to_string_pretty(&value).unwrap()
            );
        }
    }
}

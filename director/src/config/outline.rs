//! Which line of the text each value stands on.

use std::collections::HashMap;
use std::ops::Range;

use toml_edit::{Document, Item, TableLike, Value};

/// JSON pointers and their lines.
#[derive(Debug)]
pub(super) struct Outline {
    starts: LineStarts,
    lines: HashMap<String, usize>,
}

impl Outline {
    pub(super) fn of(text: &str, document: &Document<&str>) -> Self {
        let mut outline = Self {
            starts: LineStarts::of(text),
            lines: HashMap::new(),
        };
        outline.table("", document.as_table());
        outline
    }

    /// The line of the value at `pointer`, or of the nearest thing around it that is there.
    pub(super) fn line(&self, pointer: &str) -> usize {
        let mut pointer = pointer;
        loop {
            if let Some(line) = self.lines.get(pointer) {
                return *line;
            }
            match pointer.rfind('/') {
                Some(end) => pointer = &pointer[..end],
                None => return 1,
            }
        }
    }

    fn note(&mut self, pointer: &str, span: Option<Range<usize>>) {
        if let Some(span) = span {
            let line = self.starts.line(span.start);
            self.lines.insert(pointer.to_owned(), line);
        }
    }

    fn table(&mut self, pointer: &str, table: &dyn TableLike) {
        for (name, item) in table.iter() {
            let pointer = child(pointer, name);
            let span = table.key(name).and_then(|key| key.span());
            self.note(&pointer, span.or_else(|| item.span()));
            self.item(&pointer, item);
        }
    }

    fn item(&mut self, pointer: &str, item: &Item) {
        if let Some(table) = item.as_table_like() {
            self.table(pointer, table);
        } else if let Some(tables) = item.as_array_of_tables() {
            for (index, table) in tables.iter().enumerate() {
                let pointer = format!("{pointer}/{index}");
                self.note(&pointer, table.span());
                self.table(&pointer, table);
            }
        } else if let Some(array) = item.as_array() {
            for (index, value) in array.iter().enumerate() {
                self.element(&format!("{pointer}/{index}"), value);
            }
        }
    }

    fn element(&mut self, pointer: &str, value: &Value) {
        self.note(pointer, value.span());
        if let Some(table) = value.as_inline_table() {
            self.table(pointer, table);
        }
    }
}

/// The pointer of `name` in what stands at `pointer` (RFC 6901, section 3).
pub(super) fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// `/service/0/real/1/weight` -> `service.real.weight`: the line says which of them.
pub(super) fn key_of(pointer: &str) -> String {
    let names: Vec<_> = pointer
        .split('/')
        .skip(1)
        .filter(|name| name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|name| name.replace("~1", "/").replace("~0", "~"))
        .collect();
    names.join(".")
}

/// Where the lines of a text start.
#[derive(Debug)]
pub(super) struct LineStarts(Vec<usize>);

impl LineStarts {
    pub(super) fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(
            std::iter::once(0)
                .chain(ends.map(|(end, _)| end + 1))
                .collect(),
        )
    }

    /// The line of the byte at `offset`, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }

    /// The offset of the first byte of the line of `offset`.
    pub(super) fn start_of_line(&self, offset: usize) -> usize {
        let line = self.line(offset);
        self.0.get(line - 1).copied().unwrap_or_default()
    }
}

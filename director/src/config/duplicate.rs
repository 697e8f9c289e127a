//! Syntax errors; one about a key that is there twice names both lines.

use toml_edit::{Document, Item, TableLike, TomlError};

use super::outline::LineStarts;

/// Line and text of a syntax error.
pub(super) fn explain(text: &str, error: &TomlError) -> (usize, String) {
    let starts = LineStarts::of(text);
    let span = error.span().unwrap_or_default();
    let line = starts.line(span.start);
    let message = error.message().replace('\n', ", ");
    if message != "duplicate key" {
        return (line, message);
    }
    let before = text.get(..starts.start_of_line(span.start)).unwrap_or("");
    let this = text.lines().nth(line - 1).unwrap_or("").trim();
    let name = text.get(span).unwrap_or("").trim();
    let first = first_line(before, this, &starts);
    let first = first.map_or_else(String::new, |first| format!(" (line {first})"));
    (
        line,
        format!("`{name}` is there already{first}; keep one of them"),
    )
}

/// The line in `before` of the key or header that `line` repeats.
fn first_line(before: &str, line: &str, starts: &LineStarts) -> Option<usize> {
    let document = Document::parse(before).ok()?;
    let mut path = Vec::new();
    if line.starts_with('[') {
        path.extend(names(header(line)));
    } else {
        let section = before.lines().rev().map(str::trim);
        let section = section.map(header).find(|header| !header.is_empty());
        path.extend(section.map(names).unwrap_or_default());
        path.extend(names(line.split('=').next()?));
    }
    let (last, parents) = path.split_last()?;
    let mut table: &dyn TableLike = document.as_table();
    for name in parents {
        table = latest(table.get(name)?)?;
    }
    let key = table.key(last)?;
    Some(starts.line(key.span()?.start))
}

/// What stands between the brackets of a header line; empty for other lines.
fn header(line: &str) -> &str {
    let inner = line
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next());
    inner.unwrap_or("").trim_start_matches('[')
}

/// The parts of a dotted key.
fn names(dotted: &str) -> Vec<&str> {
    dotted
        .split('.')
        .map(|name| name.trim().trim_matches(['"', '\'']))
        .collect()
}

/// The table that `item` is, or the last of the tables.
fn latest(item: &Item) -> Option<&dyn TableLike> {
    match item.as_array_of_tables() {
        Some(tables) => tables.iter().last().map(|table| table as &dyn TableLike),
        None => item.as_table_like(),
    }
}

//! What `-L` and `-l` list: services, connections, timeouts and daemons, as tables or as JSON.

use std::io::Write;

use adminapi::model::{Numbers, ServiceRow, ViewsQuery};
use adminapi::table::{self, Style, TableQuery};

use super::called::{on_daemon, on_listed, on_service};
use super::failure::Failure;
use super::indent::Indented;
use super::names::Names;
use super::print;
use super::request::{List, What};
use crate::director::{Director, Pieces, Rows};

/// Lists what is wanted.
pub(super) async fn list<D: Director>(
    wanted: List,
    director: &D,
    names: &dyn Names,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let List {
        what,
        numeric,
        json,
    } = wanted;
    match what {
        What::Services {
            only: service,
            order,
            ..
        } if json => services_json(director, ViewsQuery { service, order }, out).await,
        What::Services {
            only: service,
            columns,
            order,
        } => {
            let query = TableQuery {
                service,
                columns,
                order,
            };
            services(director, query, style(numeric, names), out).await
        }
        What::Connections { .. } if json => Box::pin(connections_json(director, out)).await,
        What::Connections { engines } => {
            Box::pin(connections(director, engines, style(numeric, names), out)).await
        }
        What::Timeouts => {
            let timeouts = director.timeouts().await.map_err(on_service)?;
            match json {
                true => write_json(&timeouts, out),
                false => Ok(out.write_all(print::timeouts(&timeouts).as_bytes())?),
            }
        }
        What::Daemons => {
            let daemons = director.daemons().await.map_err(on_daemon)?;
            let lines = daemons.iter().map(print::daemon);
            match json {
                true => write_json(&daemons, out),
                false => Ok(out.write_all(lines.collect::<String>().as_bytes())?),
            }
        }
    }
}

fn style(numeric: bool, names: &dyn Names) -> Style<'_> {
    if numeric {
        Style::Numeric
    } else {
        Style::Named(names.naming())
    }
}

async fn services_json<D: Director>(
    director: &D,
    query: ViewsQuery,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let views = director.views(query).await.map_err(on_listed)?;
    write_pieces(views, out).await
}

async fn services<D: Director>(
    director: &D,
    query: TableQuery,
    style: Style<'_>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let columns = query.columns;
    // Numbers of traffic leave the director little that is made beforehand.
    if matches!(style, Style::Numeric) && columns.numbers() == Numbers::None {
        let table = director.table(query).await.map_err(on_listed)?;
        if let Some(table) = table {
            return write_table(table, out).await;
        }
    }
    let rows = director.listing(query.rows()).await.map_err(on_listed)?;
    out.write_all(query.head().as_bytes())?;
    let print = |text: &mut Vec<u8>, row: &ServiceRow| table::service(text, row, columns, style);
    write_rows(rows, print, out).await
}

/// What is written at once of a long listing, bytes: half of what a pipe holds, so that whoever
/// reads it reads on meanwhile.
const PORTION: usize = 32 << 10;

/// Prints what is there while the director makes the rest. What has come before it fails is shown.
pub(super) async fn write_rows(
    mut rows: impl Rows,
    print: impl Fn(&mut Vec<u8>, &ServiceRow),
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut text = Vec::with_capacity(2 * PORTION);
    let ended = loop {
        match rows.next().await {
            Ok(Some(row)) => print(&mut text, &row),
            Ok(None) => break Ok(()),
            Err(error) => break Err(on_service(error)),
        }
        if text.len() >= PORTION {
            out.write_all(&text)?;
            text.clear();
        }
    };
    out.write_all(&text)?;
    ended
}

/// Writes a table as it comes. What has come before it fails is shown.
async fn write_table(mut table: impl Pieces, out: &mut dyn Write) -> Result<(), Failure> {
    while let Some(piece) = table.next().await.map_err(on_service)? {
        out.write_all(piece.as_ref())?;
    }
    Ok(())
}

/// Writes JSON as it comes, laid out. What has come before it fails is shown.
async fn write_pieces(mut pieces: impl Pieces, out: &mut dyn Write) -> Result<(), Failure> {
    let (mut layout, mut text) = (Indented::default(), Vec::new());
    while let Some(piece) = pieces.next().await.map_err(on_service)? {
        layout.write(piece.as_ref(), &mut text);
        out.write_all(&text)?;
        text.clear();
    }
    Ok(writeln!(out)?)
}

fn write_json<T: serde::Serialize + ?Sized>(value: &T, out: &mut dyn Write) -> Result<(), Failure> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

async fn connections<D: Director>(
    director: &D,
    engines: bool,
    style: Style<'_>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut page = director.connections(None).await.map_err(on_service)?;
    out.write_all(print::connections_title(engines).as_bytes())?;
    loop {
        for each in &page.connections {
            out.write_all(print::connection(each, engines, style).as_bytes())?;
        }
        let Some(next) = page.next else {
            return Ok(());
        };
        page = director.connections(Some(next)).await.map_err(on_service)?;
    }
}

/// One array, a connection a line: a table of a million is never held at once.
async fn connections_json<D: Director>(director: &D, out: &mut dyn Write) -> Result<(), Failure> {
    let mut page = director.connections(None).await.map_err(on_service)?;
    let mut separator = "[\n";
    loop {
        for each in &page.connections {
            out.write_all(separator.as_bytes())?;
            serde_json::to_writer(&mut *out, each).map_err(std::io::Error::from)?;
            separator = ",\n";
        }
        let Some(next) = page.next else {
            let end: &[u8] = if separator == "[\n" {
                b"[]\n"
            } else {
                b"\n]\n"
            };
            out.write_all(end)?;
            return Ok(());
        };
        page = director.connections(Some(next)).await.map_err(on_service)?;
    }
}

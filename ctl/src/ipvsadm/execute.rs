//! Does what a line asks for, and says what came of it in ipvsadm's words.

use std::io::Write;

use adminapi::model::{Real, Service, ServiceId, ServiceView};

use super::address::Style;
use super::effect;
use super::failure::Failure;
use super::names::Names;
use super::request::{Change, Columns, List, Order, Request, What};
use super::save::{self, Extent};
use super::{print, sort};
use crate::director::{Director, DirectorError, Edit};

/// Asks `director` for `request` and writes the answer to `out`.
pub(crate) async fn execute<D: Director>(
    request: Request,
    director: &D,
    names: &dyn Names,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match request {
        Request::Change(wanted) => change(wanted, director).await,
        Request::Zero(id) => director.zero(id).await.map_err(on_service),
        Request::StartDaemon(daemon) => director.start_daemon(daemon).await.map_err(on_daemon),
        Request::StopDaemon(role) => director.stop_daemon(role).await.map_err(on_daemon),
        Request::Save { numeric, extent } => {
            save_all(director, style(numeric, names), extent, out).await
        }
        Request::List(wanted) => list(wanted, director, names, out).await,
    }
}

/// Changes what `edited` has.
pub(crate) async fn change<E: Edit>(wanted: Change, edited: &E) -> Result<(), Failure> {
    match wanted {
        Change::AddService(service) => edited.add_service(service).await.map_err(on_service),
        Change::EditService(id, patch) => {
            let done = edited.change_service(id, patch).await;
            done.map_err(on_service)
        }
        Change::DeleteService(id) => edited.remove_service(id).await.map_err(on_service),
        Change::Flush => edited.flush().await.map_err(on_service),
        Change::AddReal(id, real) => {
            thresholds(id, &real, edited).await?;
            edited.add_real(id, real).await.map_err(on_real)
        }
        Change::EditReal(id, real) => {
            thresholds(id, &real, edited).await?;
            edited.change_real(id, real).await.map_err(on_real)
        }
        Change::DeleteReal(id, at) => edited.remove_real(id, at).await.map_err(on_real),
        Change::SetTimeouts(to) => edited.change_timeouts(to).await.map_err(on_service),
    }
}

/// Thresholds that contradict each other have the kernel's words (ERANGE), after those for a
/// service that is missing.
async fn thresholds<E: Edit>(id: ServiceId, real: &Real, edited: &E) -> Result<(), Failure> {
    if real.lower <= real.upper {
        return Ok(());
    }
    match edited.has_service(id).await.map_err(on_real)? {
        true => Err(Failure::operation("Numerical result out of range")),
        false => Err(on_real(DirectorError::NoService)),
    }
}

/// What a failed operation on a synchronisation daemon is called.
fn on_daemon(error: DirectorError) -> Failure {
    match error {
        DirectorError::Exists => Failure::operation("Daemon has already run"),
        DirectorError::NoDaemon => Failure::operation("No daemon is running"),
        DirectorError::NoInterface(_) => Failure::operation("No such device"),
        other => Failure::Director(other),
    }
}

/// What a failed operation on a service is called.
fn on_service(error: DirectorError) -> Failure {
    match error {
        DirectorError::Exists => Failure::operation("Service already exists"),
        DirectorError::NoService => Failure::operation("No such service"),
        other => Failure::Director(other),
    }
}

/// What a failed listing of one service is called.
fn on_listed(error: DirectorError) -> Failure {
    match error {
        DirectorError::NoService => Failure::NotListed,
        other => on_service(other),
    }
}

/// What a failed operation on a real server is called.
fn on_real(error: DirectorError) -> Failure {
    match error {
        DirectorError::Exists => Failure::operation("Destination already exists"),
        DirectorError::NoService => Failure::operation("Service not defined"),
        DirectorError::NoReal => Failure::operation("No such destination"),
        other => Failure::Director(other),
    }
}

const fn style(numeric: bool, names: &dyn Names) -> Style<'_> {
    if numeric {
        Style::Numeric
    } else {
        Style::Named(names)
    }
}

async fn list<D: Director>(
    wanted: List,
    director: &D,
    names: &dyn Names,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let style = style(wanted.numeric, names);
    match (wanted.what, wanted.json) {
        (
            What::Services {
                only,
                columns,
                order,
            },
            json,
        ) => {
            let mut found = match only {
                Some(id) => vec![director.service(id).await.map_err(on_listed)?],
                None => director.services().await.map_err(on_service)?,
            };
            if json {
                return write_json(&ordered(found, order), out);
            }
            found.iter_mut().for_each(effect::show);
            let services = ordered(found, order);
            if only.is_none() {
                out.write_all(print::BANNER.as_bytes())?;
            }
            write_services(&services, columns, style, out)
        }
        (What::Connections { engines }, false) => connections(director, engines, style, out).await,
        (What::Connections { .. }, true) => connections_json(director, out).await,
        (What::Timeouts, json) => {
            let timeouts = director.timeouts().await.map_err(on_service)?;
            if json {
                return write_json(&timeouts, out);
            }
            out.write_all(print::timeouts(&timeouts).as_bytes())?;
            Ok(())
        }
        (What::Daemons, json) => {
            let daemons = director.daemons().await.map_err(on_daemon)?;
            if json {
                return write_json(&daemons, out);
            }
            let lines: String = daemons.iter().map(print::daemon).collect();
            out.write_all(lines.as_bytes())?;
            Ok(())
        }
    }
}

fn ordered(mut services: Vec<ServiceView>, order: Order) -> Vec<ServiceView> {
    if order == Order::Sorted {
        sort::services(&mut services);
    }
    services
}

fn write_services(
    services: &[ServiceView],
    columns: Columns,
    style: Style<'_>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    out.write_all(columns.title().as_bytes())?;
    for service in services {
        out.write_all(print::service(service, columns, style).as_bytes())?;
    }
    Ok(())
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
            out.write_all(print::connection(each, style).as_bytes())?;
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

async fn save_all<D: Director>(
    director: &D,
    style: Style<'_>,
    extent: Extent,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if extent == Extent::Full {
        let timeouts = director.timeouts().await.map_err(on_service)?;
        out.write_all(save::timeouts(timeouts).as_bytes())?;
    }
    let services = director.services().await.map_err(on_service)?;
    for service in ordered(services, Order::Sorted) {
        let lines = save::service(&Service::from(&service), style, extent);
        out.write_all(lines.as_bytes())?;
    }
    Ok(())
}

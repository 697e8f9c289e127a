//! Does what a line asks for, and says what came of it in ipvsadm's words.

use std::io::Write;

use adminapi::model::{Change, ListingQuery, Order, ServiceId, ServiceRow, Side};
use adminapi::order;

use super::called::{on_daemon, on_real, on_service};
use super::failure::Failure;
use super::hindsight::{Came, Sight, was_there};
use super::listing::{list, write_rows};
use super::names::Names;
use super::pointed::About;
use super::request::Request;
use super::save::{self, Extent};
use super::spelling::{Certain, Spelling};
use crate::director::DirectorError::{BadValues, Refused};
use crate::director::{Director, DirectorError, Edit, Setting};

/// Asks `director` for `request` and writes the answer to `out`.
pub(crate) async fn execute<D: Director>(
    request: Request,
    director: &D,
    names: &dyn Names,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    // Boxed is what would take stack that a listing has to touch, too: fresh memory, page by page.
    match request {
        Request::Change(wanted) => Box::pin(change(wanted, director)).await,
        Request::Refused {
            service,
            there,
            missing,
        } => Err(refusal(service, [there, missing], director).await?),
        Request::Set(setting) => Box::pin(set(setting, director)).await,
        Request::Zero(id) => director.zero(id).await.map_err(on_service),
        Request::StartDaemon(daemon) => {
            let started = director.start_daemon(daemon).await;
            started.map_err(|error| on_daemon(About::Daemon.named(error)))
        }
        Request::StopDaemon(role) => director.stop_daemon(role).await.map_err(on_daemon),
        Request::Save { numeric, extent } => {
            let certain = Certain::of(names);
            let spelling = match extent {
                _ if numeric => Spelling::Numeric,
                Extent::Ipvsadm => Spelling::Cut(names.naming()),
                Extent::Services | Extent::Full => Spelling::Restorable(&certain),
            };
            Box::pin(save_all(director, spelling, extent, out)).await
        }
        Request::List(wanted) => list(wanted, director, names, out).await,
    }
}

/// Which of two failures it is: that of a service that is there, or that of one that is missing.
pub(crate) async fn refusal<E: Edit>(
    service: ServiceId,
    [there, missing]: [Failure; 2],
    edited: &E,
) -> Result<Failure, Failure> {
    match edited.has_service(service).await.map_err(on_service)? {
        true => Ok(there),
        false => Ok(missing),
    }
}

/// Makes one change of what `edited` has.
pub(crate) async fn change<E: Edit>(wanted: Change, edited: &E) -> Result<(), Failure> {
    check_thresholds(&wanted, edited).await?;
    let came = change_all(vec![wanted], edited).await?;
    came.into_iter().collect()
}

/// Makes several, of which [`stands_alone`] says of none that it does; what came of each.
pub(crate) async fn change_all<E: Edit>(
    wanted: Vec<Change>,
    edited: &E,
) -> Result<Vec<Result<(), Failure>>, Failure> {
    let sights: Vec<_> = wanted.iter().map(Sight::of).collect();
    let named: Vec<_> = wanted
        .iter()
        .map(|one| (About::of(one), naming(one)))
        .collect();
    let made = edited.make(wanted).await.map_err(Failure::Director)?;
    let refusals = missed(&sights, &made, edited).await?;
    let came = made.into_iter().zip(refusals).zip(named);
    Ok(came
        .map(|((made, missed), (about, call))| match missed {
            true => Err(call(DirectorError::NoService)),
            false => made.map_err(|error| call(about.named(error))),
        })
        .collect())
}

/// Which of the changes were refused for what they were to bring to a service that was missing.
async fn missed<E: Edit>(
    sights: &[Sight],
    made: &[Came],
    edited: &E,
) -> Result<Vec<bool>, Failure> {
    let mut missed = Vec::with_capacity(made.len());
    for (place, (came, sight)) in made.iter().zip(sights).enumerate() {
        missed.push(match (came, sight.changed()) {
            (Err(Refused(_) | BadValues(_)), Some(service)) => {
                let there = match was_there(service, place, sights, made) {
                    Some(there) => there,
                    None => edited.has_service(service).await.map_err(on_service)?,
                };
                !there
            }
            _ => false,
        });
    }
    Ok(missed)
}

/// Whether a change can only be made by itself: what the client refuses, and what takes away by what
/// the refusal of another would be told.
pub(crate) fn stands_alone(change: &Change) -> bool {
    thresholds(change).is_some() || matches!(change, Change::RemoveServices {})
}

/// Sets something.
pub(crate) async fn set<E: Edit>(setting: Setting, edited: &E) -> Result<(), Failure> {
    let about = setting.clone();
    let set = edited.set(setting).await;
    set.map_err(|error| on_service(About::setting(&about).named(error)))
}

/// What a change that failed is called.
const fn naming(change: &Change) -> fn(DirectorError) -> Failure {
    match change {
        Change::AddService(_)
        | Change::ChangeService { .. }
        | Change::RemoveService { .. }
        | Change::RemoveServices {} => on_service,
        Change::AddReal { .. } | Change::ChangeReal { .. } | Change::RemoveReal { .. } => on_real,
    }
}

/// The service that a change gives a real server of with thresholds that contradict each other.
fn thresholds(change: &Change) -> Option<ServiceId> {
    let (service, upper, lower) = match change {
        Change::AddReal { service, real } => (service, real.upper, real.lower),
        Change::ChangeReal { service, patch, .. } => (service, patch.upper?, patch.lower?),
        _ => return None,
    };
    (lower > upper).then_some(*service)
}

/// Thresholds that contradict each other have the kernel's words (ERANGE), after those for a
/// service that is missing.
async fn check_thresholds<E: Edit>(change: &Change, edited: &E) -> Result<(), Failure> {
    let Some(id) = thresholds(change) else {
        return Ok(());
    };
    let there = Failure::operation("Numerical result out of range");
    Err(refusal(id, [there, on_real(DirectorError::NoService)], edited).await?)
}

/// What `-S` writes. Only all of it has more than a listing shows, and is of one moment.
async fn save_all<D: Director>(
    director: &D,
    spelling: Spelling<'_>,
    extent: Extent,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if extent == Extent::Full {
        let mut config = director.config().await.map_err(on_service)?.value;
        config.services = order::listed(config.services);
        return Ok(out.write_all(&save::whole(&config, spelling))?);
    }
    let query = ListingQuery {
        order: Order::Ipvsadm,
        side: Side::Configured,
        ..ListingQuery::default()
    };
    let rows = director.listing(query).await.map_err(on_service)?;
    let print = |text: &mut Vec<u8>, row: &ServiceRow| save::service(text, row, spelling, extent);
    write_rows(rows, print, out).await
}

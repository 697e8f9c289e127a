//! Which commands checks may run: whoever may change services may not run what he likes as root.

use std::path::Path;

use adminapi::error::Result;
use adminapi::model::{Change, Check, HealthPolicy, Service};
use adminapi::{ControlError, Problem};

use super::Director;
use crate::pool::Pool;

impl Director {
    /// Refuses a command that the configuration file has not named and that is not among the
    /// scripts.
    pub(super) fn refuse_commands<'c>(
        &self,
        checks: impl IntoIterator<Item = (String, &'c Check)>,
    ) -> Result<()> {
        let pool = self.shared.pool.load();
        let scripts = self.ward.scripts();
        let problem = |(pointer, check): (String, &Check)| {
            let program = Path::new(check.command.first()?);
            let is_script = program.parent() == Some(&scripts) && program.file_name().is_some();
            (!is_script && !is_known(&pool, &check.command)).then(|| {
                let message = format!("{} is not in {}", program.display(), scripts.display());
                let mend = "put it there, or name it in the configuration file";
                Problem::new(format!("{pointer}/command/0"), message, mend)
            })
        };
        ControlError::unless_valid(checks.into_iter().filter_map(problem).collect())
    }

    /// [`Director::refuse_commands`] for those of services.
    pub(super) fn refuse_commands_of(&self, services: &[Service]) -> Result<()> {
        self.refuse_commands(checks_of(services))
    }

    /// [`Director::refuse_commands`] for that of a real server.
    pub(super) fn refuse_command(&self, check: Option<&Check>) -> Result<()> {
        self.refuse_commands(check.map(|check| ("/check".to_owned(), check)))
    }
}

/// The check of a policy, with a pointer to it.
pub(super) fn command_of_policy(
    policy: Option<&HealthPolicy>,
) -> impl Iterator<Item = (String, &Check)> {
    let check = policy.and_then(|policy| policy.check.as_ref());
    check
        .map(|check| ("/health/check".to_owned(), check))
        .into_iter()
}

/// The checks that one of many changes brings, with pointers to them. What a patch makes of those that
/// there are is seen when it is applied.
pub(super) fn commands_of(change: &Change) -> Vec<(String, &Check)> {
    let of_real = |check| ("/check".to_owned(), check);
    match change {
        Change::AddService(service) => commands_of_service(service),
        Change::AddReal { real, .. } => real.check.iter().map(of_real).collect(),
        Change::ChangeService { .. }
        | Change::ChangeReal { .. }
        | Change::RemoveService { .. }
        | Change::RemoveReal { .. }
        | Change::RemoveServices {} => Vec::new(),
    }
}

/// The checks of a service, with pointers to them.
pub(super) fn commands_of_service(service: &Service) -> Vec<(String, &Check)> {
    let own = command_of_policy(service.health.as_ref());
    let reals = service.reals.iter().enumerate();
    let reals = reals.filter_map(|(at, real)| {
        let check = real.check.as_ref()?;
        Some((format!("/real/{at}/check"), check))
    });
    own.chain(reals).collect()
}

/// The checks of services, with pointers to them.
fn checks_of(services: &[Service]) -> impl Iterator<Item = (String, &Check)> {
    services.iter().enumerate().flat_map(|(place, service)| {
        let own = commands_of_service(service).into_iter();
        own.map(move |(pointer, check)| (format!("/service/{place}{pointer}"), check))
    })
}

/// Whether a check has this command already.
fn is_known(pool: &Pool, command: &[String]) -> bool {
    pool.iter().any(|service| {
        let own = service
            .health
            .as_deref()
            .and_then(|policy| policy.check.as_ref());
        let reals = service
            .configured()
            .filter_map(|real| real.check.as_deref());
        own.into_iter()
            .chain(reals)
            .any(|check| check.command == command)
    })
}

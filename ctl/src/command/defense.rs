//! `bulwark defense` and `bulwark events`.

mod text;

use adminapi::Client;
use adminapi::model::{
    CookiePolicy, DefenseLevel, Event, Protocol, RepeatPolicy, ServiceId, ServicePatch,
};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::said::{Form, Said};
use super::selector::Selector;
use super::value::number;
use crate::director::{DirectorError, Setting};
use text::text;

/// What is asked of the defence.
#[derive(Debug, Args)]
pub(super) struct Line {
    #[command(subcommand)]
    act: Option<Act>,
    /// Of one service; of the whole director without.
    #[command(flatten)]
    service: Selector,
}

impl Line {
    /// What the line sets, if it sets something.
    pub(super) fn setting(&self) -> Option<Setting> {
        match *self.act.as_ref()? {
            Act::Level { level } => {
                let level = DefenseLevel { level };
                Some(Setting::Level(self.service.id(), level))
            }
            Act::Cookies { policy } => Some(Setting::Cookies(self.service.id()?, policy)),
            Act::Repeats { policy } => Some(Setting::Repeats(self.service.id()?, policy.own())),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Sets the level: 0 by itself, 1 under attack until it is over, 2 under attack until you say
    /// otherwise.
    Level {
        /// 0, 1 or 2.
        #[arg(value_parser = levels())]
        level: u8,
    },
    /// Sets when the SYNs of a TCP service are answered with cookies: off, auto (under attack) or
    /// always.
    Cookies {
        /// off, auto or always.
        #[arg(value_parser = policies())]
        policy: CookiePolicy,
    },
    /// Sets when clients of a UDP service that are not known have to come twice: off, auto (when it is
    /// flooded) or default (as udp_repeats of the director has it).
    Repeats {
        /// off, auto or default.
        #[arg(value_parser = choices())]
        policy: Choice,
    },
}

/// What a service is told of the clients that have to come twice.
#[derive(Clone, Copy, Debug)]
enum Choice {
    Own(RepeatPolicy),
    Default,
}

impl Choice {
    const fn own(self) -> Option<RepeatPolicy> {
        match self {
            Self::Own(policy) => Some(policy),
            Self::Default => None,
        }
    }
}

/// Which events are shown.
#[derive(Debug, Args)]
pub(super) struct EventsLine {
    /// Those after this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = number::<u64>)]
    since: u64,
}

fn levels() -> impl TypedValueParser<Value = u8> {
    PossibleValuesParser::new(["0", "1", "2"]).try_map(|level| level.parse::<u8>())
}

fn policies() -> impl TypedValueParser<Value = CookiePolicy> {
    PossibleValuesParser::new(CookiePolicy::ALL.map(CookiePolicy::name)).try_map(|word| {
        let mut all = CookiePolicy::ALL.into_iter();
        all.find(|policy| policy.name() == word)
            .ok_or("no policy is called that")
    })
}

fn choices() -> impl TypedValueParser<Value = Choice> {
    PossibleValuesParser::new(["off", "auto", "default"]).map(|word| {
        let mut all = RepeatPolicy::ALL.into_iter();
        let own = all.find(|policy| policy.name() == word);
        own.map_or(Choice::Default, Choice::Own)
    })
}

/// Shows the defence, or sets the level and shows what is in force then.
pub(super) async fn run(line: &Line, director: &Client, form: Form) -> Result<Said, DirectorError> {
    let service = line.service.id();
    let defense = match line.act {
        None => director.defense(service).await?,
        Some(Act::Level { level }) => {
            let level = DefenseLevel { level };
            director.set_defense(service, level).await?
        }
        Some(Act::Cookies { policy }) => {
            let patch = ServicePatch {
                cookies: Some(policy),
                ..ServicePatch::default()
            };
            change(director, service, &patch, Protocol::Tcp).await?;
            director.defense(service).await?
        }
        Some(Act::Repeats { policy }) => {
            let patch = ServicePatch {
                udp_repeats: Some(policy.own()),
                ..ServicePatch::default()
            };
            change(director, service, &patch, Protocol::Udp).await?;
            director.defense(service).await?
        }
    };
    Ok(form.show(&defense, text).into())
}

/// Changes a service, or all of `protocol` with a port.
async fn change(
    director: &Client,
    service: Option<ServiceId>,
    patch: &ServicePatch,
    protocol: Protocol,
) -> Result<(), DirectorError> {
    let ids: Vec<_> = match service {
        Some(id) => vec![id],
        None => {
            let all = director.services().await?.into_iter().map(|view| view.id);
            all.filter(|id| is_at_port(*id, protocol)).collect()
        }
    };
    for id in ids {
        director.change_service(id, patch.clone()).await?;
    }
    Ok(())
}

fn is_at_port(id: ServiceId, protocol: Protocol) -> bool {
    let has_port = id.vip().is_some_and(|vip| vip.port() > 0);
    id.protocol() == Some(protocol) && has_port
}

/// Shows what has happened.
pub(super) async fn events(
    line: &EventsLine,
    director: &Client,
    form: Form,
) -> Result<Said, DirectorError> {
    let events = director.events(line.since).await?;
    Ok(form
        .show(&events, |events| events.events.iter().map(event).collect())
        .into())
}

fn event(event: &Event) -> String {
    let Event {
        id, at, message, ..
    } = event;
    let about = event
        .service
        .map_or_else(String::new, |id| format!("{id} "));
    format!("{id}  {}  {about}{message}\n", utc(*at))
}

/// `2026-11-21 09:56:19Z`; the civil date by H. Hinnant's `civil_from_days`.
pub(super) fn utc(at: u64) -> String {
    let (days, second) = (at / 86_400, at % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hours, minutes, seconds) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_civil() {
        for (at, want) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_399, "2000-02-28 23:59:59Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (4_107_542_400, "2100-03-01 00:00:00Z"),
        ] {
            assert_eq!(utc(at), want);
        }
    }
}

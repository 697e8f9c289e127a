//! What the command line asks of a director, apart from how it reaches it.

mod error;

use adminapi::client::{self, ClientError, EntityTag, Listing, Seen};
use adminapi::model::{
    Change, Configuration, ConnectionPage, ConnectionQuery, CookiePolicy, Cursor, DefenseLevel,
    ListingQuery, MarkRule, RepeatPolicy, ServiceId, ServicePatch, ServiceRow, Stats, SyncDaemon,
    SyncRole, Timeouts, TimeoutsPatch, ViewsQuery,
};
use adminapi::sysctl::Value;
use adminapi::table::TableQuery;
use adminapi::{Client, ProblemKind};

pub(crate) use error::{DirectorError, Result};

/// What a line sets beside services and real servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// Timeouts.
    Timeouts(TimeoutsPatch),
    /// A sysctl, by its name.
    Sysctl(String, Value),
    /// The level of defence of a service, or of the whole director.
    Level(Option<ServiceId>, DefenseLevel),
    /// When the SYNs of a service are answered with cookies.
    Cookies(ServiceId, CookiePolicy),
    /// When the clients of a service have to come twice, or that the director says so.
    Repeats(ServiceId, Option<RepeatPolicy>),
    /// No rules that mark packets.
    NoMarks,
    /// A rule that marks packets, behind the others.
    Mark(MarkRule),
}

/// What has services, real servers and settings that commands change: a director, or a
/// configuration that is being written.
pub(crate) trait Edit {
    /// Whether there is this service.
    async fn has_service(&self, id: ServiceId) -> Result<bool>;
    /// Makes changes in their order, each by itself; what came of each.
    async fn make(&self, changes: Vec<Change>) -> Result<Vec<Result<()>>>;
    /// Sets something.
    async fn set(&self, setting: Setting) -> Result<()>;
}

/// The rows of a listing.
pub(crate) trait Rows {
    /// The next one, when it has come; `None` after the last one.
    async fn next(&mut self) -> Result<Option<ServiceRow>>;
}

/// A text that comes in pieces.
pub(crate) trait Pieces {
    /// The next one, when it has come; `None` after the last one.
    async fn next(&mut self) -> Result<Option<impl AsRef<[u8]>>>;
}

/// A director, as ipvsadm's commands need it.
pub(crate) trait Director: Edit {
    /// Services as they are now, all or one, as JSON.
    async fn views(&self, query: ViewsQuery) -> Result<impl Pieces>;
    /// Services in a row each, all or one, as they come.
    async fn listing(&self, query: ListingQuery) -> Result<impl Rows>;
    /// Services as a table with addresses as numbers, as it comes; `None` when this director makes no
    /// tables: one of a version that did not.
    async fn table(&self, query: TableQuery) -> Result<Option<impl Pieces>>;
    /// Services, timeouts and settings as they are configured.
    async fn config(&self) -> Result<Seen<Configuration>>;
    /// Makes services and timeouts those of `wanted`, and the settings that it names: all of it or
    /// nothing, and nothing if they are not what was seen with `tag`.
    async fn put_config(&self, wanted: &Configuration, tag: &EntityTag) -> Result<()>;
    /// Whether [`Director::put_config`] would do it.
    async fn check_config(&self, wanted: &Configuration) -> Result<()>;
    /// A page of the connection table, the first one without `from`.
    async fn connections(&self, from: Option<Cursor>) -> Result<ConnectionPage>;
    /// Zeroes the counters of one service, or of all.
    async fn zero(&self, id: Option<ServiceId>) -> Result<()>;
    /// The timeouts in force.
    async fn timeouts(&self) -> Result<Timeouts>;
    /// Statistics of the whole director.
    async fn stats(&self) -> Result<Stats>;
    /// The synchronisation daemons, the master first.
    async fn daemons(&self) -> Result<Vec<SyncDaemon>>;
    /// Starts a synchronisation daemon.
    async fn start_daemon(&self, daemon: SyncDaemon) -> Result<()>;
    /// Stops a synchronisation daemon.
    async fn stop_daemon(&self, role: SyncRole) -> Result<()>;
}

impl Edit for Client {
    async fn has_service(&self, id: ServiceId) -> Result<bool> {
        match self.service(id).await.map_err(DirectorError::from) {
            Ok(_) => Ok(true),
            Err(DirectorError::NoService) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn make(&self, changes: Vec<Change>) -> Result<Vec<Result<()>>> {
        let came = self.make(&changes).await?.into_iter();
        Ok(came
            .map(|problem| match problem {
                None => Ok(()),
                Some(document) => Err((&document).into()),
            })
            .collect())
    }

    async fn set(&self, setting: Setting) -> Result<()> {
        match setting {
            Setting::Timeouts(patch) => drop(self.change_timeouts(patch).await?),
            Setting::Sysctl(name, value) => drop(self.change_sysctl(&name, value).await?),
            Setting::Level(service, level) => drop(self.set_defense(service, level).await?),
            Setting::Cookies(service, policy) => {
                let patch = ServicePatch {
                    cookies: Some(policy),
                    ..ServicePatch::default()
                };
                drop(self.change_service(service, patch).await?);
            }
            Setting::Repeats(service, policy) => {
                let patch = ServicePatch {
                    udp_repeats: Some(policy),
                    ..ServicePatch::default()
                };
                drop(self.change_service(service, patch).await?);
            }
            Setting::NoMarks => drop(self.put_marks(&[]).await?),
            Setting::Mark(rule) => drop(self.add_mark(&rule).await?),
        }
        Ok(())
    }
}

impl Director for Client {
    async fn views(&self, query: ViewsQuery) -> Result<impl Pieces> {
        Ok(self.views(&query).await?)
    }

    async fn listing(&self, query: ListingQuery) -> Result<impl Rows> {
        Ok(self.listing(&query).await?)
    }

    async fn table(&self, query: TableQuery) -> Result<Option<impl Pieces>> {
        match self.table(&query).await {
            Err(ClientError::Problem(document))
                if document.kind() == ProblemKind::NoSuchResource =>
            {
                Ok(None)
            }
            table => Ok(Some(table?)),
        }
    }

    async fn config(&self) -> Result<Seen<Configuration>> {
        Ok(self.see_config().await?)
    }

    async fn put_config(&self, wanted: &Configuration, tag: &EntityTag) -> Result<()> {
        Ok(self.put_config_as_seen(wanted, tag).await?)
    }

    async fn check_config(&self, wanted: &Configuration) -> Result<()> {
        self.check_config(wanted).await?;
        Ok(())
    }

    async fn connections(&self, from: Option<Cursor>) -> Result<ConnectionPage> {
        let query = ConnectionQuery {
            limit: ConnectionQuery::MAX_LIMIT,
            cursor: from,
            ..ConnectionQuery::default()
        };
        Ok(self.connections(&query).await?)
    }

    async fn zero(&self, id: Option<ServiceId>) -> Result<()> {
        Ok(self.zero(id).await?)
    }

    async fn timeouts(&self) -> Result<Timeouts> {
        Ok(self.timeouts().await?)
    }

    async fn stats(&self) -> Result<Stats> {
        Ok(self.stats().await?)
    }

    async fn daemons(&self) -> Result<Vec<SyncDaemon>> {
        Ok(self.daemons().await?)
    }

    async fn start_daemon(&self, daemon: SyncDaemon) -> Result<()> {
        self.start_daemon(&daemon).await?;
        Ok(())
    }

    async fn stop_daemon(&self, role: SyncRole) -> Result<()> {
        Ok(self.stop_daemon(role).await?)
    }
}

impl Rows for Listing<'_> {
    async fn next(&mut self) -> Result<Option<ServiceRow>> {
        Ok(self.next().await?)
    }
}

impl Pieces for client::Pieces<'_> {
    async fn next(&mut self) -> Result<Option<impl AsRef<[u8]>>> {
        Ok(self.next().await?)
    }
}

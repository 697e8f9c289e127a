//! All that is to hold, brought about in one step: judged as a whole, then done. What is refused of
//! it leaves everything as it was.

use adminapi::ControlError;
use adminapi::error::Result;
use adminapi::model::{MarkRule, Service, SyncDaemon, Timeouts};
use adminapi::sysctl::Sysctls;
use adminapi::validate::too_many_marks;
use tracing::error;

use super::daemons::Daemons;
use super::roles::Touched;
use super::{Director, edit, plan};
use crate::config;
use crate::marks::Rule;
use crate::pool::Pool;
use crate::tcp;
use crate::wire::Addr;

/// What is to hold. What is left out stays as it is.
#[derive(Debug)]
pub(super) struct Desired<'a> {
    /// The virtual services, all of them.
    pub(super) services: &'a [Service],
    /// The addresses that the director speaks from to the real servers of FullNAT. Connections that
    /// speak from another one keep it.
    pub(super) speakers: Option<Vec<Addr>>,
    /// The rules that mark packets.
    pub(super) marks: Option<&'a [MarkRule]>,
    /// The timeouts; 0 leaves one as it is.
    pub(super) timeouts: Timeouts,
    /// All sysctls.
    pub(super) sysctls: Sysctls,
    /// The synchronisation daemons.
    pub(super) daemons: Option<&'a [SyncDaemon]>,
    /// The filters, as a configuration file has them.
    pub(super) filter: Option<&'a config::Filter>,
    /// For how long a real server is drained that is no more wanted, in seconds.
    pub(super) grace: Option<u32>,
}

/// What has been judged of it, as the director has it.
struct Judged {
    marks: Option<Vec<Rule>>,
    timeouts: tcp::Timeouts,
    daemons: Option<Vec<SyncDaemon>>,
}

impl Director {
    /// Makes everything what `wanted` says: what is there and wanted keeps its connections and
    /// counters.
    ///
    /// # Errors
    /// What is refused of it; everything is as it was then.
    pub(super) fn bring_about(&self, wanted: &Desired<'_>) -> Result<()> {
        let mut rules = self.rules.lock();
        let mut judged = self.judge(wanted)?;
        let mut former = None;
        let published = self.change(|pool, touched| {
            self.draw_up(pool, touched, wanted, judged.marks.take())?;
            // The last thing that may be refused, but for what the gate has no room for.
            former = wanted
                .filter
                .map(|filter| self.swap_filter(filter))
                .transpose()?;
            Ok(())
        });
        if let (Err(_), Some(former)) = (&published, &former) {
            self.swap_back(former);
        }
        published?;
        if let Some(marks) = wanted.marks {
            *rules = marks.to_vec();
        }
        drop(rules);
        if let Some(daemons) = judged.daemons {
            self.daemons.replace(daemons);
        }
        let _one_at_a_time = self.master.lock();
        self.publish_timeouts(judged.timeouts);
        self.publish_sysctls(wanted.sysctls.clone());
        Ok(())
    }

    /// Whether [`Director::bring_about`] would do it, as far as that can be told without the gate.
    pub(super) fn check(&self, wanted: &Desired<'_>) -> Result<()> {
        let judged = self.judge(wanted)?;
        plan(&self.shared.pool.load_full(), |pool, touched| {
            self.draw_up(pool, touched, wanted, judged.marks)
        })
        .map(drop)
    }

    fn judge(&self, wanted: &Desired<'_>) -> Result<Judged> {
        if let Some(marks) = wanted.marks {
            ControlError::unless_valid(too_many_marks(marks.len()).into_iter().collect())?;
        }
        let links = self.neighbourhood.links().borrow().clone();
        let daemons = wanted.daemons;
        let daemons = daemons.map(|daemons| Daemons::settled(daemons, &links));
        Ok(Judged {
            marks: wanted.marks.map(|marks| self.compile(marks)).transpose()?,
            timeouts: self.timeouts_with(wanted.timeouts)?,
            daemons: daemons.transpose()?,
        })
    }

    /// Makes a pool what is wanted.
    fn draw_up(
        &self,
        pool: &mut Pool,
        touched: &mut Touched,
        wanted: &Desired<'_>,
        marks: Option<Vec<Rule>>,
    ) -> Result<()> {
        if let Some(speakers) = &wanted.speakers {
            pool.list_speakers(speakers);
        }
        if let Some(marks) = marks {
            pool.set_marks(marks.into());
        }
        let grace = wanted.grace.map(|seconds| self.drain_for(seconds));
        edit::put_services(pool, touched, wanted.services, grace)
    }

    /// Makes the filters these, all of it or nothing; what they were.
    fn swap_filter(&self, wanted: &config::Filter) -> Result<config::Filter> {
        let former = self.configured_filter();
        let swapped = self.adopt_filter(wanted);
        swapped.inspect_err(|_| self.swap_back(&former))?;
        Ok(former)
    }

    /// Makes the filters these again, which have fitted before.
    fn swap_back(&self, former: &config::Filter) {
        if let Err(error) = self.adopt_filter(former) {
            error!(%error, "the filters are not what they were before a change that was refused");
        }
    }
}

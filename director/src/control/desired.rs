//! All that is to hold, brought about in one step: judged as a whole, then done. What is refused of
//! it leaves everything as it was.

use adminapi::ControlError;
use adminapi::error::Result;
use adminapi::model::{MarkRule, Service, SyncDaemon, Timeouts};
use adminapi::sysctl::Sysctls;

use super::filter::{FilterPlan, Filtering};
use super::publish::plan;
use super::regions::orphaned;
use super::roles::Touched;
use super::{Director, edit, marks};
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
    /// The filters.
    pub(super) filter: Filtering,
    /// For how long a real server is drained that is no more wanted, in seconds.
    pub(super) grace: Option<u32>,
}

/// What has been judged of it, as the director has it.
struct Judged {
    marks: Option<Vec<Rule>>,
    timeouts: tcp::Timeouts,
    daemons: Option<Vec<SyncDaemon>>,
    filter: FilterPlan,
}

impl Director {
    /// Makes everything what `wanted` says: what is there and wanted keeps its connections and
    /// counters.
    ///
    /// # Errors
    /// What is refused of it; everything is as it was then.
    pub(super) fn bring_about(&self, wanted: &Desired<'_>) -> Result<()> {
        // Held to the end: no mark is to name a region that goes.
        let mut rules = self.rules.lock();
        let mut judged = self.judge(wanted, &rules)?;
        let mut former = None;
        let published = self.change(|pool, touched| {
            self.draw_up(pool, touched, wanted, &mut judged)?;
            // The last thing that may be refused, but for what the gate has no room for.
            former = Some(self.swap_filters(std::mem::take(&mut judged.filter))?);
            Ok(())
        });
        if let (Err(_), Some(former)) = (&published, former) {
            self.swap_filters_back(former);
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
        let mut judged = self.judge(wanted, &self.rules.lock())?;
        let draw_up = |pool: &mut Pool, touched: &mut Touched| {
            self.draw_up(pool, touched, wanted, &mut judged)
        };
        plan(&self.shared.pool.load_full(), draw_up).map(drop)
    }

    /// Judges what is wanted, the rules of marks being `present` now.
    fn judge(&self, wanted: &Desired<'_>, present: &[MarkRule]) -> Result<Judged> {
        let filter = self.plan_filters(&wanted.filter);
        let filter = filter.map_err(|error| error.below("/filter"))?;
        let numbers = filter.rules.as_ref().map(|rules| rules.numbers().clone());
        let numbers = numbers.unwrap_or_else(|| self.region_numbers());
        if wanted.marks.is_none() {
            ControlError::unless_valid(orphaned(present, &numbers))
                .map_err(|error| error.below("/filter"))?;
        }
        let links = self.neighbourhood.links().borrow().clone();
        let daemons = wanted.daemons;
        let daemons = daemons.map(|daemons| self.daemons.settled(daemons, &links));
        Ok(Judged {
            marks: (wanted.marks)
                .map(|marks| marks::compile(marks, &self.interface_names(), &numbers))
                .transpose()
                .map_err(|error| error.below("/marks"))?,
            timeouts: self.timeouts_with(wanted.timeouts)?,
            daemons: daemons.transpose()?,
            filter,
        })
    }

    /// Makes a pool what is wanted.
    fn draw_up(
        &self,
        pool: &mut Pool,
        touched: &mut Touched,
        wanted: &Desired<'_>,
        judged: &mut Judged,
    ) -> Result<()> {
        if let Some(speakers) = &wanted.speakers {
            pool.list_speakers(speakers);
        }
        if let Some(marks) = judged.marks.take() {
            pool.set_marks(marks.into());
        }
        if let Some(rules) = &judged.filter.rules {
            pool.set_geography(rules.geography());
        }
        let grace = wanted.grace.map(|seconds| self.drain_for(seconds));
        edit::put_services(pool, touched, wanted.services, grace)
    }
}

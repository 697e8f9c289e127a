//! Real servers that are the director itself: the door to them, and what they answer by NAT.

use std::collections::BTreeSet;

use adminapi::ControlError;
use adminapi::error::Result;
use tracing::warn;

use super::Director;
use super::publish::refused;
use super::roles::Touched;
use crate::door::Door;
use crate::gate::{Answers, GateError};
use crate::pool::Pool;
use crate::wire::Addr;

/// What is caught of answers, and whether names in the BPF file system stand for just that.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    answers: Option<Answers>,
    is_kept: bool,
}

impl Director {
    /// Makes the way to the kernel of this host, if there is none yet.
    pub(super) fn open_door(&self) -> Result<&Door> {
        if let Some(door) = self.shared.door.get() {
            return Ok(door);
        }
        let door = Door::open().map_err(|error| {
            let text = format!("cannot hand packets to this host itself: /dev/net/tun: {error}");
            ControlError::Limit(text)
        })?;
        // One change at a time: nobody else has set it.
        Ok(self.shared.door.get_or_init(|| door))
    }

    /// Catches what the real servers of `pool` that a change has touched answer, those at addresses of
    /// this host, and nothing else.
    pub(super) fn hear_answers(
        &self,
        touched: &Touched,
        pool: &Pool,
        locals: &[Addr],
    ) -> Result<()> {
        let mut hearing = self.hearing.lock();
        for (protocol, endpoint, answers) in touched.answering(pool, locals) {
            if answers && hearing.answers.is_none() {
                let door = self.open_door()?;
                let caught = self.gate.catch_answers(door).map_err(refused)?;
                door.listen(true);
                *hearing = Hearing {
                    answers: Some(caught),
                    is_kept: false,
                };
            }
            if let Some(caught) = &mut hearing.answers {
                caught.set(protocol, endpoint, answers).map_err(refused)?;
            }
        }
        if hearing.answers.as_ref().is_some_and(Answers::is_empty) {
            *hearing = Hearing::default();
            if let Some(door) = self.shared.door.get() {
                door.listen(false);
            }
        }
        Ok(())
    }

    /// Has answers caught as long as the gate is there, if it outlives the director; until then what
    /// an earlier one has left stands. To be called when all is configured, and once a second after
    /// that.
    ///
    /// # Errors
    /// The BPF file system's.
    pub fn keep_answers(&self) -> std::result::Result<(), GateError> {
        let mut hearing = self.hearing.lock();
        if !hearing.is_kept {
            self.gate.keep_answers(hearing.answers.as_ref())?;
            hearing.is_kept = true;
        }
        Ok(())
    }

    /// The addresses of this host have changed: real servers at those are the director itself now, or
    /// are not any more.
    pub(super) fn meet_locals(
        &self,
        old: &[Addr],
        new: &[Addr],
    ) -> std::result::Result<(), GateError> {
        let (old, new) = (BTreeSet::from_iter(old), BTreeSet::from_iter(new));
        let changed: BTreeSet<_> = old.symmetric_difference(&new).collect();
        let pool = self.shared.pool.load();
        if !pool.rips().iter().any(|rip| changed.contains(&rip)) {
            return Ok(());
        }
        let locals: Vec<Addr> = new.iter().map(|addr| **addr).collect();
        let mut touched = Touched::default();
        for real in pool.reals() {
            if changed.contains(&&real.endpoint.addr) {
                touched.real(&real.service, real.endpoint);
            }
        }
        let opened = match touched.locals(&pool, &pool, &locals).any {
            true => self.open_door().map(drop),
            false => Ok(()),
        };
        let heard = opened.and_then(|()| self.hear_answers(&touched, &pool, &locals));
        if let Err(error) = heard {
            warn!(%error, "real servers on this host do not serve");
        }
        touched.open(&self.gate, &pool, &locals)
    }
}

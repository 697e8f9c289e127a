//! Who has one of a listener's places. When all are taken, whoever has been waiting the longest
//! without a request under way makes room: a place is kept by using it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The places of a listener.
#[derive(Clone)]
pub(super) struct Room {
    places: Arc<Semaphore>,
    idle: Arc<Idle>,
}

/// Seats without a request under way.
#[derive(Default)]
struct Idle {
    seats: Mutex<Seats>,
    /// Told when there is one more.
    more: Notify,
}

#[derive(Default)]
struct Seats {
    /// How each is told to leave, in the order in which they became idle.
    by_turn: BTreeMap<u64, Arc<Notify>>,
    last: u64,
}

impl Room {
    pub(super) fn new(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            idle: Arc::default(),
        }
    }

    /// The next seat that is free; if there is none, one that is idle becomes free.
    pub(super) async fn seat(&self) -> Arc<Seat> {
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Some(place),
            Err(_) => self.freed().await,
        };
        Seat::new(place, Arc::clone(&self.idle))
    }

    async fn freed(&self) -> Option<OwnedSemaphorePermit> {
        // It fails only when somebody closes the semaphore, which nobody does.
        let place = async { Arc::clone(&self.places).acquire_owned().await.ok() };
        let somebody_leaves = async {
            while !self.idle.oldest_leaves() {
                self.idle.more.notified().await;
            }
            std::future::pending().await
        };
        tokio::select! {
            place = place => place,
            () = somebody_leaves => None,
        }
    }
}

impl Idle {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the seat that has been idle the longest to leave; false when none is idle.
    fn oldest_leaves(&self) -> bool {
        let oldest = self.seats().by_turn.pop_first();
        if let Some((_, leave)) = &oldest {
            leave.notify_one();
        }
        oldest.is_some()
    }
}

/// A place that a connection has, until it is dropped.
pub(super) struct Seat {
    _place: Option<OwnedSemaphorePermit>,
    idle: Arc<Idle>,
    turn: Mutex<u64>,
    leave: Arc<Notify>,
}

impl Seat {
    fn new(place: Option<OwnedSemaphorePermit>, idle: Arc<Idle>) -> Arc<Self> {
        let seat = Self {
            _place: place,
            idle,
            turn: Mutex::default(),
            leave: Arc::default(),
        };
        seat.rest();
        Arc::new(seat)
    }

    /// Waits until somebody else needs the place.
    pub(super) async fn is_wanted(&self) {
        self.leave.notified().await;
    }

    /// A request is under way until what is returned is dropped; none when it is too late for one.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Busy> {
        self.leave_the_idle().then(|| Busy(Arc::clone(self)))
    }

    fn rest(&self) {
        let mut seats = self.idle.seats();
        seats.last += 1;
        let turn = seats.last;
        seats.by_turn.insert(turn, Arc::clone(&self.leave));
        drop(seats);
        *self.turn() = turn;
        self.idle.more.notify_one();
    }

    fn leave_the_idle(&self) -> bool {
        let turn = *self.turn();
        self.idle.seats().by_turn.remove(&turn).is_some()
    }

    fn turn(&self) -> MutexGuard<'_, u64> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave_the_idle();
    }
}

/// A request that is under way.
pub(super) struct Busy(Arc<Seat>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.rest();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_one_that_waits_the_longest_makes_room() {
        let room = Room::new(3);
        let seats = [room.seat().await, room.seat().await, room.seat().await];
        let busy = seats[0].begin().unwrap();
        drop(seats[1].begin());
        let mut next = Box::pin(room.seat());
        assert!(next.as_mut().now_or_never().is_none());
        let wanted = seats.each_ref().map(|seat| seat.is_wanted().now_or_never());
        assert_eq!(wanted, [None, None, Some(())]);
        assert!(
            seats[2].begin().is_none(),
            "nothing begins in the last moment"
        );
        let [first, second, third] = seats;
        drop(third);
        drop(next.await);
        drop((busy, first, second));
        assert!(room.idle.seats().by_turn.is_empty());
    }

    #[tokio::test]
    async fn who_is_busy_stays_until_he_is_done() {
        let room = Room::new(1);
        let seat = room.seat().await;
        let busy = seat.begin();
        let mut next = Box::pin(room.seat());
        assert!(next.as_mut().now_or_never().is_none());
        assert!(seat.is_wanted().now_or_never().is_none());
        drop(busy);
        assert!(next.as_mut().now_or_never().is_none());
        assert!(seat.is_wanted().now_or_never().is_some());
        drop(seat);
        next.await;
    }
}

//! Answers that are made and wait to be taken. Whoever asked may take his as slowly as he likes, so a
//! door has a shelf for them. When it is full, the next answer has to wait until others are taken, or
//! until they have been there long enough to be given up: those of whoever has the most, the oldest
//! first. Nobody else's are, and who has little there waits for nobody.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::auth::Caller;
use crate::model::listing::Unlisted;

/// Bytes on a shelf from which on those who have much there wait.
pub(crate) const FULL: usize = 64 << 20;

/// Bytes that count as much.
pub(crate) const MUCH: usize = 8 << 20;

/// How long an answer may be on a full shelf.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of the pieces in which answers are taken. A smaller answer never comes onto a shelf: it is
/// taken at once.
const PIECE: usize = 32 << 10;

/// Whose answers are counted together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// The holder of the token of this name.
    Token(String),
    /// The processes of a user.
    User(u32),
    /// Anybody of this host.
    #[default]
    Anybody,
}

impl From<&Caller> for Holder {
    fn from(caller: &Caller) -> Self {
        match caller {
            Caller::Token { name, .. } => Self::Token(name.clone()),
            Caller::Process { uid, .. } => Self::User(*uid),
            Caller::Anybody { .. } => Self::Anybody,
        }
    }
}

/// The shelf of a door.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    answers: Mutex<Answers>,
    /// Told when something has been taken.
    taken: Notify,
}

/// By number, in the order in which they were begun.
#[derive(Debug, Default)]
struct Answers {
    by_number: BTreeMap<u64, Answer>,
    last: u64,
}

#[derive(Debug)]
struct Answer {
    whose: Holder,
    begun: Instant,
    /// Those that are not taken yet.
    pieces: VecDeque<Bytes>,
    /// Bytes of them.
    size: usize,
    /// What makes more of them when these are taken, if anything does.
    rest: Option<Rest>,
    is_whole: bool,
    /// Who waits for the next piece.
    taker: Option<Waker>,
}

impl Answer {
    /// Bytes that it holds.
    fn weight(&self) -> usize {
        self.size + self.rest.as_ref().map_or(0, |rest| rest.size)
    }

    fn put(&mut self, pieces: VecDeque<Bytes>) {
        self.size += pieces.iter().map(Bytes::len).sum::<usize>();
        self.pieces.extend(pieces);
        self.wake();
    }

    fn end(&mut self) {
        self.is_whole = true;
        self.wake();
    }

    fn wake(&mut self) {
        self.taker.take().into_iter().for_each(Waker::wake);
    }
}

impl Answers {
    /// Bytes of all, and those of each.
    fn sizes(&self) -> (usize, HashMap<&Holder, usize>) {
        let mut by_holder = HashMap::new();
        for answer in self.by_number.values() {
            *by_holder.entry(&answer.whose).or_default() += answer.weight();
        }
        (by_holder.values().sum(), by_holder)
    }

    /// The answer that is given up next, when there is no room for one more of `whose`.
    fn in_the_way_of(&self, whose: &Holder) -> Option<u64> {
        let (all, by_holder) = self.sizes();
        let own = by_holder.get(whose).copied().unwrap_or(0);
        if all < FULL || own < MUCH {
            return None;
        }
        let (most, _) = by_holder.into_iter().max_by_key(|(_, size)| *size)?;
        let mut theirs = self.by_number.iter();
        let oldest = theirs.find(|(_, answer)| answer.whose == *most && answer.weight() > 0);
        oldest.map(|(number, _)| *number)
    }

    /// Who takes it is told that it breaks off.
    fn give_up(&mut self, number: u64) {
        if let Some(mut answer) = self.by_number.remove(&number) {
            tracing::debug!(whose = ?answer.whose, "an answer was taken too slowly");
            answer.wake();
        }
    }
}

impl Shelf {
    /// Waits until there is room for an answer of `whose`, and makes it if need be.
    pub(super) async fn room(&self, whose: &Holder) {
        loop {
            let taken = self.taken.notified();
            let Some(until) = self.make_room(whose) else {
                return;
            };
            // Time that is over is no error: it is looked again.
            let _ = timeout_at(until, taken).await;
        }
    }

    /// Whether there is room for an answer of `whose` now.
    pub(super) fn has_room(&self, whose: &Holder) -> bool {
        self.answers().in_the_way_of(whose).is_none()
    }

    /// Gives up what has been in the way of `whose` for too long. When the next one will have been, if
    /// that is not enough.
    fn make_room(&self, whose: &Holder) -> Option<Instant> {
        let mut answers = self.answers();
        while let Some(number) = answers.in_the_way_of(whose) {
            let until = answers.by_number.get(&number)?.begun + PATIENCE;
            if Instant::now() < until {
                return Some(until);
            }
            answers.give_up(number);
        }
        None
    }

    /// An answer of `whose`, of which nothing is made yet.
    fn begin(self: &Arc<Self>, whose: Holder, rest: Option<Rest>) -> Number {
        let mut answers = self.answers();
        answers.last += 1;
        let number = answers.last;
        let answer = Answer {
            whose,
            begun: Instant::now(),
            pieces: VecDeque::new(),
            size: 0,
            rest,
            is_whole: false,
            taker: None,
        };
        answers.by_number.insert(number, answer);
        drop(answers);
        Number {
            shelf: Arc::clone(self),
            number,
        }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer on a shelf.
#[derive(Clone, Debug)]
struct Number {
    shelf: Arc<Shelf>,
    number: u64,
}

impl Number {
    /// Its next piece; an error if it is not there any more.
    fn take(&self, context: &Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let mut answers = self.shelf.answers();
        let Some(answer) = answers.by_number.get_mut(&self.number) else {
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
        };
        if let Some(piece) = answer.pieces.pop_front() {
            answer.size -= piece.len();
            drop(answers);
            self.shelf.taken.notify_waiters();
            return Poll::Ready(Some(Ok(piece)));
        }
        if answer.is_whole {
            return Poll::Ready(None);
        }
        answer.taker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Makes the next piece, if all of the others are taken and this is how it is made.
    fn make(&self) {
        let rest = |answer: &mut Answer| match answer.pieces.is_empty() {
            true => answer.rest.take(),
            false => None,
        };
        let Some(mut rest) = self.look(rest).flatten() else {
            return;
        };
        match rest.pieces.next() {
            Some(Ok(bytes)) => {
                let pieces = pieces(bytes.into());
                self.look(|answer| {
                    answer.put(pieces);
                    answer.rest = Some(rest);
                });
            }
            Some(Err(_)) => self.remove(),
            None => {
                self.look(Answer::end);
            }
        }
    }

    /// What `look` finds in it, if it is still there.
    fn look<T>(&self, look: impl FnOnce(&mut Answer) -> T) -> Option<T> {
        let mut answers = self.shelf.answers();
        answers.by_number.get_mut(&self.number).map(look)
    }

    fn remove(&self) {
        let removed = self.shelf.answers().by_number.remove(&self.number);
        if let Some(mut answer) = removed {
            answer.wake();
            self.shelf.taken.notify_waiters();
        }
    }
}

/// A part of a large block would hold all of it.
fn pieces(bytes: Bytes) -> VecDeque<Bytes> {
    match bytes.len() {
        0..=PIECE => [bytes].into(),
        _ => bytes.chunks(PIECE).map(Bytes::copy_from_slice).collect(),
    }
}

/// What an answer is made of while it is being taken.
struct Rest {
    pieces: Box<dyn Iterator<Item = Result<Vec<u8>, Unlisted>> + Send>,
    /// Bytes that it holds until the last piece is made.
    size: usize,
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Rest");
        shown.field("size", &self.size).finish_non_exhaustive()
    }
}

/// Where the answer to one request goes.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(super) shelf: Arc<Shelf>,
    pub(super) whose: Holder,
}

impl Place {
    /// `answer`, which is made, on the shelf if it is large.
    pub(crate) fn lay(self, answer: Response) -> Response {
        if answer.body().size_hint().lower() <= PIECE as u64 {
            return answer;
        }
        answer.map(|mut whole| {
            let (maker, body) = self.begin();
            while let Some(Some(Ok(frame))) = whole.frame().now_or_never() {
                if let Ok(data) = frame.into_data() {
                    maker.put(data);
                }
            }
            if whole.is_end_stream() {
                maker.end();
            }
            body
        })
    }

    /// Where an answer is put while it is being made, and the body from which it is taken meanwhile.
    pub(crate) fn begin(self) -> (Maker, Body) {
        let number = self.shelf.begin(self.whose, None);
        (Maker(number.clone()), Body::new(Taker(number)))
    }

    /// An answer each of whose pieces is made when those before it are taken. What they are made of is
    /// `size` bytes, and is held as long.
    pub(crate) fn tell(
        self,
        size: usize,
        pieces: impl Iterator<Item = Result<Vec<u8>, Unlisted>> + Send + 'static,
    ) -> Body {
        let pieces = Box::new(pieces);
        let rest = Rest { pieces, size };
        Body::new(Taker(self.shelf.begin(self.whose, Some(rest))))
    }
}

/// Where an answer is put. It breaks off if this is dropped before the end.
#[derive(Debug)]
pub(crate) struct Maker(Number);

impl Maker {
    /// The next bytes; false when nobody wants them any more.
    pub(crate) fn put(&self, bytes: Bytes) -> bool {
        let pieces = pieces(bytes);
        self.0.look(|answer| answer.put(pieces)).is_some()
    }

    /// That was all.
    pub(crate) fn end(self) {
        self.0.look(Answer::end);
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        if self.0.look(|answer| answer.is_whole) == Some(false) {
            self.0.remove();
        }
    }
}

/// What takes an answer from a shelf.
#[derive(Debug)]
struct Taker(Number);

impl HttpBody for Taker {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.make();
        let piece = ready!(self.0.take(context));
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        let is_end = self.0.look(|answer| answer.is_whole && answer.size == 0);
        is_end == Some(true)
    }

    fn size_hint(&self) -> SizeHint {
        let size = self.0.look(|answer| answer.is_whole.then_some(answer.size));
        size.flatten()
            .map_or_else(SizeHint::default, |size| SizeHint::with_exact(size as u64))
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.0.remove();
    }
}

#[cfg(test)]
mod tests;

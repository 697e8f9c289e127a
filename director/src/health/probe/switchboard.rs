//! Connections to real servers. A check makes one, asks, and gives it up by a reset: most of what that
//! costs is not packets but sockets. So these stay: a *line* is a socket that is used again and again
//! and stays in one epoll set, a *call* is a connection over it.

use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::connect_unspec;
use slab::Slab;
use socket2::{Domain, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::task::coop;

/// So many lines of a family are kept for calls to come.
const MOST_IDLE: usize = 64;

/// What is taken in at once.
const MOST_EVENTS: usize = 64;

const READABLE: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(ENDED);
const WRITABLE: EventFlags = EventFlags::OUT.union(ENDED);
const ENDED: EventFlags = EventFlags::ERR.union(EventFlags::HUP);

/// All lines.
#[derive(Debug)]
pub struct Switchboard {
    /// The epoll set, itself one of the descriptors that the runtime watches.
    set: AsyncFd<OwnedFd>,
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    lines: Slab<Line>,
    /// Those without a call, of IPv4 and of IPv6.
    idle: [Vec<usize>; 2],
}

#[derive(Debug)]
struct Line {
    socket: Socket,
    family: usize,
    /// What has happened since its call began.
    heard: EventFlags,
    waker: Option<Waker>,
}

/// A connection, given up when it is dropped, so that neither end has to remember it. What goes over
/// it is at the expense of the task's budget: a server that never stops to speak would otherwise have
/// the thread of all checks to itself, and no timeout would be looked at.
#[derive(Debug)]
pub(super) struct Call {
    switchboard: Arc<Switchboard>,
    line: usize,
}

impl Switchboard {
    /// One without lines yet, of the runtime that this is called within.
    ///
    /// # Errors
    /// That there is no descriptor to be had.
    // Its successor is unsafe for the sake of types that may close what they name; this one owns it.
    #[allow(deprecated)]
    pub fn open() -> io::Result<Arc<Self>> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Arc::new(Self {
            set: AsyncFd::with_interest(set, Interest::READABLE)?,
            board: Mutex::default(),
        }))
    }

    /// Tells the calls what happens to them. Ends with the runtime.
    pub(in crate::health) async fn operate(self: Arc<Self>) {
        while let Ok(mut ready) = self.set.readable().await {
            let attended = self.board.lock().attend(self.set.get_ref());
            if attended < MOST_EVENTS {
                ready.clear_ready();
            }
        }
    }

    /// A new connection to `to`, for one who waits for the other end to speak.
    pub(super) async fn listen_to(self: &Arc<Self>, to: SocketAddr) -> io::Result<Call> {
        let call = self.line(to)?;
        call.dial(to).await?;
        Ok(call)
    }

    /// A new connection to `to`, for one who speaks first: what is sent acknowledges the SYN+ACK,
    /// too. Given up before, it is three packets (SYN, SYN+ACK, RST), of which the program behind the
    /// port never hears. No less is known by it: the connection counts as made when the SYN+ACK has
    /// come, and a port whose program accepts no more sends none.
    pub(super) async fn call(self: &Arc<Self>, to: SocketAddr) -> io::Result<Call> {
        let call = self.line(to)?;
        call.with(|line| line.socket.set_tcp_quickack(false))?;
        call.dial(to).await?;
        Ok(call)
    }

    /// A line that is free, or a new one.
    fn line(self: &Arc<Self>, to: SocketAddr) -> io::Result<Call> {
        let mut board = self.board.lock();
        let line = match board.take(to) {
            Some(line) => line,
            None => board.install(self.set.get_ref(), to)?,
        };
        Ok(Call {
            switchboard: Arc::clone(self),
            line,
        })
    }
}

fn family(to: SocketAddr) -> usize {
    usize::from(to.is_ipv6())
}

impl Board {
    fn take(&mut self, to: SocketAddr) -> Option<usize> {
        let line = self.idle[family(to)].pop()?;
        self.lines[line].heard = EventFlags::empty();
        Some(line)
    }

    fn install(&mut self, set: &OwnedFd, to: SocketAddr) -> io::Result<usize> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(to), kind, None)?;
        socket.set_linger(Some(Duration::ZERO))?;
        let entry = self.lines.vacant_entry();
        let line = entry.key();
        let wanted = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(set, &socket, EventData::new_u64(line as u64), wanted)?;
        entry.insert(Line {
            socket,
            family: family(to),
            heard: EventFlags::empty(),
            waker: None,
        });
        Ok(line)
    }

    /// Takes in what has happened, and says how much that was. What happened to the call before the
    /// present one is not among it: the kernel reports how a socket is now.
    fn attend(&mut self, set: &OwnedFd) -> usize {
        let mut room = [const { MaybeUninit::uninit() }; MOST_EVENTS];
        let at_once = Timespec::default();
        let waited = epoll::wait(set, &mut room, Some(&at_once));
        // That it was interrupted is not for good.
        let events = waited.map_or_else(|_| &mut [][..], |(events, _)| events);
        for event in &*events {
            let Some(line) = self.lines.get_mut(event.data.u64() as usize) else {
                continue;
            };
            line.heard |= event.flags;
            if let Some(waker) = line.waker.take() {
                waker.wake();
            }
        }
        events.len()
    }

    /// Ends the call of a line. One that is not to be used again leaves the set before it is closed:
    /// a program that is being started has all descriptors for a moment, and would keep it there.
    fn hang_up(&mut self, set: &OwnedFd, number: usize) {
        let line = &mut self.lines[number];
        line.waker = None;
        let idle = &mut self.idle[line.family];
        if idle.len() < MOST_IDLE && connect_unspec(&line.socket).is_ok() {
            idle.push(number);
        } else {
            let _ = epoll::delete(set, &line.socket);
            self.lines.remove(number);
        }
    }
}

impl Line {
    /// Whether the other end has answered.
    fn answered(&mut self, context: &Context<'_>) -> Poll<io::Result<()>> {
        if !self.heard.intersects(WRITABLE) {
            return self.wait(context);
        }
        Poll::Ready(match self.heard.intersects(ENDED) {
            true => Err(match self.socket.take_error()? {
                Some(error) => error,
                None => io::ErrorKind::ConnectionReset.into(),
            }),
            false => Ok(()),
        })
    }

    /// Does what does not wait once one of `events` has been heard.
    fn after<T>(
        &mut self,
        events: EventFlags,
        context: &Context<'_>,
        attempt: impl FnOnce(&Socket) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        if !self.heard.intersects(events) {
            return self.wait(context);
        }
        match attempt(&self.socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.heard.remove(events);
                self.wait(context)
            }
            done => Poll::Ready(done),
        }
    }

    fn wait<T>(&mut self, context: &Context<'_>) -> Poll<T> {
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Call {
    fn with<T>(&self, work: impl FnOnce(&mut Line) -> T) -> T {
        work(&mut self.switchboard.board.lock().lines[self.line])
    }

    async fn dial(&self, to: SocketAddr) -> io::Result<()> {
        match self.with(|line| line.socket.connect(&to.into())) {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            outcome => return outcome,
        }
        std::future::poll_fn(|context| self.with(|line| line.answered(context))).await
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let set = self.switchboard.set.get_ref();
        self.switchboard.board.lock().hang_up(set, self.line);
    }
}

impl AsyncRead for Call {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let budget = ready!(coop::poll_proceed(context));
        let room = buffer.initialize_unfilled();
        let read = |mut socket: &Socket| socket.read(room);
        let read = ready!(self.with(|line| line.after(READABLE, context, read)));
        budget.made_progress();
        Poll::Ready(read.map(|length| buffer.advance(length)))
    }
}

impl AsyncWrite for Call {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let budget = ready!(coop::poll_proceed(context));
        let write = |mut socket: &Socket| socket.write(bytes);
        let written = ready!(self.with(|line| line.after(WRITABLE, context, write)));
        budget.made_progress();
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// It is given up, not ended.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    async fn switchboard() -> Arc<Switchboard> {
        let switchboard = Switchboard::open().unwrap();
        tokio::spawn(Arc::clone(&switchboard).operate());
        switchboard
    }

    fn lines(switchboard: &Switchboard) -> usize {
        switchboard.board.lock().lines.len()
    }

    #[tokio::test]
    async fn calls_one_after_the_other_share_a_line() {
        let switchboard = switchboard().await;
        for address in ["127.0.0.1:0", "127.0.0.1:0", "[::1]:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).await.unwrap();
            let to = listener.local_addr().unwrap();
            for words in [&b"one"[..], b"another"] {
                let mut call = switchboard.call(to).await.unwrap();
                call.write_all(words).await.unwrap();
                let (mut server, _) = listener.accept().await.unwrap();
                let mut heard = [0; 64];
                let length = server.read(&mut heard).await.unwrap();
                assert_eq!(&heard[..length], words);
                server.write_all(b"yes").await.unwrap();
                call.read_exact(&mut heard[..3]).await.unwrap();
                assert_eq!(&heard[..3], b"yes");
                drop(call);
                let ended = server.read(&mut heard).await.unwrap_err();
                assert_eq!(ended.kind(), io::ErrorKind::ConnectionReset);
            }
        }
        assert_eq!(lines(&switchboard), 2);
    }

    /// A line over which nobody was reached, in any way, reaches the next.
    #[tokio::test]
    async fn a_line_that_has_failed_is_as_good_as_new() {
        let switchboard = switchboard().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let closed = TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let nobody = closed.local_addr().unwrap();
        for _ in 0..3 {
            let refused = switchboard.call(nobody).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            let call = switchboard.listen_to(to).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            server.set_zero_linger().unwrap();
            drop(server);
            let mut call = call;
            let reset = call.read_u8().await.unwrap_err();
            assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
            drop(call);
            let patience = Duration::from_millis(10);
            let call = switchboard.listen_to(to).await.unwrap();
            let silent = tokio::time::timeout(patience, { call }.read_u8()).await;
            assert!(silent.is_err(), "nobody has spoken");
            drop(listener.accept().await.unwrap());
        }
        assert_eq!(lines(&switchboard), 1);
    }

    #[tokio::test]
    async fn calls_at_once_have_a_line_each_and_few_lines_stay() {
        let switchboard = switchboard().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let mut calls = Vec::new();
        for _ in 0..MOST_IDLE + 10 {
            calls.push(switchboard.call(to).await.unwrap());
        }
        assert_eq!(lines(&switchboard), MOST_IDLE + 10);
        drop(calls);
        assert_eq!(lines(&switchboard), MOST_IDLE);
    }
}

//! What persistent services remember of their clients.
//!
//! A template says which real server a client (all addresses that share a prefix) sticks to. It
//! is kept as IPVS keeps it, as an entry like that of a connection, with port 0 for the client:
//!
//! ```text
//!  service          protocol  client        virtual           shown as
//!  VIP:PORT         its own   masked:0      VIP:PORT          TCP 172.16.0.1:0  10.9.9.9:80
//!  VIP:21, VIP:0    its own   masked:0      VIP:0             TCP 172.16.0.1:0  10.9.9.9:0
//!  mark             none      masked:0      MARK:0            IP  172.16.0.1:0  0.0.0.7:0
//! ```
//!
//! With the persistence engine sip each call of a client has a template of its own, as IPVS has it.
//! It is filed under a keyed hash of the Call-ID, its service and its client, in the place of the
//! client, who stands in the place of the service.
//!
//! Each new connection of the client prolongs it, and it outlives the connections that it
//! controls. A template whose real server takes the client no more is set aside, at port 65535,
//! until its connections are gone. So is one that is to be forgotten, which nobody sees from then
//! on. If the client comes back to that real server, its template has all connections to it: of a
//! client and a real server there is one template at most, so that each connection finds its own.
//!
//! Templates have a table of their own, so that neither they nor connections take the other's
//! room. In a full one those without connections go first, and those of clients that have never
//! talked to a real server; one that a client that has talks through stays. A shard of it is
//! locked while one of the connection table is, never the other way round.

use std::io;
use std::sync::Arc;

use adminapi::model::Engine;
use arc_swap::ArcSwap;

use crate::drops::Cause;
use crate::flow::{Class, Cursor, Departed, Direction, Entry, Handle, Limits, Shard, Table};
use crate::pool::Pool;
use crate::service::{Persistence, Real, RealId, ServiceKey, Standing};
use crate::time::{Tick, Ticks};
use crate::wire::{Endpoint, Protocol, Tuple};

mod apart;
mod calls;
mod key;
mod shown;

use calls::Calls;
use key::{aside, call_of, is_aside, key, of_call};

pub(crate) use key::Client;
pub(crate) use shown::shown;

/// How much longer a template lives whose time is up while it controls connections
/// (`ip_vs_conn_expire`).
const EXTENSION: Ticks = Ticks::seconds(60);

/// The port on the real server of a template that is set aside because it is forgotten.
const FORGOTTEN: u16 = 0;

/// The clients of all persistent services.
pub struct Templates {
    table: Table,
    calls: Calls,
    /// For real servers that a worker's snapshot does not know yet.
    latest: Arc<ArcSwap<Pool>>,
}

impl Templates {
    /// An empty table with room for so many clients.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(clients: usize, workers: usize, latest: Arc<ArcSwap<Pool>>) -> io::Result<Self> {
        let table = Table::new(&Self::limits(clients, workers))?;
        Ok(Self::of(table, latest))
    }

    /// A table for so many clients.
    pub const fn limits(clients: usize, workers: usize) -> Limits {
        Limits {
            connections: clients,
            half_open: 0,
            workers,
        }
    }

    /// Those that `table`, an empty one, is for.
    pub fn of(table: Table, latest: Arc<ArcSwap<Pool>>) -> Self {
        Self {
            calls: Calls::new(table.shape().hash_key()),
            table,
            latest,
        }
    }

    /// Takes one over from a former process. It controls nothing yet: [`Templates::readopt`] counts
    /// its connections anew.
    pub(crate) fn take_over(&self, mut template: Entry) -> bool {
        let pool = self.latest.load();
        let Some(real) = pool.real(template.real()) else {
            return false;
        };
        template.packets = 0;
        let place = self.table.locate(Direction::Original, &template.original());
        let mut shard = self.table.lock(&place);
        let gone = &mut |gone: &Entry, _: Departed| self.gone(&pool, gone);
        let Ok(handle) = shard.insert(template, &place, None, gone) else {
            return false;
        };
        if template.class() == Class::Established {
            shard.set_class(handle, Class::Closing);
        }
        if !is_forgotten(&template) {
            real.load.stick();
        }
        true
    }

    /// A connection has been taken over that a template may control.
    pub(crate) fn readopt(&self, connection: &Entry) {
        self.of_connection(&self.latest.load(), connection, take_control);
    }

    /// How the table lies in its file.
    pub(crate) fn shape(&self) -> crate::flow::Shape {
        self.table.shape()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// How many there may be.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// The real server for a new connection of a client: the one that it sticks to if `takes` lets
    /// it, else the one that `choose` finds and that it sticks to from now on. The template controls
    /// one connection more.
    pub(crate) fn hold<'p>(
        &self,
        pool: &'p Pool,
        client: &Client<'_>,
        now: Tick,
        takes: impl Fn(&Real) -> bool,
        choose: impl FnOnce() -> Option<&'p Real>,
    ) -> Result<&'p Real, Cause> {
        let place = self.table.locate(Direction::Original, &client.key);
        let mut shard = self.table.lock(&place);
        let expires = now.after(client.timeout);
        let mut heir = None;
        while let Some(handle) = shard.find(&place, |entry| entry.matches_original(&client.key)) {
            match standing(pool, shard.entry(handle), &takes) {
                Ok(real) => {
                    take_control(&mut shard, handle);
                    shard.touch(handle, expires);
                    self.note(client);
                    return Ok(real);
                }
                Err(successor) => {
                    heir = successor;
                    self.set_aside(pool, shard, handle);
                    shard = self.table.lock(&place);
                }
            }
        }
        let real = heir.or_else(choose).ok_or(Cause::NoReal)?;
        let entry = leading_to(real, client, expires);
        let evicted = &mut |gone: &Entry, _: Departed| self.gone(pool, gone);
        shard
            .insert(entry, &place, None, evicted)
            .map_err(|_| Cause::TemplatesFull)?;
        drop(shard);
        real.load.stick();
        self.take_back(pool, &client.key, real.id);
        self.note(client);
        Ok(real)
    }

    /// A client, and the call that it makes: the one named in what it sends, if its service goes by
    /// calls and `tuple` is of a protocol that has some.
    pub(crate) fn client<'a>(
        &self,
        service: &ServiceKey,
        persistence: &Persistence,
        tuple: &Tuple,
        call_id: impl FnOnce() -> Option<&'a str>,
    ) -> Result<Client<'a>, Cause> {
        let client = Client::of(service, persistence, tuple);
        match persistence.engine {
            Some(Engine::Sip) if tuple.protocol == Protocol::Udp => {
                let id = call_id().ok_or(Cause::NoCallId)?;
                Ok(client.calling(self.calls.call(&client.key, id), id))
            }
            _ => Ok(client),
        }
    }

    /// What the call that a template is of is called; none when it is of no call.
    pub(crate) fn call_id(&self, template: &Entry) -> Option<String> {
        self.calls.id(call_of(&template.original())?)
    }

    fn note(&self, client: &Client<'_>) {
        if let Some((call, id)) = client.call {
            self.calls.note(call, id);
        }
    }

    /// The real server that [`Templates::hold`] would give a client, and the template that says so; none
    /// when it would be chosen. All is left as it is.
    pub(crate) fn held<'p>(
        &self,
        pool: &'p Pool,
        client: &Client<'_>,
        now: Tick,
        takes: impl Fn(&Real) -> bool,
        choose: impl FnOnce() -> Option<&'p Real>,
    ) -> Result<(Option<Entry>, &'p Real), Cause> {
        let place = self.table.locate(Direction::Original, &client.key);
        let shard = self.table.lock(&place);
        let found = shard.find(&place, |entry| entry.matches_original(&client.key));
        let found = found.map(|handle| *shard.entry(handle));
        let heir = match found.map(|template| standing(pool, &template, &takes)) {
            Some(Ok(real)) => return Ok((found, real)),
            Some(Err(heir)) => heir,
            None => None,
        };
        let template = found.filter(|_| heir.is_some());
        let real = heir.or_else(choose).ok_or(Cause::NoReal)?;
        let entry = leading_to(real, client, now.after(client.timeout));
        match shard.would_take(&entry, &place, None) {
            Ok(()) => Ok((template, real)),
            Err(_) => Err(Cause::TemplatesFull),
        }
    }

    /// A connection has gone that a template may have controlled.
    pub(crate) fn release(&self, pool: &Pool, connection: &Entry) {
        self.of_connection(pool, connection, |shard, handle| {
            let entry = shard.entry_mut(handle);
            entry.packets = entry.packets.saturating_sub(1);
            if entry.packets == 0 && entry.class() == Class::Established {
                shard.set_class(handle, Class::Closing);
            }
        });
    }

    /// A connection that a template may control has been answered.
    pub(crate) fn assure(&self, pool: &Pool, connection: &Entry) {
        self.of_connection(pool, connection, |shard, handle| {
            shard.set_class(handle, Class::Established);
        });
    }

    /// Looks for the dead in shard number `shard`, as [`Table::expire`].
    pub(crate) fn expire(&self, pool: &Pool, shard: usize, now: Tick, budget: u32) -> bool {
        let stays = &mut |entry: &Entry| (entry.packets > 0).then(|| now.after(EXTENSION));
        let gone = &mut |entry: &Entry, _: Departed| self.gone(pool, entry);
        self.table.expire_unless(shard, now, budget, stays, gone)
    }

    /// Forgets those that are `meant`; how many. What they control goes on, and its clients are new
    /// with their next connection.
    pub(crate) fn forget(&self, pool: &Pool, meant: impl Fn(&Entry) -> bool) -> usize {
        let mut forgotten = 0;
        let mut cursor = Some(Cursor::default());
        while let Some(here) = cursor {
            let mut doomed = Vec::new();
            cursor = self.page(here, u32::MAX, |entry| {
                if meant(entry) {
                    doomed.push(entry.original());
                }
            });
            let gone = doomed.iter().filter(|key| self.forget_one(pool, key));
            forgotten += gone.count();
        }
        forgotten
    }

    /// Forgets one; whether it was there. Its connections go on to be counted.
    fn forget_one(&self, pool: &Pool, key: &Tuple) -> bool {
        let place = self.table.locate(Direction::Original, key);
        let mut shard = self.table.lock(&place);
        let is_it = |entry: &Entry| entry.matches_original(key) && !is_forgotten(entry);
        let Some(handle) = shard.find(&place, is_it) else {
            return false;
        };
        let old = shard.remove(handle);
        drop(shard);
        self.gone(pool, &old);
        if old.packets > 0 {
            self.put_aside(pool, &old, FORGOTTEN);
        }
        true
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.table.shards()
    }

    /// A page, as [`Table::page`], without what is forgotten.
    pub(crate) fn page(
        &self,
        cursor: Cursor,
        limit: u32,
        mut each: impl FnMut(&Entry),
    ) -> Option<Cursor> {
        self.table.page(cursor, limit, |entry| {
            if !is_forgotten(entry) {
                each(entry);
            }
        })
    }

    /// Does something to the template that controls a connection: the one in force or one that
    /// was set aside, whichever leads to its real server.
    #[inline(never)]
    fn of_connection(
        &self,
        pool: &Pool,
        connection: &Entry,
        what: impl FnOnce(&mut Shard<'_>, Handle),
    ) {
        let Some(prefix) = connection.controlled_by() else {
            return;
        };
        let Some(service) = self.real(pool, connection.real(), |real| real.service) else {
            return;
        };
        let mut key = key(&service, prefix, &connection.original());
        if let Some(call) = connection.tracked.call() {
            key = of_call(&key, call);
        }
        for key in [key, aside(&key, connection.real())] {
            let place = self.table.locate(Direction::Original, &key);
            let mut shard = self.table.lock(&place);
            let is_it =
                |entry: &Entry| entry.matches_original(&key) && entry.real() == connection.real();
            if let Some(handle) = shard.find(&place, is_it) {
                return what(&mut shard, handle);
            }
        }
    }

    fn gone(&self, pool: &Pool, template: &Entry) {
        if is_forgotten(template) {
            return;
        }
        self.real(pool, template.real(), |real| real.load.unstick());
        call_of(&template.original()).map(|call| self.calls.forget(call));
    }

    /// What `what` says of a real server, whose snapshot `pool` need not be.
    fn real<T>(&self, pool: &Pool, id: RealId, what: impl FnOnce(&Real) -> T) -> Option<T> {
        match pool.real(id) {
            Some(real) => Some(what(real)),
            None => self.latest.load().real(id).map(|real| what(real)),
        }
    }
}

/// A new template of a client, which controls one connection.
fn leading_to(real: &Real, client: &Client<'_>, expires: Tick) -> Entry {
    let port = match client.key.dst.port {
        0 => 0,
        port => {
            let vip = Endpoint::new(client.key.dst.addr, port);
            real.destination(vip).port
        }
    };
    let mut entry = Entry::new(&client.key, real.id, port, Class::Unverified, expires);
    entry.count_packet();
    entry
}

/// Whether a template is there only because its connections are.
fn is_forgotten(template: &Entry) -> bool {
    is_aside(&template.original()) && template.real_port() == FORGOTTEN
}

/// The real server that a template leads to, if it still takes the client; else the one that has
/// taken its place.
fn standing<'p>(
    pool: &'p Pool,
    template: &Entry,
    takes: impl Fn(&Real) -> bool,
) -> Result<&'p Real, Option<&'p Real>> {
    let real: &Real = pool.real(template.real()).ok_or(None)?;
    match real.standing {
        Standing::Listed if takes(real) => Ok(real),
        Standing::Listed | Standing::Removed => Err(None),
        Standing::Replaced => {
            let service = pool.service(&real.service).ok_or(None)?;
            let now = service
                .reals
                .find(real.endpoint)
                .map(|real: &Arc<Real>| &**real);
            Err(now.filter(|real| takes(real)))
        }
    }
}

fn take_control(shard: &mut Shard<'_>, handle: Handle) {
    shard.entry_mut(handle).count_packet();
    if shard.entry(handle).class() == Class::Closing {
        shard.set_class(handle, Class::Established);
    }
}

#[cfg(test)]
mod tests;

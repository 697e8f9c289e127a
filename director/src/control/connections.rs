//! The connection table, as it is asked for page by page, and a connection closed.

use adminapi::ControlError;
use adminapi::error::Result;
use adminapi::model::{
    Connection, ConnectionId, ConnectionPage, ConnectionQuery, Cursor, TemplateQuery,
};

use super::templates::is_asked_for;
use super::{Director, translate, view};
use crate::flow;
use crate::path;
use crate::wire::Endpoint;

/// In the cursor of a listing: the connections are through, the templates are not.
const IN_TEMPLATES: u64 = 1 << 63;

impl Director {
    /// The page that `query` is about: connections first, then templates.
    pub(super) fn page_of_connections(&self, query: &ConnectionQuery) -> ConnectionPage {
        let mut page = ConnectionPage::default();
        let mut cursor = Some(first(query));
        while let Some(here) = cursor {
            let in_templates = here & IN_TEMPLATES != 0;
            if query.template == Some(false) && in_templates {
                return page;
            }
            let room = (query.limit as usize).saturating_sub(page.connections.len()) as u32;
            if room == 0 {
                break;
            }
            let at = flow::Cursor::from_bits(here & !IN_TEMPLATES);
            let found = &mut page.connections;
            cursor = match in_templates {
                false => Some(self.add_connections(query, at, room, found)),
                true => self.add_templates(query, at, room, found),
            };
        }
        page.next = cursor.map(Cursor);
        page
    }

    /// Adds what there is from `at` in the table, `room` entries at most; where to go on.
    fn add_connections(
        &self,
        query: &ConnectionQuery,
        at: flow::Cursor,
        room: u32,
        found: &mut Vec<Connection>,
    ) -> u64 {
        let (pool, now) = (self.shared.pool.load(), self.facts.clock.now());
        let next = self.shared.table.page(at, room, |entry| {
            let shown = self.listed(&pool, entry, now);
            found.extend(shown.filter(|one| query.matches(one)));
        });
        next.map_or(IN_TEMPLATES, flow::Cursor::to_bits)
    }

    /// As [`Director::add_connections`], of the templates; where to go on, unless they are through.
    fn add_templates(
        &self,
        query: &ConnectionQuery,
        at: flow::Cursor,
        room: u32,
        found: &mut Vec<Connection>,
    ) -> Option<u64> {
        let (pool, now) = (self.shared.pool.load(), self.facts.clock.now());
        let (templates, wanted) = (&self.shared.templates, TemplateQuery::from(query));
        let next = templates.page(at, room, |entry| {
            let template = view::template(templates, &pool, entry, now);
            found.extend(template.filter(|one| is_asked_for(&pool, &wanted, one)));
        });
        next.map(|next| next.to_bits() | IN_TEMPLATES)
    }

    /// Ends a connection as if it had expired.
    pub(super) fn close(&self, id: ConnectionId) -> Result<()> {
        let pool = self.shared.pool.load();
        let protocol = translate::protocol(id.protocol);
        let (client, vip) = (Endpoint::from(id.client), Endpoint::from(id.vip));
        let mut closed = false;
        self.shared.table.sweep(
            |entry| entry.protocol() == protocol && entry.client() == client && entry.vip() == vip,
            |entry| {
                path::leave(&pool, &self.shared.pool, &self.shared.templates, entry);
                closed = true;
            },
        );
        let missing = ControlError::NotFound(adminapi::Subject::Connection(id));
        closed.then_some(()).ok_or(missing)
    }
}

/// Where a listing begins, or goes on.
fn first(query: &ConnectionQuery) -> u64 {
    match query.cursor {
        Some(cursor) => cursor.0,
        None if query.template == Some(true) => IN_TEMPLATES,
        None => 0,
    }
}

//! What persistent services remember of their clients, as it is asked for and forgotten.

use std::net::IpAddr;

use adminapi::model::{Connection, TemplateQuery};

use super::{Director, translate, view};
use crate::pool::Pool;
use crate::wire::Addr;

/// Whether `template` is among those that `query` is about.
pub(super) fn is_asked_for(pool: &Pool, query: &TemplateQuery, template: &Connection) -> bool {
    let service = pool.service(&translate::key(template.service));
    let persistence = service.and_then(|service| service.handling.persistence);
    let masked = |client: IpAddr| match persistence {
        Some(persistence) => Addr::from(client).masked(persistence.prefix).into(),
        None => client,
    };
    query.matches(template, masked)
}

impl Director {
    /// Forgets the templates that `query` is about; how many. What they control goes on.
    pub(super) fn forget(&self, query: &TemplateQuery) -> u64 {
        let pool = self.shared.pool.load();
        let (templates, now) = (&self.shared.templates, self.facts.clock.now());
        let forgotten = templates.forget(&pool, |entry| {
            let template = view::template(templates, &pool, entry, now);
            template.is_some_and(|template| is_asked_for(&pool, query, &template))
        });
        forgotten as u64
    }
}

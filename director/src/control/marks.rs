//! The rules that mark packets: their names made numbers, and all of them published at once.

use adminapi::error::Result;
use adminapi::model::{MarkRule, PortRange};
use adminapi::validate::too_many_marks;
use adminapi::{ControlError, Problem};

use super::regions::{Numbers, region};
use super::{Director, translate};
use crate::marks::{ALL_PORTS, Ports, Rule};
use crate::region::Regions;
use crate::wire::Net;

impl Director {
    /// Makes the rules what `change` makes of them.
    pub(super) fn change_marks(
        &self,
        change: impl FnOnce(&[MarkRule]) -> Vec<MarkRule>,
    ) -> Result<()> {
        let mut rules = self.rules.lock();
        let wanted = change(&rules);
        ControlError::unless_valid(too_many_marks(wanted.len()).into_iter().collect())?;
        let compiled = self.compile(&wanted, &self.region_numbers())?;
        self.change(|pool, _| {
            pool.set_marks(compiled.into());
            Ok(())
        })?;
        *rules = wanted;
        Ok(())
    }

    /// `rules` as packets meet them, when regions have these numbers.
    pub(super) fn compile(&self, rules: &[MarkRule], numbers: &Numbers) -> Result<Vec<Rule>> {
        let interfaces = &self.facts.interfaces;
        let port_of = |name: &str| interfaces.iter().position(|(own, _)| own.name == name);
        let mut problems = Vec::new();
        let mut compile = |(index, rule): (usize, &MarkRule)| {
            let named = rule.interface.as_deref();
            let port = named.and_then(port_of);
            if let (Some(name), None) = (named, port) {
                let message = format!("{name:?} is no interface of the director");
                let mend = "name one of [datapath] interfaces";
                problems.push(Problem::new(format!("/{index}/interface"), message, mend));
            }
            let at = || format!("/{index}/region");
            let region = region(numbers, rule.region.as_deref(), at).unwrap_or_else(|problem| {
                problems.push(problem);
                Regions::default()
            });
            compiled(rule, port.map(|port| port as u16), region)
        };
        let compiled = rules.iter().enumerate().map(&mut compile).collect();
        ControlError::unless_valid(problems)?;
        Ok(compiled)
    }
}

fn compiled(rule: &MarkRule, port: Option<u16>, region: Regions) -> Rule {
    Rule {
        mark: rule.mark,
        protocol: rule.protocol.map(translate::protocol),
        src: rule.source.map_or_else(Net::default, translate::net),
        dst: rule.destination.map_or_else(Net::default, translate::net),
        src_ports: ports(rule.source_ports),
        dst_ports: ports(rule.destination_ports),
        port,
        region,
    }
}

fn ports(range: Option<PortRange>) -> Ports {
    range.map_or(ALL_PORTS, |range| (range.first, range.last))
}

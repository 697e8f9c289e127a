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
        let compiled = compile(&wanted, &self.interface_names(), &self.region_numbers())?;
        self.change(|pool, _| {
            pool.set_marks(compiled.into());
            Ok(())
        })?;
        *rules = wanted;
        Ok(())
    }

    /// Refuses a rule that is to stand behind the others; pointers are into it alone.
    pub(super) fn refuse_mark(&self, rule: &MarkRule) -> Result<()> {
        let judged = compile_one(rule, &self.interface_names(), &self.region_numbers());
        judged.map(drop).map_err(ControlError::Invalid)
    }
}

/// `rules` as packets meet them, when the director has these interfaces, by port, and regions these
/// numbers.
///
/// # Errors
/// That they are too many, or what each of them names that is not there.
pub(super) fn compile(
    rules: &[MarkRule],
    interfaces: &[&str],
    numbers: &Numbers,
) -> Result<Vec<Rule>> {
    ControlError::unless_valid(too_many_marks(rules.len()).into_iter().collect())?;
    let (mut compiled, mut problems) = (Vec::new(), Vec::new());
    for (index, rule) in rules.iter().enumerate() {
        match compile_one(rule, interfaces, numbers) {
            Ok(rule) => compiled.push(rule),
            Err(own) => {
                let own = own.into_iter();
                problems.extend(own.map(|problem| problem.below(&format!("/{index}"))));
            }
        }
    }
    ControlError::unless_valid(problems)?;
    Ok(compiled)
}

fn compile_one(
    rule: &MarkRule,
    interfaces: &[&str],
    numbers: &Numbers,
) -> std::result::Result<Rule, Vec<Problem>> {
    let port_of = |name: &str| interfaces.iter().position(|own| *own == name);
    let missing = |name: &str| {
        let message = format!("{name:?} is no interface of the director");
        Problem::new("/interface", message, "name one of [datapath] interfaces")
    };
    let named = rule.interface.as_deref();
    let port = named.map(|name| port_of(name).ok_or_else(|| missing(name)));
    let at = || "/region".to_owned();
    match (
        port.transpose(),
        region(numbers, rule.region.as_deref(), at),
    ) {
        (Ok(port), Ok(region)) => Ok(compiled(rule, port.map(|port| port as u16), region)),
        (port, region) => Err(port.err().into_iter().chain(region.err()).collect()),
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

//! `[[mark]]`: the rules that mark packets, in the order of the file.

use adminapi::model::MarkRule;
use adminapi::validate::validate_marks;

use super::places::Places;
use super::read::{Expected, Section};

const PROTOCOLS: &[&str] = &["tcp", "udp", "sctp"];
const MARK: Expected = Expected::Number(1..=u32::MAX as i64);
const PREFIX: Expected = Expected::Text("an address or a network, as in \"10.0.0.0/8\"");
const PORTS: Expected = Expected::Text("a port or a range of ports, as in \"80\" or \"8000-8099\"");

/// All rules that can be read.
pub(super) fn read(root: &mut Section<'_>) -> Vec<MarkRule> {
    let (places, rules) = Places::read(root, "mark", read_rule);
    for mut problem in validate_marks(&rules) {
        problem.pointer = places.in_file(&problem.pointer);
        problem.other = problem.other.map(|other| places.in_file(&other));
        root.report(problem);
    }
    rules
}

fn read_rule(mut section: Section<'_>) -> Option<MarkRule> {
    let mark = section.required("mark", &MARK, "set the mark that packets get");
    let rule = MarkRule {
        mark: mark.unwrap_or_default(),
        protocol: section.optional("protocol", &Expected::Word(PROTOCOLS)),
        source: section.optional("source", &PREFIX),
        destination: section.optional("destination", &PREFIX),
        source_ports: section.optional("source_ports", &PORTS),
        destination_ports: section.optional("destination_ports", &PORTS),
        interface: section.optional("interface", &Expected::Text("the name of an interface")),
        region: section.optional("region", &Expected::Text("the name of a region")),
    };
    section.finish();
    mark.map(|_| rule)
}

//! What the rules that mark packets must look like.

use crate::error::Problem;
use crate::model::{Family, MarkRule, Prefix};

/// Judges the rules that mark packets, all together.
pub fn validate_marks(rules: &[MarkRule]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let prefix = format!("/{index}");
        let of_rule = validate_mark(rule).into_iter();
        problems.extend(of_rule.map(|problem| problem.below(&prefix)));
    }
    problems.extend(too_many_marks(rules.len()));
    problems
}

/// Judges the number of rules that mark packets.
pub fn too_many_marks(rules: usize) -> Option<Problem> {
    (rules > MarkRule::MAX).then(|| {
        let message = format!("{rules} rules are too many");
        let mend = format!("use {} at most", MarkRule::MAX);
        Problem::new("", message, mend)
    })
}

/// Judges a rule that marks packets.
pub fn validate_mark(rule: &MarkRule) -> Vec<Problem> {
    let mut problems = Vec::new();
    if rule.mark == 0 {
        let message = "mark 0 is that of packets without a mark";
        problems.push(Problem::new("/mark", message, "use 1 to 4294967295"));
    }
    let family = |prefix: Option<Prefix>| prefix.map(|prefix| Family::of(prefix.address));
    let families = family(rule.source).zip(family(rule.destination));
    if let Some((source, destination)) = families.filter(|(a, b)| a != b) {
        let message = format!("the source is {source}, the destination is {destination}");
        let problem = Problem::new("/source", message, "no packet is both; use two rules");
        problems.push(problem.with_other("/destination"));
    }
    problems
}

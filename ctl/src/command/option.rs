//! Whose fault it is, in the words of the line: the director points into what it was sent, which
//! whoever wrote the line has not seen.

use std::ffi::OsString;

use adminapi::Problem;
use clap::{Arg, ArgMatches, Command};

use crate::director::DirectorError;

/// Options that the director knows by another name; of several it is the one that was written.
const ALIASES: [(&str, &str); 11] = [
    ("source-ports", "sport"),
    ("destination-ports", "dport"),
    ("bogons", "interface"),
    ("strict", "interface"),
    ("loose", "interface"),
    ("to", "tcp-service"),
    ("to", "udp-service"),
    ("to", "sctp-service"),
    ("cookies", "policy"),
    ("udp-repeats", "policy"),
    ("drain", "deadline"),
];

/// The last word of a line, the one whose options have been written, and what was.
struct Word {
    command: Command,
    matches: ArgMatches,
}

/// The same error, with options for the places that the director points at.
pub(super) fn named(error: DirectorError, root: Command, args: &[OsString]) -> DirectorError {
    match (error, word(root, args)) {
        (DirectorError::BadValues(problems), Some(word)) => {
            let named = problems.into_iter().map(|problem| of(problem, &word));
            DirectorError::BadValues(named.collect())
        }
        (error, _) => error,
    }
}

fn word(mut root: Command, args: &[OsString]) -> Option<Word> {
    root.build();
    let matches = root.try_get_matches_from_mut(args).ok()?;
    let (mut word, mut matches) = (&root, &matches);
    while let Some((name, below)) = matches.subcommand() {
        word = word.find_subcommand(name)?;
        matches = below;
    }
    Some(Word {
        command: word.clone(),
        matches: matches.clone(),
    })
}

fn of(problem: Problem, word: &Word) -> Problem {
    let place = |pointer: String| option(&pointer, word).unwrap_or(pointer);
    Problem {
        pointer: place(problem.pointer),
        other: problem.other.map(place),
        ..problem
    }
}

/// The option, or the value without one, that a pointer leads to: `--ban-over` for
/// `/limits/1/ban/over`.
fn option(pointer: &str, word: &Word) -> Option<String> {
    let parts = pointer.strip_prefix('/')?.split('/');
    let names = parts.filter(|part| part.parse::<u32>().is_err());
    let names: Vec<_> = names.map(|name| name.replace('_', "-")).collect();
    let longest_first = (0..names.len()).map(|from| names[from..].join("-"));
    let mut found = longest_first.filter_map(|name| written(&name, word));
    found.next()
}

fn written(name: &str, word: &Word) -> Option<String> {
    let ours = |known: &str| {
        let aliases = ALIASES.iter().filter(|(theirs, _)| *theirs == name);
        let mut ours = aliases.map(|(_, ours)| *ours).peekable();
        match ours.peek() {
            None => known == name,
            Some(_) => ours.any(|ours| ours == known),
        }
    };
    let is_it = |arg: &&Arg| match arg.is_positional() {
        true => ours(arg.get_id().as_str()),
        false => arg.get_long().is_some_and(ours),
    };
    let is_given = |arg: &&Arg| word.matches.value_source(arg.get_id().as_str()).is_some();
    let its = || word.command.get_arguments().filter(is_it);
    let arg = its().find(is_given).or_else(|| its().next())?;
    Some(match (arg.is_positional(), arg.get_long()) {
        (false, Some(long)) => format!("--{long}"),
        _ => format!("<{}>", arg.get_id().as_str().to_uppercase()),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::command::Line;

    #[test]
    fn places_are_those_of_the_line() {
        let limit = "filter limit a --of syns --per service --rate 5";
        for (line, pointer, want) in [
            (limit, "/limits/1/prefix_v4", "--prefix-v4"),
            (limit, "/limits/0/ban/over", "--ban-over"),
            (limit, "/limits/0/ban/for", "--ban-for"),
            (limit, "/limits/0/name", "<NAME>"),
            (
                "filter connections a --most 0",
                "/connections/3/most",
                "--most",
            ),
            (
                "filter region a --asns 1",
                "/regions/0/countries/1",
                "--countries",
            ),
            ("filter add deny 10.0.0.0/8", "/for", "--for"),
            ("filter add deny 10.0.0.0/8", "/network", "<NETWORK>"),
            ("ban 10.0.0.0/8 --why x", "/why", "--why"),
            ("mark add 1 --dport 80", "/destination_ports", "--dport"),
            ("mark add 0", "/mark", "<MARK>"),
            ("filter bogons eth9 on", "/bogons/0", "<INTERFACE>"),
            (
                "explain -t 192.0.2.1:80 --from [fd00::1]:5",
                "/from",
                "--from",
            ),
            (
                "explain -t 192.0.2.1:80 --from [fd00::1]:5",
                "/to",
                "--tcp-service",
            ),
            (
                "explain -u 192.0.2.1:80 --from [fd00::1]:5",
                "/to",
                "--udp-service",
            ),
            (
                "defense cookies always -u 192.0.2.1:53",
                "/cookies",
                "<POLICY>",
            ),
            (
                "defense repeats off -t 192.0.2.1:80",
                "/udp_repeats",
                "<POLICY>",
            ),
            (
                "drain -t 192.0.2.1:80 -r 10.0.0.1:80",
                "/drain",
                "--deadline",
            ),
            // Nothing that was written.
            (limit, "/limits", "/limits"),
            (limit, "limit \"b\": /region", "limit \"b\": /region"),
            ("filter unlimit a", "/limits/0/rate", "/limits/0/rate"),
        ] {
            let args = std::iter::once("bulwark").chain(line.split(' '));
            let args: Vec<_> = args.map(OsString::from).collect();
            let error = DirectorError::BadValues(vec![Problem::new(pointer, "is bad", "")]);
            let told = named(error, Line::command(), &args).to_string();
            assert_eq!(told, format!("{want}: is bad"), "{line}");
        }
    }
}

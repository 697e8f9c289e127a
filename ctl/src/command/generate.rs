//! What is made of the grammar: completions for shells, and a man page for each word.

mod fish;

use std::io;
use std::path::Path;

use clap::builder::{ArgAction, PossibleValuesParser};
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Line;
use crate::ipvsadm::{SwitchFacts, switches};

/// The completions of a shell: words, and ipvsadm's options.
pub(super) fn completions(shell: Shell) -> String {
    let mut command = whole();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    let script = String::from_utf8_lossy(&script);
    match shell {
        Shell::Fish => fish::mended(&script, &command),
        _ => script.into_owned(),
    }
}

/// Writes `bulwark-WORD.1` for each word into `directory`, and `bulwark-WORD-WORD.1` for each word
/// after one. bulwark(1) itself is written by hand.
pub(super) fn man_pages(directory: &Path) -> io::Result<()> {
    // What `help` says are the pages.
    let mut command = Line::command().disable_help_subcommand(true);
    command.build();
    pages_below(&command, "bulwark", directory)
}

/// The pages of the words after this one, which is called `name` on its own.
fn pages_below(command: &Command, name: &str, directory: &Path) -> io::Result<()> {
    for word in command.get_subcommands().filter(|word| !word.is_hide_set()) {
        let name = format!("{name}-{}", word.get_name());
        let mut text = Vec::new();
        Man::new(word.clone()).render(&mut text)?;
        std::fs::write(directory.join(format!("{name}.1")), text)?;
        pages_below(word, &name, directory)?;
    }
    Ok(())
}

/// The words and all options in one grammar. Nothing is read with it: commands of ipvsadm are
/// options that have to come first, which clap cannot say.
fn whole() -> Command {
    let words = Line::command();
    let known: Vec<String> = words
        .get_arguments()
        .map(|arg| arg.get_id().to_string())
        .collect();
    let mut command = words.disable_help_flag(true).disable_version_flag(true);
    for switch in switches() {
        if known.iter().any(|id| id == switch.long) {
            continue;
        }
        let is_known = command
            .get_arguments()
            .any(|arg| arg.get_id() == switch.long);
        command = match (is_known, switch.short) {
            (false, _) => command.arg(argument(&switch)),
            (true, Some(short)) => {
                command.mut_arg(switch.long, |arg| arg.visible_short_alias(short))
            }
            (true, None) => command,
        };
    }
    command
}

fn argument(switch: &SwitchFacts) -> Arg {
    let arg = Arg::new(switch.long)
        .long(switch.long)
        .help(switch.help.to_owned())
        .action(match switch.takes_value {
            true => ArgAction::Set,
            false => ArgAction::SetTrue,
        });
    let arg = match switch.words.is_empty() {
        true => arg,
        false => arg.value_parser(PossibleValuesParser::new(&switch.words)),
    };
    match switch.short {
        Some(short) => arg.short(short),
        None => arg,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn every_shell_is_told_of_words_and_options() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(shell);
            let words = Line::command();
            let words = words.get_subcommands().filter(|word| !word.is_hide_set());
            for word in words.map(Command::get_name) {
                assert!(script.contains(word), "{shell}: {word}");
            }
            for switch in switches() {
                assert!(script.contains(switch.long), "{shell}: {}", switch.long);
            }
        }
    }

    /// A shell that completes, as one that somebody types into.
    #[test]
    fn bash_completes_words_options_and_their_values() {
        let script = completions(Shell::Bash);
        for (typed, wanted) in [
            (&["stat"][..], &["status"][..]),
            (&["--sch"], &["--scheduler", "--sched-flags"]),
            (&["-A", "-t", "192.0.2.1:80", "-s", "w"], &["wrr", "wlc"]),
            (&["--start-daemon", "m"], &["master"]),
            (&["defense", "level", ""], &["0", "1", "2"]),
            (&["defense", "cookies", "a"], &["auto", "always"]),
            (&["defense", "repeats", ""], &["off", "auto", "default"]),
            (&["proc", "ip_vs_s"], &["ip_vs_stats"]),
        ] {
            let (last, before) = typed.split_last().unwrap();
            let previous = before.last().unwrap_or(&"bulwark");
            let line = format!(
                "{script}\nCOMP_WORDS=(bulwark {} '{last}')\nCOMP_CWORD={}\n\
                 _bulwark bulwark '{last}' '{previous}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
                before.join(" "),
                typed.len()
            );
            let said = std::process::Command::new("bash")
                .args(["--norc", "-c", &line])
                .output()
                .unwrap();
            let said = String::from_utf8(said.stdout).unwrap();
            for word in wanted {
                let is_told = said.lines().any(|line| line == *word);
                assert!(is_told, "{typed:?}: {word} is not among {said:?}");
            }
        }
    }

    #[test]
    fn every_word_has_a_man_page() {
        let pages = pages();
        assert!(pages["bulwark-status"].contains("bulwark-status"));
        assert!(pages["bulwark-filter-limit"].contains("--ban-over"));
        let helps = pages.keys().find(|name| name.ends_with("-help"));
        assert_eq!(helps, None);
    }

    #[test]
    fn every_page_that_a_page_names_is_there() {
        let pages = pages();
        for (page, text) in &pages {
            let named = text.split_whitespace().filter_map(|word| {
                let (name, _) = word.split_once("(1)")?;
                name.starts_with("bulwark-").then_some(name)
            });
            for name in named {
                assert!(pages.contains_key(name), "{page}(1) names {name}(1)");
            }
        }
    }

    /// What is written, by its name without `.1`, and without the backslashes before hyphens.
    fn pages() -> BTreeMap<String, String> {
        let folder = tempfile::tempdir().unwrap();
        man_pages(folder.path()).unwrap();
        let files = std::fs::read_dir(folder.path()).unwrap();
        let page = |path: PathBuf| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(path).unwrap();
            (name, text.replace("\\-", "-"))
        };
        files.map(|file| page(file.unwrap().path())).collect()
    }

    /// Whether a word, or a word after it, has an option of this name.
    fn has_argument(word: &Command, long: &str) -> bool {
        word.get_arguments().any(|arg| arg.get_long() == Some(long))
            || word.get_subcommands().any(|next| has_argument(next, long))
    }

    /// mdoc(7) has `Fl -long` for `--long`, and `Fl s` for `-s`.
    #[test]
    fn the_manual_by_hand_has_every_option_and_word() {
        let manual = include_str!("../../../docs/man/bulwark.1");
        let flags: Vec<&str> = manual
            .lines()
            .filter(|line| line.starts_with('.') && !line.starts_with(".B"))
            .flat_map(str::split_whitespace)
            .collect();
        for switch in switches() {
            let long = format!("-{}", switch.long);
            let short = switch.short.map(String::from);
            let has = |name: &str| flags.contains(&name);
            let told = has(&long) || short.is_some_and(|short| has(&short));
            assert!(told, "docs/man/bulwark.1 lacks --{}", switch.long);
        }
        for flag in flags.iter().filter_map(|flag| flag.strip_prefix('-')) {
            let of_options = switches().iter().any(|switch| switch.long == flag);
            let known = of_options || has_argument(&Line::command(), flag);
            assert!(known, "docs/man/bulwark.1 has --{flag}, which is no option");
        }
        for word in Line::command()
            .get_subcommands()
            .filter(|word| !word.is_hide_set())
        {
            let name = word.get_name();
            assert!(flags.contains(&name), "docs/man/bulwark.1 lacks {name}");
        }
    }
}

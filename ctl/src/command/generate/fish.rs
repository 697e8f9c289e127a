//! What clap's completions for fish lack.

use clap::Command;

/// Where the script finds out which word the line has. It fails on an option that still waits for its
/// value, and with it what that value could be.
const READS_OPTIONS: &str = "\
    argparse -s (__fish_bulwark_global_optspecs) -- $cmd 2>/dev/null
    or return
";

/// The same, once more without the last option.
const READS_WHOLE_OPTIONS: &str = "\
    argparse -s (__fish_bulwark_global_optspecs) -- $cmd 2>/dev/null
    or begin
        set -e cmd[-1]
        argparse -s (__fish_bulwark_global_optspecs) -- $cmd 2>/dev/null
    end
    or return
";

/// The script for `command`, so that it completes values of options after a blank, and of words.
pub(super) fn mended(script: &str, command: &Command) -> String {
    let mut script = script.replace(READS_OPTIONS, READS_WHOLE_OPTIONS);
    for word in command.get_subcommands() {
        let condition = format!("__fish_bulwark_using_subcommand {}", word.get_name());
        tell_values(word, &condition, &mut script);
    }
    script
}

/// Adds what may stand after `word`, and after the words that go on from there.
fn tell_values(word: &Command, condition: &str, script: &mut String) {
    let values = word
        .get_positionals()
        .flat_map(|arg| arg.get_possible_values());
    let values = values.filter(|value| !value.is_hide_set());
    let values: Vec<_> = values.map(|value| value.get_name().to_owned()).collect();
    if !values.is_empty() {
        let values = values.join(" ");
        script.push_str(&format!(
            "complete -c bulwark -n \"{condition}\" -f -a \"{values}\"\n"
        ));
    }
    for next in word.get_subcommands() {
        let seen = format!(
            "{condition}; and __fish_seen_subcommand_from {}",
            next.get_name()
        );
        tell_values(next, &seen, script);
    }
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use super::super::completions;
    use super::*;

    #[test]
    fn the_script_is_mended_where_it_has_to_be() {
        let script = completions(Shell::Fish);
        assert_eq!(script.matches(READS_WHOLE_OPTIONS).count(), 1);
        for line in [
            "using_subcommand proc\" -f -a \"ip_vs ",
            "using_subcommand defense; and __fish_seen_subcommand_from level\" -f -a \"0 1 2\"",
            "using_subcommand defense; and __fish_seen_subcommand_from cookies\" -f -a \"",
        ] {
            assert!(script.contains(line), "{line} is not in {script}");
        }
    }
}

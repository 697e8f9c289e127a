//! A capture as a list of steps.
//!
//! ```text
//! # title                     ~ what may differ from run to run
//! $ [c] command               % what was sent, in words
//! > its standard output       @ what the lines that follow show
//! ! its standard error        = its exit status
//! ```

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// One capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    /// The three digits that its file name begins with.
    pub number: String,
    /// What it is about.
    pub title: String,
    /// What may differ from run to run, in words.
    pub varies: Vec<String>,
    /// What was done and seen, in order.
    pub steps: Vec<Step>,
}

/// Something done or seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A command and all that it said.
    Run(Command),
    /// What was sent, in words.
    Sent(String),
    /// What was seen: what the lines are, and the lines.
    Shows(String, Vec<String>),
}

/// A command and all that it said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// The namespace that it ran in, if not the director's.
    pub namespace: Option<String>,
    /// For a shell.
    pub line: String,
    /// Its standard input.
    pub input: String,
    /// Lines of its standard output.
    pub stdout: Vec<String>,
    /// Lines of its standard error.
    pub stderr: Vec<String>,
    /// Its exit status.
    pub status: i32,
}

impl Case {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or has a line that is not in the format.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let (number, _) = name
            .and_then(|name| name.split_once('-'))
            .context("its name has no number")?;
        let mut case = Self::parse(&fs::read_to_string(path)?)?;
        case.number = number.to_owned();
        Ok(case)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// At a line that is not in the format.
    pub fn parse(text: &str) -> Result<Self> {
        let mut case = Self::default();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let (mark, rest) = (line.get(..1).unwrap_or(""), line.get(2..).unwrap_or(""));
            match mark {
                "#" => rest.clone_into(&mut case.title),
                "~" => case.varies.push(rest.to_owned()),
                "$" => {
                    let mut command = Command::parse(rest);
                    command.take_input(&mut lines)?;
                    case.steps.push(Step::Run(command));
                }
                "%" => case.steps.push(Step::Sent(rest.to_owned())),
                "@" => case.steps.push(Step::Shows(rest.to_owned(), Vec::new())),
                ">" | "!" | "=" => case
                    .steps
                    .last_mut()
                    .context("nothing has been done yet")
                    .and_then(|step| step.add(mark, rest))
                    .with_context(|| line.to_owned())?,
                _ => bail!("not a line of a capture: {line}"),
            }
        }
        Ok(case)
    }

    /// Whether something that contains `words` may differ from run to run.
    pub fn may_vary(&self, words: &str) -> bool {
        self.varies.iter().any(|line| line.contains(words))
    }

    /// The commands.
    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        self.steps.iter().filter_map(|step| match step {
            Step::Run(command) => Some(command),
            Step::Sent(_) | Step::Shows(..) => None,
        })
    }
}

impl Step {
    /// Takes a line of output.
    fn add(&mut self, mark: &str, rest: &str) -> Result<()> {
        match (self, mark) {
            (Self::Run(command), ">") => command.stdout.push(rest.to_owned()),
            (Self::Run(command), "!") => command.stderr.push(rest.to_owned()),
            (Self::Run(command), "=") => command.status = rest.parse()?,
            (Self::Shows(_, lines), ">") => lines.push(rest.to_owned()),
            _ => bail!("it does not belong to what stands before it"),
        }
        Ok(())
    }
}

impl Command {
    fn parse(words: &str) -> Self {
        let placed = words
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("] "));
        let (namespace, line) = match placed {
            Some((namespace, line)) => (Some(namespace.to_owned()), line),
            None => (None, words),
        };
        Self {
            namespace,
            line: line.to_owned(),
            ..Self::default()
        }
    }

    /// Takes the lines up to `EOF`, if the command asks for them.
    fn take_input<'a>(&mut self, lines: &mut impl Iterator<Item = &'a str>) -> Result<()> {
        let Some(line) = self.line.strip_suffix("<<EOF") else {
            return Ok(());
        };
        self.line = line.trim_end().to_owned();
        loop {
            match lines.next().context("the input has no end")? {
                "EOF" => return Ok(()),
                line => self.input += &format!("{line}\n"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Case, Command, Step};

    #[test]
    fn every_mark_has_its_place() {
        let text = "\
# a title
~ the rates
$ ipvsadm -R <<EOF
-A -t 10.9.9.9:80
EOF
= 0
$ [c] curl x
> a 
>
! b
= 7
% 2 SYNs
@ packets arriving in c
> (none)
";
        let case = Case::parse(text).unwrap();
        assert_eq!(case.title, "a title");
        assert!(case.may_vary("rates") && !case.may_vary("order"));
        let commands: Vec<&Command> = case.commands().collect();
        assert_eq!(commands[0].line, "ipvsadm -R");
        assert_eq!(commands[0].input, "-A -t 10.9.9.9:80\n");
        assert_eq!(commands[1].namespace.as_deref(), Some("c"));
        assert_eq!(commands[1].stdout, ["a ", ""]);
        assert_eq!(commands[1].stderr, ["b"]);
        assert_eq!(commands[1].status, 7);
        let shown = Step::Shows("packets arriving in c".into(), vec!["(none)".into()]);
        assert_eq!(case.steps[2..], [Step::Sent("2 SYNs".into()), shown]);
    }

    #[test]
    fn a_line_out_of_place_is_refused() {
        for text in ["> output of nothing", "% sent\n= 0", "words"] {
            assert!(Case::parse(text).is_err(), "{text}");
        }
    }
}

use std::ffi::OsString;
use std::path::Path;

/// What stands for the file's path in an argument.
const PATH: &str = "{path}";
/// What somebody may think stands for the key.
const KEY: &str = "{key}";
/// The variable with the path.
pub(super) const PATH_VARIABLE: &str = "TWO_BUCKETS_PATH";
/// The shell that is asked for.
const SHELL: &str = "/bin/sh";

/// A program and its arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// The program, then its arguments; never empty.
    words: Vec<String>,
    is_shell: bool,
    wants_path: bool,
}

/// Why a text is no command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidCommand {
    /// There is no program in it.
    #[error("names no program")]
    Empty,
    /// A quote is not closed, or a backslash is the last character.
    #[error("has a quote that is not closed, or a backslash at its end")]
    Quotes,
    /// A NUL cannot be in an argument.
    #[error("has a NUL in it")]
    Nul,
    /// The path would be part of a script.
    #[error("is a script, so write \"$TWO_BUCKETS_PATH\" instead of {{path}}")]
    PathInShell,
    /// A key is what a stranger chose.
    #[error(
        "has {{key}} in it, but a key is what a stranger chose and could be taken for an option or a command; \
         the program finds it in its environment as TWO_BUCKETS_KEY"
    )]
    Key,
}

impl Program {
    /// Splits a text into words by the rules of a POSIX shell for quotes and backslashes; nothing else of a shell
    /// happens: no variables, patterns, pipes or redirections.
    pub fn parse(text: &str) -> Result<Self, InvalidCommand> {
        check(text)?;
        let words = shlex::split(text).ok_or(InvalidCommand::Quotes)?;
        if words.first().is_none_or(String::is_empty) {
            return Err(InvalidCommand::Empty);
        }
        Ok(Self {
            wants_path: words.iter().any(|word| word.contains(PATH)),
            words,
            is_shell: false,
        })
    }

    /// A script for `/bin/sh -c`. It gets the file as a path if it speaks of `TWO_BUCKETS_PATH`.
    pub fn shell(script: &str) -> Result<Self, InvalidCommand> {
        check(script)?;
        if script.contains(PATH) {
            return Err(InvalidCommand::PathInShell);
        }
        if script.trim().is_empty() {
            return Err(InvalidCommand::Empty);
        }
        Ok(Self {
            wants_path: script.contains(PATH_VARIABLE),
            words: [SHELL, "-c", script].map(str::to_owned).to_vec(),
            is_shell: true,
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        let program = &self.words[0];
        Path::new(program)
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or(program)
    }

    /// The program as it is looked for.
    pub(super) fn program(&self) -> &str {
        &self.words[0]
    }

    /// Whether the file is given as a path.
    pub(super) fn wants_path(&self) -> bool {
        self.wants_path
    }

    /// The arguments for a file.
    pub(super) fn arguments(&self, path: Option<&Path>) -> Vec<OsString> {
        let substitute = |word: &String| match path {
            Some(path) if !self.is_shell && word.contains(PATH) => {
                let mut argument = OsString::new();
                for (n, piece) in word.split(PATH).enumerate() {
                    if n > 0 {
                        argument.push(path);
                    }
                    argument.push(piece);
                }
                argument
            }
            _ => word.into(),
        };
        self.words[1..].iter().map(substitute).collect()
    }
}

fn check(text: &str) -> Result<(), InvalidCommand> {
    if text.contains('\0') {
        Err(InvalidCommand::Nul)
    } else if text.contains(KEY) {
        Err(InvalidCommand::Key)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Vec<OsString> {
        let program = Program::parse(text).unwrap();
        program.arguments(Some(Path::new("/s p/1/file.csv")))
    }

    #[test]
    fn words_are_split_by_quotes_and_nothing_else_of_a_shell_happens() {
        assert_eq!(
            arguments(r#"run 'a b' "c $HOME" d\ e *.txt | x > y; `z`"#),
            ["a b", "c $HOME", "d e", "*.txt", "|", "x", ">", "y;", "`z`"]
        );
    }

    #[test]
    fn the_path_stands_wherever_it_is_named_and_other_braces_stay() {
        assert_eq!(
            arguments("run -i {path} --in={path}:{path} {} {print}"),
            [
                "-i",
                "/s p/1/file.csv",
                "--in=/s p/1/file.csv:/s p/1/file.csv",
                "{}",
                "{print}"
            ]
        );
        assert!(!Program::parse("cat").unwrap().wants_path());
        let script = Program::shell("wc -l \"$TWO_BUCKETS_PATH\" | tee").unwrap();
        assert!(script.wants_path());
        let path = Path::new("/x");
        assert_eq!(script.arguments(Some(path)), script.arguments(None));
    }

    #[test]
    fn what_is_no_command_is_refused_in_words() {
        for (text, problem) in [
            ("", InvalidCommand::Empty),
            (" ", InvalidCommand::Empty),
            ("'' a", InvalidCommand::Empty),
            ("a 'b", InvalidCommand::Quotes),
            ("a\0", InvalidCommand::Nul),
            ("mv {path} {key}", InvalidCommand::Key),
        ] {
            assert_eq!(Program::parse(text), Err(problem), "{text:?}");
        }
        assert_eq!(
            Program::shell("cat {path}"),
            Err(InvalidCommand::PathInShell)
        );
        assert_eq!(Program::shell("echo {key}"), Err(InvalidCommand::Key));
        assert_eq!(Program::shell("\n"), Err(InvalidCommand::Empty));
    }

    #[test]
    fn a_program_is_called_by_its_files_name() {
        assert_eq!(Program::parse("/usr/bin/env x").unwrap().name(), "env");
        assert_eq!(Program::shell("x | y").unwrap().name(), "sh");
    }
}

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::print;

/// How wide the names of checks are at most.
const NAME_WIDTH: usize = 18;

/// What was found of one thing.
#[derive(Debug)]
pub(super) struct Check {
    /// What was looked at.
    name: &'static str,
    pub(super) verdict: Verdict,
    /// What was seen.
    pub(super) found: String,
    /// What to do about it.
    remedy: Option<String>,
}

/// What that means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It is as it must be.
    Well,
    /// It works, and somebody should know of it.
    Look,
    /// It could not be looked at.
    #[cfg_attr(
        not(feature = "aws"),
        expect(dead_code, reason = "a server is all looked at")
    )]
    Unknown,
    /// Files wait, or are not safe.
    Wrong,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Look => "look",
            Self::Unknown => "unknown",
            Self::Wrong => "wrong",
        }
    }
}

impl Check {
    pub(super) fn well(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Well,
            found: found.into(),
            remedy: None,
        }
    }

    pub(super) fn new(
        name: &'static str,
        verdict: Verdict,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            remedy: Some(remedy.into()),
            verdict,
            ..Self::well(name, found)
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "name": self.name,
            "verdict": self.verdict.word(),
            "found": self.found,
            "do": self.remedy,
        })
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        let mut text = format!(
            "{:<8}{:<NAME_WIDTH$}{}\n",
            self.verdict.word(),
            self.name,
            print::harmless(&self.found)
        );
        if let Some(remedy) = &self.remedy {
            writeln!(
                text,
                "{:<8}{:<NAME_WIDTH$}-> {}",
                "",
                "",
                print::harmless(remedy)
            )
            .expect("writing to a String cannot fail");
        }
        text
    }
}

//! Variables of the environment, and all that is wrong with them at once.

use std::fmt;
use std::str::FromStr;

/// Everything that is wrong with what was told.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// Where variables are looked up, and the problems met.
pub(crate) struct Variables<F> {
    variable: F,
    problems: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    /// Looks them up with this.
    pub(crate) fn new(variable: F) -> Self {
        Self {
            variable,
            problems: Vec::new(),
        }
    }

    /// What was told, if nothing is wrong with it.
    pub(crate) fn whole<T>(self, told: Option<T>) -> Result<T, Problems> {
        match told {
            Some(told) if self.problems.is_empty() => Ok(told),
            _ => Err(Problems(self.problems)),
        }
    }

    /// Something else is wrong.
    pub(crate) fn problem(&mut self, problem: &str) {
        self.problems.push(problem.to_owned());
    }

    /// The variable, if it is set and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// A variable that must be set.
    pub(crate) fn needed<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        self.parsed(name, |text| {
            text.parse().map_err(|error: T::Err| error.to_string())
        })
    }

    /// As [`needed`](Self::needed), read by this.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if self.text(name).is_none() {
            self.problems.push(format!("{name} is not set"));
        }
        self.optional(name, read)
    }

    /// A variable that need not be set, read by this. None with a problem where it cannot be.
    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match read(&self.text(name)?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(format!("{name}: {error}"));
                None
            }
        }
    }

    /// A whole number in this range.
    pub(crate) fn number<T>(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<T>,
        default: T,
    ) -> Option<T>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        let Some(text) = self.text(name) else {
            return Some(default);
        };
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            self.problems.push(format!(
                "{name}: {text:?} is no whole number from {} to {}",
                range.start(),
                range.end()
            ));
        }
        number
    }
}

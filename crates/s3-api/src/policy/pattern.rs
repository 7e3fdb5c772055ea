//! Texts with wildcards: `*` for any characters or none, `?` for exactly one.

use super::{MalformedPolicy, malformed};

/// A text with wildcards, parsed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Piece {
    Char(char),
    One,
    Many,
}

/// What `${` means in a text, by the version of its policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Variables {
    /// `${*}`, `${?}` and `${$}` are the characters themselves; all else is refused.
    Escapes,
    /// There are none; the text is refused.
    Unknown,
}

impl Pattern {
    pub(super) fn parse(text: &str, variables: Variables) -> Result<Self, MalformedPolicy> {
        let mut pieces = Vec::with_capacity(text.len());
        for c in Unescaped::new(text, variables) {
            pieces.push(match c? {
                Unit::Bare('*') => Piece::Many,
                Unit::Bare('?') => Piece::One,
                Unit::Literal(c) | Unit::Bare(c) => Piece::Char(c),
            });
        }
        // Several stars say what one says.
        pieces.dedup_by(|a, b| *a == Piece::Many && *b == Piece::Many);
        Ok(Self(pieces))
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.matches_within(text).0
    }

    /// Also says how many steps it took: never more than (pattern + 1) × (text + 1). When a piece does not fit, only
    /// the last `*` is tried again one character further, which is enough: what an earlier one could take more, the
    /// last could take as well.
    fn matches_within(&self, text: &str) -> (bool, usize) {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut piece, mut steps) = (0, 0, 0);
        let mut again: Option<(usize, usize)> = None;
        while at < text.len() {
            steps += 1;
            match (self.0.get(piece), text.get(at)) {
                (Some(Piece::Many), _) => {
                    piece += 1;
                    again = Some((piece, at));
                }
                (Some(Piece::One), _) => {
                    piece += 1;
                    at += 1;
                }
                (Some(Piece::Char(wanted)), Some(found)) if wanted == found => {
                    piece += 1;
                    at += 1;
                }
                _ => match &mut again {
                    None => return (false, steps),
                    Some((after_star, taken)) => {
                        *taken += 1;
                        (piece, at) = (*after_star, *taken);
                    }
                },
            }
        }
        let rest = self.0.get(piece..).unwrap_or_default();
        (rest.iter().all(|it| *it == Piece::Many), steps)
    }
}

/// A text that has no wildcards, with its escapes resolved.
pub(super) fn plain(text: &str, variables: Variables) -> Result<String, MalformedPolicy> {
    Unescaped::new(text, variables)
        .map(|unit| {
            unit.map(|unit| match unit {
                Unit::Literal(c) | Unit::Bare(c) => c,
            })
        })
        .collect()
}

/// One character of a text with escapes.
enum Unit {
    /// It was escaped and is only itself.
    Literal(char),
    /// It stood there bare and may be a wildcard.
    Bare(char),
}

struct Unescaped<'a> {
    rest: &'a str,
    variables: Variables,
}

impl<'a> Unescaped<'a> {
    fn new(text: &'a str, variables: Variables) -> Self {
        Self {
            rest: text,
            variables,
        }
    }
}

impl Iterator for Unescaped<'_> {
    type Item = Result<Unit, MalformedPolicy>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(after) = self.rest.strip_prefix("${") {
            if self.variables == Variables::Unknown {
                return Some(Err(malformed(
                    "policy variables and escapes need \"Version\": \"2012-10-17\"",
                )));
            }
            for (escape, c) in [("*}", '*'), ("?}", '?'), ("$}", '$')] {
                if let Some(rest) = after.strip_prefix(escape) {
                    self.rest = rest;
                    return Some(Ok(Unit::Literal(c)));
                }
            }
            let name: String = after.chars().take(40).take_while(|c| *c != '}').collect();
            return Some(Err(malformed(format_args!(
                "the policy variable ${{{name}}} is not supported; only ${{*}}, ${{?}} and ${{$}} are"
            ))));
        }
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(Ok(Unit::Bare(c)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern, Variables::Escapes)
            .unwrap()
            .matches(text)
    }

    #[test]
    fn stars_and_question_marks_are_wildcards_and_their_escapes_are_not() {
        for (pattern, yes, no) in [
            ("a", &["a"][..], &["", "b", "aa", "A"][..]),
            ("", &[""], &["a"]),
            ("*", &["", "a", "a/b:c"], &[]),
            ("a*", &["a", "ab", "a/b"], &["", "ba"]),
            ("*a", &["a", "ba", "aa"], &["", "ab"]),
            ("a*b*c", &["abc", "aXbYc", "abbcc"], &["acb", "ab"]),
            ("a?", &["ab", "aä", "a*"], &["a", "abc"]),
            ("?*?", &["ab", "abc"], &["a", ""]),
            ("${*}", &["*"], &["", "a", "**", "${*}"]),
            ("a${*}", &["a*"], &["a", "ab", "a*b"]),
            ("a${?}", &["a?"], &["ab", "a"]),
            ("${$}{*}", &["${}", "${a}"], &["$", "*", "${*"]),
            ("${$}${*}", &["$*"], &["$a"]),
            ("$", &["$"], &["a"]),
            ("$a{", &["$a{"], &[]),
        ] {
            for text in yes {
                assert!(matches(pattern, text), "{pattern} should match {text}");
            }
            for text in no {
                assert!(!matches(pattern, text), "{pattern} should not match {text}");
            }
        }
    }

    #[test]
    fn other_variables_are_refused() {
        for text in [
            "${aws:username}",
            "a${",
            "${}",
            "${**}",
            "${ *}",
            "${*",
            "${aws:username, 'x'}",
        ] {
            assert!(Pattern::parse(text, Variables::Escapes).is_err(), "{text}");
            assert!(plain(text, Variables::Escapes).is_err(), "{text}");
        }
        assert!(Pattern::parse("${*}", Variables::Unknown).is_err());
        assert!(Pattern::parse("a*", Variables::Unknown).is_ok());
    }

    #[test]
    fn what_makes_a_regular_expression_explode_takes_a_bounded_number_of_steps() {
        let text = "a".repeat(1024);
        for pattern in [
            format!("{}b", "a*".repeat(500)),
            format!("{}b", "*a".repeat(500)),
            format!("{}b", "?*".repeat(500)),
            format!("*{}b", "a".repeat(1000)),
            "*".repeat(1024),
        ] {
            let parsed = Pattern::parse(&pattern, Variables::Escapes).unwrap();
            let (_, steps) = parsed.matches_within(&text);
            assert!(steps <= (parsed.0.len() + 1) * (text.len() + 1), "{steps}");
        }
    }

    /// The plain definition, exponential and obviously right.
    fn by_definition(pattern: &[Piece], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((Piece::Many, rest)), _) => {
                (0..=text.len()).any(|taken| by_definition(rest, &text[taken..]))
            }
            (Some((Piece::One, rest)), Some((_, after))) => by_definition(rest, after),
            (Some((Piece::Char(wanted), rest)), Some((found, after))) => {
                wanted == found && by_definition(rest, after)
            }
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_fast_way_agrees_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let parsed = Pattern::parse(&pattern, Variables::Escapes).unwrap();
            let chars: Vec<char> = text.chars().collect();
            let (found, steps) = parsed.matches_within(&text);
            prop_assert_eq!(found, by_definition(&parsed.0, &chars));
            prop_assert!(steps <= (parsed.0.len() + 1) * (chars.len() + 1));
        }

        #[test]
        fn a_literal_matches_its_text_only(text in "\\PC{0,20}", other in "\\PC{0,20}") {
            let pattern = Pattern::parse(&super::super::literal(&text), Variables::Escapes).unwrap();
            prop_assert!(pattern.matches(&text));
            prop_assert_eq!(pattern.matches(&other), text == other);
        }

        #[test]
        fn a_literal_of_wildcards_matches_its_text_only(text in "[a*?${}]{0,6}", other in "[a*?${}]{0,6}") {
            let pattern = Pattern::parse(&super::super::literal(&text), Variables::Escapes).unwrap();
            prop_assert!(pattern.matches(&text));
            prop_assert_eq!(pattern.matches(&other), text == other);
        }
    }
}

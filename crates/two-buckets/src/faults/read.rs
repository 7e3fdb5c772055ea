//! Reading rules: what is written, and what is wrong with it, by the rule and the field.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde_json::{Map, Value};
use two_buckets_s3_api::faults::Code;
use two_buckets_s3_api::{Fault, Operation};

use super::kind::{EventKind, Kind, OF_CALLS, OF_EVENTS, why_not};
use super::rule::{EVENT, Rule};
use super::when::When;
use crate::meant::nearest;
use crate::route::rule::KeyPattern;

/// The most rules; each is looked at for each call while faults are on.
const RULES_MAX: usize = 100;
/// The longest name of a rule.
const NAME_BYTES_MAX: usize = 100;
/// The longest delay of a call: ten minutes, as no client waits longer.
const CALL_DELAY_MS_MAX: u64 = 600_000;
/// The longest delay of an event: a day.
const EVENT_DELAY_MS_MAX: u64 = 24 * 3600 * 1000;
/// How long an event waits for a next one to be overtaken by, unless said otherwise.
const REORDERED_DELAY_MS: u64 = 1_000;
/// The fastest slow body: 1 GiB a second.
const BYTES_PER_S_MAX: u64 = 1 << 30;
/// The largest object there can be.
const AFTER_BYTES_MAX: u64 = 5 << 40;
/// What stands for every operation that can be struck.
const ALL: &str = "*";

const FIELDS: [&str; 14] = [
    "name",
    "operation",
    "bucket",
    "key",
    "fault",
    "took_effect",
    "delay_ms",
    "bytes_per_s",
    "after_bytes",
    "probability",
    "seed",
    "nth",
    "every",
    "first",
];

/// Reads `{"fault": [rule, …]}`; `random` is the seed of rules with a probability and none of their own.
pub(super) fn rules(given: &Value, random: impl Fn() -> u64) -> Result<Vec<Rule>, String> {
    let Value::Object(table) = given else {
        return Err("the rules must be a table with [[fault]] in it".to_owned());
    };
    if let Some(other) = table.keys().find(|name| *name != "fault") {
        return Err(match nearest(other, ["fault"]) {
            Some(_) => format!("{other} means nothing; did you mean [[fault]]?"),
            None => format!("{other} means nothing; there is [[fault]]"),
        });
    }
    let entries = match table.get("fault") {
        Some(Value::Array(entries)) if !entries.is_empty() => entries,
        Some(Value::Array(_)) | None => {
            return Err(
                "there is no rule; write one as [[fault]], or switch faults off by `two-buckets faults off`"
                    .to_owned(),
            );
        }
        Some(_) => return Err("fault must be a table of its own, [[fault]]".to_owned()),
    };
    if entries.len() > RULES_MAX {
        return Err(format!("there are more than {RULES_MAX} rules"));
    }
    let mut names = BTreeSet::new();
    let mut rules = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let mut shown = format!("fault {}", index + 1);
        let Value::Object(fields) = entry else {
            return Err(format!("{shown}: must be a table"));
        };
        if let Some(Value::String(name)) = fields.get("name") {
            shown = format!("{shown} ({})", name.escape_debug());
        }
        let rule = Entry(fields.clone())
            .rule(index, &random)
            .map_err(|problem| format!("{shown}: {problem}"))?;
        if !names.insert(rule.name.clone()) {
            return Err(format!("{shown}: name: there is another rule of this name"));
        }
        rules.push(rule);
    }
    Ok(rules)
}

/// What is left to read of a rule.
struct Entry(Map<String, Value>);

impl Entry {
    fn rule(mut self, index: usize, random: &impl Fn() -> u64) -> Result<Rule, String> {
        if let Some(unknown) = self.0.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            return Err(match nearest(unknown, FIELDS) {
                Some(field) => format!("{unknown} means nothing; did you mean {field}?"),
                None => format!("{unknown} means nothing; there are {}", FIELDS.join(", ")),
            });
        }
        let name = self
            .text("name")?
            .unwrap_or_else(|| format!("fault {}", index + 1));
        if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(format!(
                "name: must have at most {NAME_BYTES_MAX} bytes and no control characters"
            ));
        }
        let named: Vec<String> = self.texts("operation", |text| Ok(text.to_owned()))?;
        if named.is_empty() {
            return Err(format!(
                "operation: is missing; name S3's operations as PutObject, \"{ALL}\" for all that can be struck, or \"{EVENT}\""
            ));
        }
        let is_about_events = named.iter().any(|name| name == EVENT);
        if is_about_events && named.len() > 1 {
            return Err(format!(
                "operation: \"{EVENT}\" stands alone; make another rule for operations of S3"
            ));
        }
        let word = self.text("fault")?.ok_or("fault: is missing")?;
        let kind = if is_about_events {
            self.of_event(&word)?
        } else {
            self.of_call(&word)?
        };
        let buckets = self.texts("bucket", KeyPattern::parse)?;
        let keys = self.texts("key", KeyPattern::parse)?;
        let (operations, is_about_all) = match &kind {
            Kind::OfEvent(_) => (Vec::new(), false),
            Kind::OfCall(fault) => operations(&named, &word, fault, !keys.is_empty())?,
        };
        let when = self.when(random)?;
        if let Some(field) = self.0.keys().next() {
            return Err(format!("{field}: means nothing for {word}"));
        }
        Ok(Rule {
            name: name.into(),
            word,
            kind,
            operations,
            is_about_all,
            buckets,
            keys,
            when,
            matched: AtomicU64::new(0),
            struck: AtomicU64::new(0),
        })
    }

    fn of_call(&mut self, word: &str) -> Result<Kind, String> {
        Ok(Kind::OfCall(match word {
            "SlowDown" => Fault::Refused(Code::SlowDown),
            "InternalError" if self.took_effect()? => Fault::AnswerLost,
            "InternalError" => Fault::Refused(Code::InternalError),
            "PreconditionFailed" => Fault::Refused(Code::PreconditionFailed),
            "ConditionalRequestConflict" => Fault::Refused(Code::ConditionalRequestConflict),
            "OperationAborted" => Fault::Refused(Code::OperationAborted),
            "error-in-200" => Fault::ErrorInside200,
            "cut" => Fault::Cut {
                took_effect: self.took_effect()?,
            },
            "cut-request" => Fault::CutRequest {
                after_bytes: self.number("after_bytes", 0, AFTER_BYTES_MAX)?,
            },
            "cut-answer" => Fault::CutAnswer {
                after_bytes: self.number("after_bytes", 0, AFTER_BYTES_MAX)?,
            },
            "delay" => Fault::Delayed {
                by: self.delay(CALL_DELAY_MS_MAX)?.ok_or(NO_DELAY)?,
                took_effect: self.took_effect()?,
            },
            "slow-request" => Fault::SlowRequest {
                bytes_per_s: self.rate()?,
            },
            "slow-answer" => Fault::SlowAnswer {
                bytes_per_s: self.rate()?,
            },
            other if OF_EVENTS.contains(&other) => {
                return Err(format!(
                    "fault: {other} happens to events; give it operation = \"{EVENT}\""
                ));
            }
            other => return Err(no_such_fault(other, &OF_CALLS)),
        }))
    }

    fn of_event(&mut self, word: &str) -> Result<Kind, String> {
        Ok(Kind::OfEvent(match word {
            "lost" => EventKind::Lost,
            "doubled" => EventKind::Doubled {
                after: self.delay(EVENT_DELAY_MS_MAX)?.unwrap_or_default(),
            },
            "delayed" => EventKind::Delayed {
                by: self.delay(EVENT_DELAY_MS_MAX)?.ok_or(NO_DELAY)?,
            },
            "reordered" => EventKind::Reordered {
                at_most: self
                    .delay(EVENT_DELAY_MS_MAX)?
                    .unwrap_or(Duration::from_millis(REORDERED_DELAY_MS)),
            },
            other if OF_CALLS.contains(&other) => {
                return Err(format!(
                    "fault: {other} happens to operations of S3, not to events"
                ));
            }
            other => return Err(no_such_fault(other, &OF_EVENTS)),
        }))
    }

    fn when(&mut self, random: &impl Fn() -> u64) -> Result<When, String> {
        let given: Vec<&str> = ["probability", "nth", "every", "first"]
            .into_iter()
            .filter(|name| self.0.contains_key(*name))
            .collect();
        if let [one, other, ..] = *given {
            return Err(format!(
                "{other}: {one} says already when; give one of them"
            ));
        }
        let seed = self.number("seed", 0, u64::MAX)?;
        if seed.is_some() && !given.contains(&"probability") {
            return Err("seed: means nothing without probability".to_owned());
        }
        if let Some(probability) = self.0.remove("probability") {
            let probability = probability
                .as_f64()
                .filter(|number| *number > 0.0 && *number <= 1.0)
                .ok_or_else(|| {
                    format!("probability: is {probability}, not above 0 and at most 1")
                })?;
            let seed = seed.unwrap_or_else(random);
            return Ok(When::Probability { probability, seed });
        }
        let mut count = |name| self.number(name, 1, u64::MAX);
        if let Some(nth) = count("nth")? {
            return Ok(When::Nth(nth));
        }
        if let Some(every) = count("every")? {
            return Ok(When::Every(every));
        }
        Ok(count("first")?.map_or(When::Always, When::First))
    }

    fn took_effect(&mut self) -> Result<bool, String> {
        match self.0.remove("took_effect") {
            None => Ok(false),
            Some(Value::Bool(took_effect)) => Ok(took_effect),
            Some(other) => Err(format!("took_effect: is {other}, not true or false")),
        }
    }

    fn delay(&mut self, ms_max: u64) -> Result<Option<Duration>, String> {
        Ok(self
            .number("delay_ms", 1, ms_max)?
            .map(Duration::from_millis))
    }

    fn rate(&mut self) -> Result<NonZeroU64, String> {
        self.number("bytes_per_s", 1, BYTES_PER_S_MAX)?
            .and_then(NonZeroU64::new)
            .ok_or_else(|| "bytes_per_s: is missing; it says how slow the body is".to_owned())
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(format!("{name}: is no text, or an empty one")),
        }
    }

    /// A text or a list of texts.
    fn texts<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let values = match self.0.remove(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(values)) => values,
            Some(one) => vec![one],
        };
        let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
        let texts = texts
            .filter(|texts| !texts.is_empty() && texts.iter().all(|text| !text.is_empty()))
            .ok_or_else(|| format!("{name}: is no text and no list of texts"))?;
        texts
            .into_iter()
            .map(|text| parse(text).map_err(|problem| format!("{name}: {problem}")))
            .collect()
    }

    fn number(&mut self, name: &str, min: u64, max: u64) -> Result<Option<u64>, String> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) if (min..=max).contains(&number) => Ok(Some(number)),
                _ => Err(format!(
                    "{name}: is {value}, not a whole number from {min} to {max}"
                )),
            },
        }
    }
}

const NO_DELAY: &str = "delay_ms: is missing; it says how late";

fn no_such_fault(word: &str, known: &[&str]) -> String {
    match nearest(word, OF_CALLS.into_iter().chain(OF_EVENTS)) {
        Some(meant) => format!("fault: there is no {word}; did you mean {meant}?"),
        None => format!("fault: there is no {word}; there are {}", known.join(", ")),
    }
}

/// The operations that a fault strikes, and whether they are all that it can.
fn operations(
    named: &[String],
    word: &str,
    fault: &Fault,
    has_key: bool,
) -> Result<(Vec<&'static str>, bool), String> {
    let why_not = |operation: &Operation| {
        why_not(fault, operation).or_else(|| {
            (has_key && !operation.names_key)
                .then_some("its address names no key; leave key out of the rule")
        })
    };
    if let [all] = named
        && all == ALL
    {
        let some: Vec<&str> = Operation::all()
            .filter(|operation| why_not(operation).is_none())
            .map(|operation| operation.name)
            .collect();
        return Ok((some, true));
    }
    let mut found = Vec::new();
    for name in named {
        let Some(operation) = Operation::all().find(|operation| operation.name == name) else {
            let names = Operation::all().map(|operation| operation.name);
            return Err(match nearest(name, names.chain([EVENT])) {
                Some(meant) => {
                    format!("operation: there is no {name}; did you mean {meant}?")
                }
                None => format!(
                    "operation: there is no {name}; operations are called as S3 calls them, such as PutObject"
                ),
            });
        };
        if let Some(why) = why_not(&operation) {
            return Err(format!("operation: {word} cannot strike {name}: {why}"));
        }
        found.push(operation.name);
    }
    Ok((found, false))
}

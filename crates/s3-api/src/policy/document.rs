//! From a JSON document to a [`Policy`] (IAM User Guide, "Grammar of the IAM JSON policy language").

use std::collections::BTreeSet;

use super::json::Json;
use super::pattern::{Pattern, Variables};
use super::resource::ResourcePattern;
use super::{Effect, MalformedPolicy, POLICY_CHARS_MAX, Policy, Statement};
use super::{action, condition, malformed};

pub(super) fn parse(text: &str) -> Result<Policy, MalformedPolicy> {
    if text.chars().count() > POLICY_CHARS_MAX {
        return Err(malformed(format_args!(
            "a policy has at most {POLICY_CHARS_MAX} characters"
        )));
    }
    let json: Json = serde_json::from_str(text)
        .map_err(|error| malformed(format_args!("the policy is not JSON: {error}")))?;
    let Json::Object(elements) = json else {
        return Err(malformed(format_args!(
            "a policy is an object, not {}",
            json.kind()
        )));
    };
    let (mut version, mut statements) = (None, None);
    for (name, value) in elements {
        match name.as_str() {
            "Version" => version = Some(text_of("Version", value)?),
            "Statement" => statements = Some(value),
            _ => return Err(not_supported("policy", &name)),
        }
    }
    let variables = match version.as_deref() {
        Some("2012-10-17") => Variables::Escapes,
        // Also what counts when there is none.
        Some("2008-10-17") | None => Variables::Unknown,
        Some(_) => {
            return Err(malformed("Version must be 2012-10-17 or 2008-10-17"));
        }
    };
    let statements = match statements {
        None => return Err(malformed("the policy has no Statement")),
        Some(Json::List(list)) => list,
        Some(one) => vec![one],
    };
    if statements.is_empty() {
        return Err(malformed("the policy has no Statement"));
    }
    let mut sids = BTreeSet::new();
    let statements = statements
        .into_iter()
        .map(|it| statement(it, variables, &mut sids))
        .collect::<Result<_, _>>()?;
    Ok(Policy { statements })
}

fn statement(
    json: Json,
    variables: Variables,
    sids: &mut BTreeSet<String>,
) -> Result<Statement, MalformedPolicy> {
    let Json::Object(elements) = json else {
        return Err(malformed(format_args!(
            "a Statement is an object, not {}",
            json.kind()
        )));
    };
    let (mut effect, mut actions, mut resources) = (None, None, None);
    let mut conditions = Vec::new();
    for (name, value) in elements {
        match name.as_str() {
            "Sid" => {
                let sid = text_of("Sid", value)?;
                if !sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
                    return Err(malformed("a Sid has letters and digits only"));
                }
                if !sid.is_empty() && !sids.insert(sid.clone()) {
                    return Err(malformed(format_args!("the Sid {sid} stands twice")));
                }
            }
            "Effect" => {
                effect = Some(match text_of("Effect", value)?.as_str() {
                    "Allow" => Effect::Allow,
                    "Deny" => Effect::Deny,
                    _ => return Err(malformed("Effect must be Allow or Deny")),
                });
            }
            "Action" => {
                let patterns = texts_of("Action", value)?
                    .iter()
                    .map(|text| action::pattern(text))
                    .collect::<Result<Vec<Pattern>, _>>()?;
                actions = Some(patterns);
            }
            "Resource" => {
                let patterns = texts_of("Resource", value)?
                    .iter()
                    .map(|text| ResourcePattern::parse(text, variables))
                    .collect::<Result<Vec<_>, _>>()?;
                resources = Some(patterns);
            }
            "Condition" => conditions = condition::parse(value, variables)?,
            _ => return Err(not_supported("Statement", &name)),
        }
    }
    Ok(Statement {
        effect: effect.ok_or_else(|| malformed("a Statement has no Effect"))?,
        actions: actions.ok_or_else(|| malformed("a Statement has no Action"))?,
        resources: resources.ok_or_else(|| malformed("a Statement has no Resource"))?,
        conditions,
    })
}

fn not_supported(place: &str, name: &str) -> MalformedPolicy {
    let name: String = name.chars().take(40).collect();
    malformed(format_args!(
        "the element {name:?} of a {place} is not supported"
    ))
}

fn text_of(name: &str, json: Json) -> Result<String, MalformedPolicy> {
    match json {
        Json::Text(text) => Ok(text),
        other => Err(malformed(format_args!(
            "{name} is a string, not {}",
            other.kind()
        ))),
    }
}

/// One string or a list of some.
fn texts_of(name: &str, json: Json) -> Result<Vec<String>, MalformedPolicy> {
    let list = match json {
        Json::List(list) => list,
        one => vec![one],
    };
    if list.is_empty() {
        return Err(malformed(format_args!("{name} must not be empty")));
    }
    list.into_iter().map(|it| text_of(name, it)).collect()
}

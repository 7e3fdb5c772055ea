use std::fmt;

use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What is on the outside of a JSON text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TopLevel {
    pub(super) kind: &'static str,
    pub(super) entries: Option<u64>,
}

/// Looks through a whole JSON text, keeping nothing of it.
pub(super) fn look_through(text: &[u8]) -> Result<TopLevel, String> {
    let mut json = serde_json::Deserializer::from_slice(without_bom(text));
    let top = json
        .deserialize_any(Outside)
        .map_err(|error| error.to_string())?;
    json.end().map_err(|error| error.to_string())?;
    Ok(top)
}

/// Says whether a text that is too long to look through begins as JSON does, and not as an INI file (`[section]`).
pub(super) fn begins(text: &[u8]) -> bool {
    let mut rest = without_bom(text)
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace());
    match (rest.next(), rest.next()) {
        (Some(b'{'), Some(next)) => matches!(next, b'"' | b'}'),
        (Some(b'['), Some(next)) => {
            matches!(next, b'{' | b'[' | b']' | b'"' | b'-') || next.is_ascii_digit()
        }
        _ => false,
    }
}

pub(super) fn without_bom(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

struct Outside;

fn scalar(kind: &'static str) -> TopLevel {
    TopLevel {
        kind,
        entries: None,
    }
}

impl<'de> Visitor<'de> for Outside {
    type Value = TopLevel;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TopLevel, A::Error> {
        let mut entries = 0;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            entries += 1;
        }
        Ok(TopLevel {
            kind: "object",
            entries: Some(entries),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<TopLevel, A::Error> {
        let mut entries = 0;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            entries += 1;
        }
        Ok(TopLevel {
            kind: "array",
            entries: Some(entries),
        })
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<TopLevel, E> {
        Ok(scalar("string"))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<TopLevel, E> {
        Ok(scalar("boolean"))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<TopLevel, E> {
        Ok(scalar("number"))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<TopLevel, E> {
        Ok(scalar("number"))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<TopLevel, E> {
        Ok(scalar("number"))
    }

    fn visit_unit<E: de::Error>(self) -> Result<TopLevel, E> {
        Ok(scalar("null"))
    }
}

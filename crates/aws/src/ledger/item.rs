//! Items' attributes: written by name, so that a person can read them in the console, and read strictly.

use std::collections::HashMap;
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::ledger::{Error, Result};

use super::schema::SCHEMA;
use super::table::At;

/// An item, or a map in one.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The format of every item here. A program that changes what an item says in a way that an older one would get wrong
/// writes a higher one, and an older one then refuses the item.
const FORMAT: u32 = 1;
const FORMAT_NAME: &str = "format";
/// The last moment that is written as RFC 3339 has it.
const RFC3339_MAX: Timestamp = Timestamp::from_millis(253_402_300_799_999);

pub(super) fn corrupt(what: &str) -> Error {
    Error::Unreadable {
        reason: format!("an item is not as it was written: {what}"),
    }
}

/// Where an item is.
pub(super) fn place_of(item: &Item) -> Result<At> {
    let part = |name: &str| match item.get(name) {
        Some(AttributeValue::S(text)) => Ok(text.clone()),
        _ => Err(corrupt("its key")),
    };
    Ok(At {
        pk: part(SCHEMA.partition_key)?,
        sk: part(SCHEMA.sort_key)?,
    })
}

pub(super) fn sort_key_of(item: &Item) -> Result<String> {
    Ok(place_of(item)?.sk)
}

/// An item or a map being written. What is absent or false is left out.
pub(super) struct Writer(Item);

impl Writer {
    /// An item of its own, with its place and format.
    pub(super) fn item(at: &At) -> Self {
        let mut writer = Self(at.key());
        writer.number(FORMAT_NAME, FORMAT);
        writer
    }

    /// A map in an item.
    pub(super) fn map() -> Self {
        Self(Item::new())
    }

    pub(super) fn value(&mut self, name: &str, value: AttributeValue) {
        self.0.insert(name.to_owned(), value);
    }

    pub(super) fn text(&mut self, name: &str, text: impl Into<String>) {
        self.value(name, AttributeValue::S(text.into()));
    }

    pub(super) fn text_if(&mut self, name: &str, text: Option<impl Into<String>>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    pub(super) fn number(&mut self, name: &str, number: impl Into<i128>) {
        self.value(name, AttributeValue::N(number.into().to_string()));
    }

    pub(super) fn number_if(&mut self, name: &str, number: Option<impl Into<i128>>) {
        if let Some(number) = number {
            self.number(name, number);
        }
    }

    pub(super) fn flag(&mut self, name: &str, flag: bool) {
        if flag {
            self.value(name, AttributeValue::Bool(true));
        }
    }

    pub(super) fn moment_if(&mut self, name: &str, moment: Option<Timestamp>) {
        self.text_if(name, moment.map(moment_to));
    }

    pub(super) fn done(self) -> Item {
        self.0
    }
}

/// An item or a map being read.
pub(super) struct Reader<'a>(&'a Item);

impl<'a> Reader<'a> {
    /// An item of its own; one of another format is refused.
    pub(super) fn item(item: &'a Item) -> Result<Self> {
        let reader = Self(item);
        match reader.number::<u32>(FORMAT_NAME)? {
            FORMAT => Ok(reader),
            other => Err(corrupt(&format!(
                "its format is {other}, and this program knows {FORMAT}: a newer one writes this table"
            ))),
        }
    }

    /// A map in an item.
    pub(super) fn map_if(&self, name: &str) -> Result<Option<Self>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(AttributeValue::M(map)) => Ok(Some(Self(map))),
            Some(_) => Err(corrupt(name)),
        }
    }

    /// The maps of a list.
    pub(super) fn maps(&self, name: &str) -> Result<Vec<Self>> {
        let Some(value) = self.0.get(name) else {
            return Ok(Vec::new());
        };
        let maps = value.as_l().map_err(|_| corrupt(name))?.iter();
        maps.map(|map| map.as_m().map(Self).map_err(|_| corrupt(name)))
            .collect()
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a AttributeValue> {
        self.0.get(name)
    }

    pub(super) fn text_if(&self, name: &str) -> Result<Option<&'a str>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(corrupt(name)),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str> {
        self.text_if(name)?.ok_or_else(|| corrupt(name))
    }

    pub(super) fn parsed<T: FromStr>(&self, name: &str) -> Result<T> {
        self.text(name)?.parse().map_err(|_| corrupt(name))
    }

    pub(super) fn number_if<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(AttributeValue::N(number)) => number.parse().map(Some).map_err(|_| corrupt(name)),
            Some(_) => Err(corrupt(name)),
        }
    }

    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<T> {
        self.number_if(name)?.ok_or_else(|| corrupt(name))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool> {
        match self.0.get(name) {
            None => Ok(false),
            Some(AttributeValue::Bool(flag)) => Ok(*flag),
            Some(_) => Err(corrupt(name)),
        }
    }

    pub(super) fn moment_if(&self, name: &str) -> Result<Option<Timestamp>> {
        let text = self.text_if(name)?;
        text.map(|text| moment_from(text).ok_or_else(|| corrupt(name)))
            .transpose()
    }

    pub(super) fn moment(&self, name: &str) -> Result<Timestamp> {
        self.moment_if(name)?.ok_or_else(|| corrupt(name))
    }
}

/// As RFC 3339, or in milliseconds where that has no words.
fn moment_to(moment: Timestamp) -> String {
    if (Timestamp::from_millis(0)..=RFC3339_MAX).contains(&moment) {
        moment.to_string()
    } else {
        format!("{}ms", moment.millis())
    }
}

fn moment_from(text: &str) -> Option<Timestamp> {
    match text.strip_suffix("ms") {
        Some(millis) => millis.parse().ok().map(Timestamp::from_millis),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_is_read_as_it_was_written() {
        for millis in [
            i64::MIN,
            -5,
            0,
            1_700_000_000_001,
            RFC3339_MAX.millis(),
            i64::MAX,
        ] {
            let moment = Timestamp::from_millis(millis);
            assert_eq!(moment_from(&moment_to(moment)), Some(moment), "{millis}");
        }
    }

    #[test]
    fn an_item_of_a_newer_format_is_refused_and_says_why() {
        let at = At {
            pk: "a".into(),
            sk: "b".into(),
        };
        let mut newer = Writer::item(&at);
        newer.number(FORMAT_NAME, FORMAT + 1);
        let newer = newer.done();
        let Err(refused) = Reader::item(&newer) else {
            panic!("it was read");
        };
        assert!(
            refused.to_string().contains("a newer one writes"),
            "{refused}"
        );
        assert!(Reader::item(&at.key()).is_err(), "none is no format");
        assert!(Reader::item(&Writer::item(&at).done()).is_ok());
    }
}

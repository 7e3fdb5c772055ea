//! The `Condition` element (IAM User Guide, "IAM JSON policy elements: Condition operators").
//!
//! All conditions of a statement must hold; of one condition's values any may, and with a negated operator none may. A
//! key that the request does not have fails every operator but the negated ones, `…IfExists` and `Null`.

use std::net::IpAddr;

use two_buckets_objects::Timestamp;

use super::json::Json;
use super::keys::{self, Context, Key, Kind, Value};
use super::pattern::{Pattern, Variables, plain};
use super::{MalformedPolicy, malformed};

/// One key with its operator and values.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Condition {
    key: &'static Key,
    negated: bool,
    if_exists: bool,
    test: Test,
}

#[derive(Clone, PartialEq, Debug)]
enum Test {
    Equals(Vec<String>),
    /// In lower case.
    EqualsIgnoringCase(Vec<String>),
    Like(Vec<Pattern>),
    Number(Order, Vec<f64>),
    Time(Order, Vec<Timestamp>),
    Bool(Vec<bool>),
    Ip(Vec<Network>),
    /// Whether the key must be missing.
    Null(bool),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds<T: PartialOrd>(self, found: &T, wanted: &T) -> bool {
        match self {
            Self::Equal => found == wanted,
            Self::Less => found < wanted,
            Self::LessOrEqual => found <= wanted,
            Self::Greater => found > wanted,
            Self::GreaterOrEqual => found >= wanted,
        }
    }
}

impl Condition {
    pub(super) fn holds(&self, context: &Context) -> bool {
        let found = context.get(self.key);
        if let Test::Null(missing) = self.test {
            return missing == found.is_none();
        }
        match found {
            None => self.if_exists || self.negated,
            Some(found) => self.test.any(found) != self.negated,
        }
    }
}

impl Test {
    fn any(&self, found: &Value) -> bool {
        match (self, found) {
            (Self::Equals(values), Value::Text(found)) => values.iter().any(|it| it == found),
            (Self::EqualsIgnoringCase(values), Value::Text(found)) => {
                let found = found.to_lowercase();
                values.contains(&found)
            }
            (Self::Like(values), Value::Text(found)) => values.iter().any(|it| it.matches(found)),
            (Self::Number(order, values), Value::Number(found)) => {
                values.iter().any(|it| order.holds(found, it))
            }
            (Self::Number(order, values), Value::Time(found)) => {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "milliseconds are exact in an f64 for 285,000 years"
                )]
                let seconds = found.millis() as f64 / 1000.0;
                values.iter().any(|it| order.holds(&seconds, it))
            }
            (Self::Time(order, values), Value::Time(found)) => {
                values.iter().any(|it| order.holds(found, it))
            }
            (Self::Bool(values), Value::Bool(found)) => values.contains(found),
            (Self::Ip(values), Value::Ip(found)) => values.iter().any(|it| it.contains(*found)),
            // Reading the policy made sure that operator and key fit.
            _ => false,
        }
    }
}

/// Reads a `Condition` element.
pub(super) fn parse(json: Json, variables: Variables) -> Result<Vec<Condition>, MalformedPolicy> {
    let mut conditions = Vec::new();
    for (operator, keys) in object_of("Condition", json)? {
        let mut named: Vec<&'static Key> = Vec::new();
        for (name, values) in object_of(&operator, keys)? {
            let key = keys::find(&name).ok_or_else(|| {
                malformed(format_args!(
                    "the condition key {:?} is not known here",
                    short(&name)
                ))
            })?;
            if named.contains(&key) {
                return Err(malformed(format_args!(
                    "the condition key {} stands twice in one operator",
                    key.name
                )));
            }
            named.push(key);
            conditions.push(condition(&operator, key, values, variables)?);
        }
    }
    Ok(conditions)
}

fn condition(
    operator: &str,
    key: &'static Key,
    values: Json,
    variables: Variables,
) -> Result<Condition, MalformedPolicy> {
    let (name, if_exists) = match operator.strip_suffix("IfExists") {
        Some(name) if name != "Null" => (name, true),
        _ => (operator, false),
    };
    let texts = values_of(key, values)?;
    let fits = |kinds: &[Kind]| {
        if kinds.contains(&key.kind) {
            Ok(())
        } else {
            Err(malformed(format_args!(
                "the operator {name} does not fit the condition key {}",
                key.name
            )))
        }
    };
    let each = |parse: &dyn Fn(&str) -> Result<String, MalformedPolicy>| {
        texts
            .iter()
            .map(|text| parse(text))
            .collect::<Result<Vec<_>, _>>()
    };
    let (negated, test) = match name {
        "StringEquals" | "StringNotEquals" => {
            fits(&[Kind::Text])?;
            let values = each(&|text| plain(text, variables))?;
            (name == "StringNotEquals", Test::Equals(values))
        }
        "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" => {
            fits(&[Kind::Text])?;
            let values = each(&|text| Ok(plain(text, variables)?.to_lowercase()))?;
            let negated = name == "StringNotEqualsIgnoreCase";
            (negated, Test::EqualsIgnoringCase(values))
        }
        "StringLike" | "StringNotLike" => {
            fits(&[Kind::Text])?;
            let values = texts
                .iter()
                .map(|text| Pattern::parse(text, variables))
                .collect::<Result<_, _>>()?;
            (name == "StringNotLike", Test::Like(values))
        }
        "Bool" => {
            fits(&[Kind::Bool])?;
            (false, Test::Bool(parsed(&texts, key, bool_of)?))
        }
        "IpAddress" | "NotIpAddress" => {
            fits(&[Kind::Ip])?;
            let values = parsed(&texts, key, Network::parse)?;
            (name == "NotIpAddress", Test::Ip(values))
        }
        "Null" => match &*parsed(&texts, key, bool_of)? {
            [missing] => (false, Test::Null(*missing)),
            _ => return Err(malformed("Null takes one value, true or false")),
        },
        _ => {
            let ordered = |prefix: &str| name.strip_prefix(prefix).and_then(order);
            if let Some((negated, order)) = ordered("Numeric") {
                fits(&[Kind::Number, Kind::Epoch])?;
                (
                    negated,
                    Test::Number(order, parsed(&texts, key, number_of)?),
                )
            } else if let Some((negated, order)) = ordered("Date") {
                fits(&[Kind::Time, Kind::Epoch])?;
                (negated, Test::Time(order, parsed(&texts, key, time_of)?))
            } else {
                return Err(malformed(format_args!(
                    "the condition operator {:?} is not supported",
                    short(operator)
                )));
            }
        }
    };
    Ok(Condition {
        key,
        negated,
        if_exists,
        test,
    })
}

/// Whether the operator is negated, and its order.
fn order(name: &str) -> Option<(bool, Order)> {
    Some(match name {
        "Equals" => (false, Order::Equal),
        "NotEquals" => (true, Order::Equal),
        "LessThan" => (false, Order::Less),
        "LessThanEquals" => (false, Order::LessOrEqual),
        "GreaterThan" => (false, Order::Greater),
        "GreaterThanEquals" => (false, Order::GreaterOrEqual),
        _ => return None,
    })
}

fn object_of(name: &str, json: Json) -> Result<Vec<(String, Json)>, MalformedPolicy> {
    match json {
        Json::Object(object) if !object.is_empty() => Ok(object),
        Json::Object(_) => Err(malformed(format_args!(
            "{:?} must not be empty",
            short(name)
        ))),
        other => Err(malformed(format_args!(
            "{:?} is an object, not {}",
            short(name),
            other.kind()
        ))),
    }
}

/// One value or a list of some. IAM takes booleans and numbers bare as well as quoted.
fn values_of(key: &Key, json: Json) -> Result<Vec<String>, MalformedPolicy> {
    let list = match json {
        Json::List(list) => list,
        one => vec![one],
    };
    if list.is_empty() {
        return Err(malformed(format_args!(
            "the condition key {} has no value",
            key.name
        )));
    }
    list.into_iter()
        .map(|it| match it {
            Json::Text(text) | Json::Number(text) => Ok(text),
            Json::Bool(value) => Ok(value.to_string()),
            other => Err(malformed(format_args!(
                "a value of the condition key {} is {}",
                key.name,
                other.kind()
            ))),
        })
        .collect()
}

fn parsed<T>(
    texts: &[String],
    key: &Key,
    parse: fn(&str) -> Option<T>,
) -> Result<Vec<T>, MalformedPolicy> {
    texts
        .iter()
        .map(|text| {
            parse(text).ok_or_else(|| {
                malformed(format_args!(
                    "the value {:?} of the condition key {} cannot be read",
                    short(text),
                    key.name
                ))
            })
        })
        .collect()
}

fn bool_of(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// A decimal number; no exponent, no infinity.
fn number_of(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = digits.bytes().any(|b| b.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    is_number.then(|| text.parse().ok()).flatten()
}

/// A date of ISO 8601 as the W3C writes it, from the day on, or seconds since 1970.
fn time_of(text: &str) -> Option<Timestamp> {
    use time::format_description::well_known::Rfc3339;
    use time::macros::format_description;
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let seconds: i64 = text.parse().ok()?;
        return Some(Timestamp::from_millis(seconds.checked_mul(1000)?));
    }
    let minutes = format_description!("[year]-[month]-[day]T[hour]:[minute]Z");
    let day = format_description!("[year]-[month]-[day]");
    let moment = time::OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| {
            time::PrimitiveDateTime::parse(text, minutes).map(time::PrimitiveDateTime::assume_utc)
        })
        .or_else(|_| time::Date::parse(text, day).map(|it| it.midnight().assume_utc()))
        .ok()?;
    let millis = moment.unix_timestamp_nanos().div_euclid(1_000_000);
    i64::try_from(millis).ok().map(Timestamp::from_millis)
}

/// A block of addresses, `203.0.113.0/24`; an address alone is a block of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            None => (text, None),
            Some((address, bits)) => (address, Some(bits)),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            None => bits_max,
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => bits.parse().ok()?,
            Some(_) => return None,
        };
        (prefix_bits <= bits_max).then_some(Self {
            address,
            prefix_bits,
        })
    }

    fn contains(&self, found: IpAddr) -> bool {
        let shifted = |bits: u128, width: u32| {
            // All bits gone when nothing is fixed; `>>` cannot shift by the whole width.
            bits.checked_shr(width - self.prefix_bits).unwrap_or(0)
        };
        match (self.address, found.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                shifted(a.to_bits().into(), 32) == shifted(b.to_bits().into(), 32)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                shifted(a.to_bits(), 128) == shifted(b.to_bits(), 128)
            }
            _ => false,
        }
    }
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

use percent_encoding::percent_decode;

use crate::refusal::Refusal;
use crate::sign;

/// The query parameters of a request, decoded once, in the order they were sent.
///
/// A `+` is a space, as in forms: that is how s3s reads the query behind us, and a signature must cover what is meant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

/// The most parameters of one request; S3's operations have far fewer.
const PARAMETERS_MAX: usize = 100;

impl Query {
    pub(crate) fn parse(raw: Option<&str>) -> Result<Self, Refusal> {
        let mut pairs = Vec::new();
        for pair in raw.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            if pairs.len() == PARAMETERS_MAX {
                return Err(Refusal::invalid_request(format!(
                    "the query has more than {PARAMETERS_MAX} parameters"
                )));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decoded(name)?, decoded(value)?));
        }
        Ok(Self(pairs))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }

    pub(crate) fn has_ignoring_case(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    /// The value of a parameter that is there once.
    pub(crate) fn unique(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(n, _)| n == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Takes the parameters out whose name is wanted.
    pub(crate) fn take(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let (taken, kept) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(name, _)| wanted(name));
        self.0 = kept;
        taken
    }

    /// The canonical form of the parameters whose name is wanted.
    pub(crate) fn canonical(&self, wanted: impl Fn(&str) -> bool) -> String {
        let pairs: Vec<_> = self
            .0
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec()))
            .collect();
        sign::canonical_query(&pairs)
    }
}

fn decoded(text: &str) -> Result<String, Refusal> {
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes())
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| {
            Refusal::new(
                s3s::S3ErrorCode::InvalidURI,
                "the query is not percent-encoded UTF-8",
            )
        })
}

//! Cross-origin rules of a bucket, as S3 applies them (S3 User Guide, "Using cross-origin resource sharing").

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

/// The methods a rule may name.
pub(crate) const METHODS: &[&str] = &["GET", "PUT", "POST", "DELETE", "HEAD"];
/// The most rules of one bucket.
pub(crate) const RULES_MAX: usize = 100;

/// A bucket's rules, taken from the document the store keeps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Rule {
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) allowed_methods: Vec<String>,
    pub(crate) allowed_headers: Vec<String>,
    pub(crate) expose_headers: Vec<String>,
    pub(crate) max_age_s: Option<i32>,
}

/// What a browser asks: the origin, the method it means, and the headers it will send.
pub(crate) struct Asked<'a> {
    pub(crate) origin: &'a str,
    pub(crate) method: &'a str,
    pub(crate) headers: Vec<String>,
}

impl<'a> Asked<'a> {
    /// A preflight request, or none if this is not one.
    pub(crate) fn preflight(method: &Method, headers: &'a HeaderMap) -> Option<Self> {
        if *method != Method::OPTIONS {
            return None;
        }
        let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
        Some(Self {
            origin: text(header::ORIGIN)?,
            method: text(header::ACCESS_CONTROL_REQUEST_METHOD)?,
            headers: text(header::ACCESS_CONTROL_REQUEST_HEADERS)
                .unwrap_or_default()
                .split(',')
                .map(|name| name.trim().to_ascii_lowercase())
                .filter(|name| !name.is_empty())
                .collect(),
        })
    }

    /// A request from another origin, or none if it names none.
    pub(crate) fn actual(method: &'a Method, headers: &'a HeaderMap) -> Option<Self> {
        Some(Self {
            origin: headers.get(header::ORIGIN)?.to_str().ok()?,
            method: method.as_str(),
            headers: Vec::new(),
        })
    }
}

impl Rules {
    /// The first rule that allows what is asked.
    pub(crate) fn find(&self, asked: &Asked<'_>) -> Option<&Rule> {
        self.rules.iter().find(|rule| {
            rule.allowed_methods.iter().any(|m| m == asked.method)
                && rule
                    .allowed_origins
                    .iter()
                    .any(|o| matches(o, asked.origin))
                && asked.headers.iter().all(|name| {
                    rule.allowed_headers
                        .iter()
                        .any(|pattern| matches(&pattern.to_ascii_lowercase(), name))
                })
        })
    }
}

impl Rule {
    /// Adds to an answer what lets a browser show it to the page that asked.
    pub(crate) fn apply(&self, asked: &Asked<'_>, headers: &mut HeaderMap) {
        let mut set = |name: HeaderName, value: &str| {
            // A rule with a line feed in it cannot be put into a header; then the browser is told nothing.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        let any_origin = self.allowed_origins.iter().any(|origin| origin == "*");
        if any_origin {
            set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        } else {
            set(header::ACCESS_CONTROL_ALLOW_ORIGIN, asked.origin);
            set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        set(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            &self.allowed_methods.join(", "),
        );
        if !asked.headers.is_empty() {
            set(
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                &asked.headers.join(", "),
            );
        }
        if !self.expose_headers.is_empty() {
            set(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                &self.expose_headers.join(", "),
            );
        }
        if let Some(max_age_s) = self.max_age_s {
            set(header::ACCESS_CONTROL_MAX_AGE, &max_age_s.to_string());
        }
        headers.append(
            header::VARY,
            HeaderValue::from_static(
                "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
            ),
        );
    }

    /// The answer to a preflight request that the rule allows.
    pub(crate) fn preflight_answer<B: Default>(&self, asked: &Asked<'_>) -> Response<B> {
        let mut answer = Response::new(B::default());
        *answer.status_mut() = StatusCode::OK;
        self.apply(asked, answer.headers_mut());
        answer
    }
}

/// Matches a pattern with at most one `*`.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((front, back)) => {
            text.len() >= front.len() + back.len()
                && text.starts_with(front)
                && text.ends_with(back)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_must_allow_origin_method_and_every_header() {
        let rules = Rules {
            rules: vec![Rule {
                allowed_origins: vec!["https://*.example.com".into()],
                allowed_methods: vec!["PUT".into()],
                allowed_headers: vec!["X-Amz-*".into(), "content-type".into()],
                ..Rule::default()
            }],
        };
        let asked = |origin, method, headers: &[&str]| {
            let headers = headers.iter().map(|h| (*h).to_owned()).collect();
            rules
                .find(&Asked {
                    origin,
                    method,
                    headers,
                })
                .is_some()
        };
        assert!(asked(
            "https://a.example.com",
            "PUT",
            &["x-amz-date", "content-type"]
        ));
        assert!(!asked("https://a.example.org", "PUT", &[]));
        assert!(!asked("https://.example.com.evil", "PUT", &[]));
        assert!(!asked("https://a.example.com", "GET", &[]));
        assert!(!asked("https://a.example.com", "PUT", &["x-other"]));
    }
}

//! Requests that were answered, counted by operation and status: for whoever watches the server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

use crate::Operation;

/// What is no operation of the table.
const ASSUME_ROLE: &str = "AssumeRole";
const PREFLIGHT: &str = "Preflight";
const OTHER: &str = "Other";

/// How many requests of one operation were answered with each class of status, since the service was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestsAnswered {
    /// S3's name of the operation; `AssumeRole` of the calls to STS, `Preflight` of a browser's question whether it may
    /// ask, and `Other` of what is no operation that is served. There are no more of them than that.
    pub operation: &'static str,
    /// Statuses from 100, 200, 300, 400 and 500 on.
    pub by_class: [u64; CLASSES],
}

/// How many classes of status there are (RFC 9110, section 15).
const CLASSES: usize = 5;

pub(crate) struct Requests(BTreeMap<&'static str, [AtomicU64; CLASSES]>);

/// What a request asks for, as it is counted.
#[derive(Clone, Copy)]
pub(crate) struct Counted(&'static str);

impl Counted {
    pub(crate) const ASSUME_ROLE: Self = Self(ASSUME_ROLE);
    pub(crate) const PREFLIGHT: Self = Self(PREFLIGHT);
    pub(crate) const OTHER: Self = Self(OTHER);

    /// An operation, or none that is served.
    pub(crate) fn of(operation: Option<Operation>) -> Self {
        operation.map_or(Self::OTHER, |it| Self(it.name))
    }
}

impl Requests {
    pub(crate) fn new() -> Self {
        let operations = Operation::all().map(|operation| operation.name);
        let all = operations.chain([ASSUME_ROLE, PREFLIGHT, OTHER]);
        Self(all.map(|name| (name, Default::default())).collect())
    }

    /// One was answered so.
    pub(crate) fn count(&self, what: Counted, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES) - 1;
        if let Some(classes) = self.0.get(what.0) {
            classes[class].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Those operations that were asked for at all, by name.
    pub(crate) fn answered(&self) -> Vec<RequestsAnswered> {
        self.0
            .iter()
            .map(|(operation, by_class)| RequestsAnswered {
                operation,
                by_class: by_class.each_ref().map(|it| it.load(Ordering::Relaxed)),
            })
            .filter(|it| it.by_class.iter().any(|count| *count > 0))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_operation_and_class_and_nothing_is_left_out() {
        let requests = Requests::new();
        assert_eq!(requests.answered(), []);
        for operation in Operation::all() {
            requests.count(Counted::of(Some(operation)), StatusCode::OK);
        }
        requests.count(Counted::of(None), StatusCode::NOT_IMPLEMENTED);
        requests.count(Counted::PREFLIGHT, StatusCode::FORBIDDEN);
        requests.count(Counted::ASSUME_ROLE, StatusCode::OK);
        let answered = requests.answered();
        assert_eq!(answered.len(), Operation::all().count() + 3);
        let of = |name| answered.iter().find(|it| it.operation == name).unwrap();
        assert_eq!(of("PutObject").by_class, [0, 1, 0, 0, 0]);
        assert_eq!(of("Other").by_class, [0, 0, 0, 0, 1]);
        assert_eq!(of("Preflight").by_class, [0, 0, 0, 1, 0]);
    }
}

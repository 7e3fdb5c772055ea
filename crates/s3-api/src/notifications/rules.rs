//! What a bucket's configuration asks for, and whether an event is that.

use s3s::dto::{NotificationConfiguration, QueueConfiguration};
use s3s::xml;
use two_buckets_depot::ChangeKind;

/// An event that is told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EventName {
    Put,
    Post,
    Copy,
    CompleteMultipartUpload,
    Delete,
    DeleteMarkerCreated,
}

impl EventName {
    pub(super) const ALL: [Self; 6] = [
        Self::Put,
        Self::Post,
        Self::Copy,
        Self::CompleteMultipartUpload,
        Self::Delete,
        Self::DeleteMarkerCreated,
    ];

    /// The event of a change. What was sent by a form is a `Post`; a move makes a copy, as it does on S3.
    pub(super) fn of(kind: ChangeKind, is_form: bool) -> Self {
        match kind {
            ChangeKind::Put if is_form => Self::Post,
            ChangeKind::Put => Self::Put,
            ChangeKind::Copied => Self::Copy,
            ChangeKind::Completed => Self::CompleteMultipartUpload,
            ChangeKind::Removed => Self::Delete,
            ChangeKind::DeleteMarkerMade => Self::DeleteMarkerCreated,
        }
    }

    /// As messages have it; configurations put `s3:` in front.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Put => "ObjectCreated:Put",
            Self::Post => "ObjectCreated:Post",
            Self::Copy => "ObjectCreated:Copy",
            Self::CompleteMultipartUpload => "ObjectCreated:CompleteMultipartUpload",
            Self::Delete => "ObjectRemoved:Delete",
            Self::DeleteMarkerCreated => "ObjectRemoved:DeleteMarkerCreated",
        }
    }

    /// Those that a configuration means by a name, such as `s3:ObjectCreated:*`; none if it means none of ours.
    pub(super) fn meant_by(name: &str) -> Vec<Self> {
        let Some(name) = name.strip_prefix("s3:") else {
            return Vec::new();
        };
        Self::ALL
            .into_iter()
            .filter(|event| {
                let text = event.text();
                text == name
                    || text
                        .split_once(':')
                        .is_some_and(|(family, _)| name.strip_suffix(":*") == Some(family))
            })
            .collect()
    }
}

/// One configuration of a queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) arn: String,
    pub(super) events: Vec<EventName>,
    pub(super) prefix: String,
    pub(super) suffix: String,
}

impl Rule {
    /// The rule of a configuration. What it names that is not known is left out; [`super::check`] refuses that.
    pub(super) fn of(configuration: &QueueConfiguration) -> Self {
        let mut rule = Self {
            id: configuration.id.clone().unwrap_or_default(),
            arn: configuration.queue_arn.clone(),
            events: configuration
                .events
                .iter()
                .flat_map(|event| EventName::meant_by(event.as_ref()))
                .collect(),
            prefix: String::new(),
            suffix: String::new(),
        };
        let filter = configuration.filter.as_ref();
        let filters = filter
            .and_then(|filter| filter.key.as_ref()?.filter_rules.as_ref())
            .into_iter()
            .flatten();
        for filter in filters {
            let value = filter.value.clone().unwrap_or_default();
            match filter.name.as_ref().map(s3s::dto::FilterRuleName::as_str) {
                Some(name) if name.eq_ignore_ascii_case("prefix") => rule.prefix = value,
                Some(name) if name.eq_ignore_ascii_case("suffix") => rule.suffix = value,
                _ => {}
            }
        }
        rule
    }

    pub(super) fn asks_for(&self, name: EventName, key: &str) -> bool {
        self.events.contains(&name) && key.starts_with(&self.prefix) && key.ends_with(&self.suffix)
    }

    /// Whether one event could be asked for by both, by S3's rule: they share an event, and one prefix begins with the
    /// other, and so with the suffixes.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let begin_alike =
            self.prefix.starts_with(&other.prefix) || other.prefix.starts_with(&self.prefix);
        let end_alike =
            self.suffix.ends_with(&other.suffix) || other.suffix.ends_with(&self.suffix);
        begin_alike && end_alike && self.events.iter().any(|event| other.events.contains(event))
    }
}

/// A kept document that is no notification configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unreadable;

/// The rules of a document as the store keeps it.
pub(super) fn of_document(document: &[u8]) -> Result<Vec<Rule>, Unreadable> {
    let configuration: NotificationConfiguration =
        xml::Deserialize::deserialize(&mut xml::Deserializer::new(document))
            .map_err(|_| Unreadable)?;
    let queues = configuration.queue_configurations.unwrap_or_default();
    Ok(queues.iter().map(Rule::of).collect())
}

#[cfg(test)]
mod tests {
    use super::{EventName, Rule, Unreadable, of_document};

    fn rule(events: &[&str], prefix: &str, suffix: &str) -> Rule {
        Rule {
            id: "id".to_owned(),
            arn: "arn".to_owned(),
            events: events
                .iter()
                .flat_map(|event| EventName::meant_by(event))
                .collect(),
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
        }
    }

    #[test]
    fn a_star_means_its_family_and_nothing_else() {
        assert_eq!(
            EventName::meant_by("s3:ObjectCreated:*"),
            EventName::ALL[..4]
        );
        assert_eq!(
            EventName::meant_by("s3:ObjectRemoved:*"),
            EventName::ALL[4..]
        );
        for event in EventName::ALL {
            assert_eq!(
                EventName::meant_by(&format!("s3:{}", event.text())),
                [event]
            );
        }
        for name in [
            "ObjectCreated:*",
            "s3:*",
            "s3:Object*",
            "s3:ObjectTagging:*",
            "",
        ] {
            assert_eq!(EventName::meant_by(name), [], "{name}");
        }
    }

    #[test]
    fn a_rule_asks_by_event_prefix_and_suffix_together() {
        let rule = rule(&["s3:ObjectCreated:Put"], "in/", ".csv");
        assert!(rule.asks_for(EventName::Put, "in/a.csv"));
        assert!(!rule.asks_for(EventName::Copy, "in/a.csv"));
        assert!(!rule.asks_for(EventName::Put, "a.csv"));
        assert!(!rule.asks_for(EventName::Put, "in/a.csv.gz"));
        assert!(!rule.asks_for(EventName::Put, "IN/a.csv"));
    }

    #[test]
    fn rules_overlap_where_one_key_and_event_could_be_asked_for_by_both() {
        let created = ["s3:ObjectCreated:*"];
        let removed = ["s3:ObjectRemoved:*"];
        let puts = ["s3:ObjectCreated:Put"];
        for (a, b, overlaps) in [
            (rule(&created, "", ""), rule(&puts, "", ""), true),
            (rule(&created, "", ""), rule(&removed, "", ""), false),
            (rule(&created, "a/", ""), rule(&created, "b/", ""), false),
            (rule(&created, "a/", ""), rule(&created, "a/b", ""), true),
            (rule(&created, "", ".a"), rule(&created, "", ".b"), false),
            (rule(&created, "a/", ".a"), rule(&created, "", ".a"), true),
            (
                rule(&created, "a/", ".a"),
                rule(&created, "a/", ".b"),
                false,
            ),
            (rule(&created, "a/", ""), rule(&created, "", ".b"), true),
        ] {
            assert_eq!(a.overlaps(&b), overlaps, "{a:?} {b:?}");
            assert_eq!(b.overlaps(&a), overlaps, "{b:?} {a:?}");
        }
    }

    #[test]
    fn a_document_as_clients_send_it_is_read() {
        let document = "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <QueueConfiguration><Id>one</Id><Queue>arn:aws:sqs:us-east-1:000000000000:q</Queue>\
            <Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>Prefix</Name><Value>in/</Value>\
            </FilterRule><FilterRule><Name>suffix</Name><Value>.csv</Value></FilterRule></S3Key></Filter>\
            </QueueConfiguration></NotificationConfiguration>";
        let expected = Rule {
            id: "one".to_owned(),
            arn: "arn:aws:sqs:us-east-1:000000000000:q".to_owned(),
            ..rule(&["s3:ObjectCreated:*"], "in/", ".csv")
        };
        assert_eq!(of_document(document.as_bytes()), Ok(vec![expected]));
        assert_eq!(of_document(b"nonsense"), Err(Unreadable));
    }
}

use s3s::dto::{BucketLifecycleConfiguration, ExpirationStatus};
use s3s::xml;

/// A bucket's rule that multipart uploads nobody completes are aborted (S3 User Guide, "Configuring a bucket lifecycle
/// configuration to delete incomplete multipart uploads"). This crate keeps the rule; who has the clock applies it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AbortIncomplete {
    /// Only uploads of keys that begin so.
    pub prefix: String,
    /// How many days after it was begun.
    pub days: u32,
}

/// A kept document that is no lifecycle configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the bucket's lifecycle rules cannot be read")]
pub struct UnreadableLifecycle;

impl AbortIncomplete {
    /// The rules in force in a bucket's lifecycle document, as the store keeps it.
    pub fn rules(document: &[u8]) -> Result<Vec<Self>, UnreadableLifecycle> {
        let configuration: BucketLifecycleConfiguration =
            xml::Deserialize::deserialize(&mut xml::Deserializer::new(document))
                .map_err(|_| UnreadableLifecycle)?;
        let is_enabled = |status: &ExpirationStatus| status.as_str() == ExpirationStatus::ENABLED;
        Ok(configuration
            .rules
            .into_iter()
            .filter(|rule| is_enabled(&rule.status))
            .filter_map(|rule| {
                let days = rule
                    .abort_incomplete_multipart_upload?
                    .days_after_initiation?;
                let filter = rule.filter.unwrap_or_default();
                let prefix = filter
                    .prefix
                    .or(filter.and.and_then(|and| and.prefix))
                    .or(rule.prefix);
                Some(Self {
                    prefix: prefix.unwrap_or_default(),
                    days: u32::try_from(days).ok()?,
                })
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{AbortIncomplete, UnreadableLifecycle};

    #[test]
    fn only_enabled_rules_that_abort_count() {
        let document = "<LifecycleConfiguration>\
            <Rule><Filter><Prefix>in/</Prefix></Filter><Status>Enabled</Status><AbortIncompleteMultipartUpload>\
            <DaysAfterInitiation>3</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>\
            <Rule><Filter><Prefix></Prefix></Filter><Status>Disabled</Status><AbortIncompleteMultipartUpload>\
            <DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>\
            <Rule><Prefix>old/</Prefix><Status>Enabled</Status><AbortIncompleteMultipartUpload>\
            <DaysAfterInitiation>9</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>\
            </LifecycleConfiguration>";
        let rule = |prefix: &str, days| AbortIncomplete {
            prefix: prefix.into(),
            days,
        };
        assert_eq!(
            AbortIncomplete::rules(document.as_bytes()),
            Ok(vec![rule("in/", 3), rule("old/", 9)])
        );
        assert_eq!(
            AbortIncomplete::rules(b"nonsense"),
            Err(UnreadableLifecycle)
        );
    }
}

//! The `Resource` element (IAM User Guide, "IAM JSON policy elements: Resource"; "Amazon Resource Names").

use super::pattern::{Pattern, Variables};
use super::{MalformedPolicy, malformed};

/// What a statement is about: anything, or ARNs that fit a pattern part by part, so that a wildcard in one part never
/// reaches into the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ResourcePattern {
    Any,
    Arn {
        service: String,
        region: Pattern,
        account: Pattern,
        name: Pattern,
    },
}

impl ResourcePattern {
    pub(super) fn parse(text: &str, variables: Variables) -> Result<Self, MalformedPolicy> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let refused = |why: &str| {
            let shown: String = text.chars().take(100).collect();
            malformed(format_args!("the Resource {shown:?} {why}"))
        };
        // Checked whole first: a variable's name may have a colon.
        Pattern::parse(text, variables)?;
        let mut parts = text.splitn(6, ':');
        let mut part = || parts.next();
        let (Some("arn"), Some(partition), Some(service), Some(region), Some(account), Some(name)) =
            (part(), part(), part(), part(), part(), part())
        else {
            return Err(refused("is neither * nor an ARN"));
        };
        if partition != "aws" {
            return Err(refused("is not in the partition aws"));
        }
        if !matches!(service, "s3" | "iam" | "sts") {
            return Err(refused("names a service that is not here"));
        }
        if name.is_empty() {
            return Err(refused("names nothing"));
        }
        Ok(Self::Arn {
            service: service.to_owned(),
            region: Pattern::parse(region, variables)?,
            account: Pattern::parse(account, variables)?,
            name: Pattern::parse(name, variables)?,
        })
    }

    pub(super) fn matches(&self, arn: &str) -> bool {
        let Self::Arn {
            service,
            region,
            account,
            name,
        } = self
        else {
            return true;
        };
        let mut parts = arn.splitn(6, ':');
        let mut part = || parts.next();
        let (Some("arn"), Some("aws"), Some(s), Some(r), Some(a), Some(n)) =
            (part(), part(), part(), part(), part(), part())
        else {
            return false;
        };
        s == service && region.matches(r) && account.matches(a) && name.matches(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stays_within_its_part_and_the_last_part_may_have_colons() {
        let matches = |pattern: &str, arn: &str| {
            ResourcePattern::parse(pattern, Variables::Escapes)
                .unwrap()
                .matches(arn)
        };
        assert!(matches("*", "anything"));
        assert!(matches("arn:aws:s3:::b/*", "arn:aws:s3:::b/a:b/c"));
        assert!(matches("arn:aws:s3:*:*:b/a", "arn:aws:s3:::b/a"));
        assert!(!matches("arn:aws:s3:::b/*", "arn:aws:s3:::b"));
        assert!(!matches("arn:aws:s3:::b", "arn:aws:s3:::b/a"));
        assert!(!matches("arn:aws:s3:::B/a", "arn:aws:s3:::b/a"));
        assert!(!matches("arn:aws:s3:*:x:b/a", "arn:aws:s3:::b/a"));
        assert!(!matches(
            "arn:aws:iam::000000000000:role/a",
            "arn:aws:iam::000000000001:role/a"
        ));
    }

    #[test]
    fn what_can_never_fit_is_refused() {
        for text in [
            "",
            "b/a",
            "**",
            "arn:aws:s3:::",
            "arn:aws:s3::b",
            "arn:aws-cn:s3:::b",
            "arn:*:s3:::b",
            "arn:aws:*:::b",
            "arn:aws:dynamodb:::b",
            "arn:aws:s3:::b/${aws:username}",
            "arn:aws:s3:${aws:a}::b",
        ] {
            assert!(
                ResourcePattern::parse(text, Variables::Escapes).is_err(),
                "{text}"
            );
        }
    }
}

//! Where a deployment has its parts: the outputs of its `CloudFormation` stack.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::StackStatus;
use aws_smithy_types::error::metadata::ProvideErrorMetadata as _;

use crate::Clients;
use crate::words::words;

/// A stack as `CloudFormation` describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// How it stands with it, in `CloudFormation`'s word (`StackStatus`).
    pub status: String,
    /// Its outputs by their names.
    pub outputs: BTreeMap<String, String>,
    /// What it was made with, by the names of the template's parameters.
    pub parameters: BTreeMap<String, String>,
}

/// Why nothing is known of a stack.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoStack {
    /// There is none of that name.
    #[error(
        "there is no stack {name} in {region} for these credentials; look at the name, the region and the profile"
    )]
    NotThere {
        /// The name.
        name: String,
        /// Where it was looked for.
        region: String,
    },
    /// It could not be asked.
    #[error("where the stack {name} has its parts cannot be read: {reason}")]
    Unknown {
        /// The name.
        name: String,
        /// What is known.
        reason: String,
    },
}

/// A stack does not say where a part is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct LacksOutput(String);

impl Stack {
    /// An output; none as well where it is empty.
    pub fn output(&self, name: &str) -> Option<&str> {
        let value = self.outputs.get(name)?.as_str();
        Some(value).filter(|value| !value.is_empty())
    }

    /// An output that every deployment has.
    pub fn needed(&self, output: &str) -> Result<&str, LacksOutput> {
        self.output(output).ok_or_else(|| {
            let Self { name, status, .. } = self;
            let why = if status.ends_with("_IN_PROGRESS") {
                "wait until it is whole"
            } else if status == "CREATE_COMPLETE" || status.starts_with("UPDATE") {
                "it is none of two-buckets, or was made by the template of another version"
            } else {
                "it was not made whole"
            };
            LacksOutput(format!(
                "the stack {name} ({status}) has no output {output}: {why}"
            ))
        })
    }
}

/// Asks for the stack of this name (`CloudFormation` API, `DescribeStacks`). One call.
pub async fn describe(clients: &Clients, name: &str) -> Result<Stack, NoStack> {
    let asked = clients.cloudformation().describe_stacks().stack_name(name);
    let not_there = || NoStack::NotThere {
        name: name.to_owned(),
        region: clients.region().to_owned(),
    };
    let answer = asked.send().await.map_err(|error| {
        let said = error.as_service_error();
        // There is no code of its own for it.
        let is_absent = said.is_some_and(|said| {
            said.code() == Some("ValidationError")
                && said
                    .message()
                    .is_some_and(|words| words.contains("does not exist"))
        });
        if is_absent {
            return not_there();
        }
        NoStack::Unknown {
            name: name.to_owned(),
            reason: words(&error),
        }
    })?;
    let stack = answer.stacks.unwrap_or_default().into_iter().next();
    let stack = stack.ok_or_else(not_there)?;
    let outputs = stack.outputs.unwrap_or_default().into_iter();
    let parameters = stack.parameters.unwrap_or_default().into_iter();
    Ok(Stack {
        name: name.to_owned(),
        status: stack
            .stack_status
            .as_ref()
            .map_or("of unknown status", StackStatus::as_str)
            .to_owned(),
        outputs: outputs
            .filter_map(|output| Some((output.output_key?, output.output_value?)))
            .collect(),
        parameters: parameters
            .filter_map(|one| Some((one.parameter_key?, one.parameter_value?)))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::Stack;

    fn lacking(status: &str) -> String {
        let stack = Stack {
            name: "files".into(),
            status: status.into(),
            outputs: [("QueueUrl".into(), String::new())].into(),
            parameters: [].into(),
        };
        assert_eq!(stack.output("QueueUrl"), None);
        stack.needed("QueueUrl").unwrap_err().to_string()
    }

    #[test]
    fn what_a_stack_does_not_say_is_explained_by_how_it_stands_with_it() {
        for (status, why) in [
            ("CREATE_IN_PROGRESS", "wait"),
            ("DELETE_IN_PROGRESS", "wait"),
            ("CREATE_COMPLETE", "another version"),
            ("UPDATE_COMPLETE", "another version"),
            ("UPDATE_ROLLBACK_COMPLETE", "another version"),
            ("ROLLBACK_COMPLETE", "not made whole"),
            ("DELETE_FAILED", "not made whole"),
        ] {
            let said = lacking(status);
            for word in ["files", status, "QueueUrl", why] {
                assert!(said.contains(word), "{word} in {said}");
            }
        }
    }
}

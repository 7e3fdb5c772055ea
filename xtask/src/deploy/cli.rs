//! The AWS command line, as whoever deploys has it: its profile, region and endpoints are theirs.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::program::{Program, find};

/// The AWS command line, which never waits for a key in a pager.
pub(super) fn aws() -> Program {
    Program::new("aws").env("AWS_PAGER", "")
}

/// Whether there is one.
pub(super) fn is_here() -> Result<()> {
    if find("aws").is_none() {
        bail!(
            "there is no AWS command line on the path: https://aws.amazon.com/cli/ says how to install it"
        );
    }
    Ok(())
}

/// Whether the stack is there.
pub(super) fn has_stack(stack: &str) -> Result<bool> {
    // Asking for it by name fails for one that is not there as for a caller without the right.
    let listed = json(
        aws()
            .args(["cloudformation", "list-stacks", "--query"])
            .args(["StackSummaries[?StackStatus!='DELETE_COMPLETE'].StackName"]),
    )?;
    let names = listed.as_array().context("no list of stacks")?;
    Ok(names.iter().any(|name| name == stack))
}

/// The stack's outputs by name.
pub(super) fn outputs(stack: &str) -> Result<Vec<(String, String)>> {
    let described = json(aws().args(["cloudformation", "describe-stacks", "--stack-name", stack]))?;
    let outputs = described["Stacks"][0]["Outputs"].as_array();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(outputs
        .map(|all| {
            all.iter()
                .map(|one| (text(&one["OutputKey"]), text(&one["OutputValue"])))
                .collect()
        })
        .unwrap_or_default())
}

/// What a call answers, if it answers anything.
pub(super) fn json(call: Program) -> Result<Value> {
    let text = call.args(["--output", "json"]).output()?;
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).context("the AWS command line did not print JSON")
}

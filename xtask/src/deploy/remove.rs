//! A stack is removed. Files are what must not go by accident: nothing is emptied that nobody asked for.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::cli::{self, aws, outputs};

/// The most versions that one call deletes (S3 API, `DeleteObjects`).
const DELETED_MAX: usize = 1_000;

/// How often the ledger is looked at until its protection is off, and the pause between; it takes seconds.
const TABLE_ASKED_MAX: u32 = 60;
const TABLE_PAUSE: Duration = Duration::from_secs(1);

/// What is removed.
#[derive(clap::Args)]
pub(crate) struct Remove {
    /// The stack's name
    #[arg(long)]
    stack: String,
    /// Remove both buckets and the ledger too, which otherwise stay; refused while a bucket has a version or a delete
    /// marker in it
    #[arg(long)]
    with_buckets: bool,
    /// With the buckets every file in them, for good
    #[arg(long, requires = "with_buckets")]
    with_files: bool,
}

/// Removes the stack, and what else was asked for.
pub(crate) fn run(flags: &Remove) -> Result<()> {
    cli::is_here()?;
    if !cli::has_stack(&flags.stack)? {
        bail!(
            "there is no stack {} in this region of this account",
            flags.stack
        );
    }
    let outputs = outputs(&flags.stack)?;
    let named = |name: &str| {
        let found = outputs.iter().find(|(output, _)| output == name);
        found
            .map(|(_, value)| value.as_str())
            .with_context(|| format!("the stack {} has no output {name}", flags.stack))
    };
    let buckets = [named("StagingBucket")?, named("ArchiveBucket")?];
    let ledger = named("LedgerTable")?;
    let mut with_files = Vec::new();
    for bucket in buckets {
        if !versions(bucket, 1)?.is_empty() {
            with_files.push(bucket);
        }
    }
    if flags.with_buckets && !flags.with_files && !with_files.is_empty() {
        bail!(
            "nothing was removed: there are files in {}; --with-files removes them too, for good",
            with_files.join(" and ")
        );
    }
    if with_files.contains(&buckets[0]) {
        println!(
            "files wait in {}, and nothing processes them any more",
            buckets[0]
        );
    }
    aws()
        .args([
            "cloudformation",
            "delete-stack",
            "--stack-name",
            &flags.stack,
        ])
        .run()?;
    aws()
        .args(["cloudformation", "wait", "stack-delete-complete"])
        .args(["--stack-name", &flags.stack])
        .run()?;
    if !flags.with_buckets {
        println!("\n{} is removed", flags.stack);
        println!(
            "left: the buckets {} and {}, and the table {ledger}",
            buckets[0], buckets[1]
        );
        return Ok(());
    }
    for bucket in buckets {
        if flags.with_files {
            empty(bucket)?;
        }
        // S3 refuses this for a bucket that something came into meanwhile.
        aws()
            .args(["s3api", "delete-bucket", "--bucket", bucket])
            .run()?;
    }
    aws()
        .args(["dynamodb", "update-table", "--table-name", ledger])
        .args(["--no-deletion-protection-enabled", "--output", "text"])
        .args(["--query", "TableDescription.TableStatus"])
        .run()?;
    wait_for(ledger)?;
    aws()
        .args(["dynamodb", "delete-table", "--table-name", ledger])
        .args([
            "--output",
            "text",
            "--query",
            "TableDescription.TableStatus",
        ])
        .run()?;
    println!(
        "\n{} is removed, with its buckets and its ledger",
        flags.stack
    );
    Ok(())
}

/// Waits until a table that was changed can be deleted. The command line's own wait asks every 20 s only.
#[expect(
    clippy::disallowed_methods,
    reason = "a chore waits for AWS by the real clock"
)]
fn wait_for(table: &str) -> Result<()> {
    for _ in 0..TABLE_ASKED_MAX {
        let described =
            cli::json(aws().args(["dynamodb", "describe-table", "--table-name", table]))?;
        if described["Table"]["TableStatus"] == "ACTIVE" {
            return Ok(());
        }
        std::thread::sleep(TABLE_PAUSE);
    }
    bail!("the table {table} is still being changed; everything else is removed");
}

/// Some of a bucket's versions and delete markers, as many as are asked for where there are so many.
fn versions(bucket: &str, max: usize) -> Result<Vec<Value>> {
    let listed = cli::json(
        aws()
            .args(["s3api", "list-object-versions", "--bucket", bucket])
            .args(["--max-items", &max.to_string()])
            .args(["--query", "{Versions: Versions, Markers: DeleteMarkers}"]),
    )?;
    let all = ["Versions", "Markers"]
        .iter()
        .filter_map(|kind| listed[kind].as_array());
    Ok(all.flatten().cloned().collect())
}

/// Deletes every version of a bucket.
fn empty(bucket: &str) -> Result<()> {
    let mut deleted = 0;
    loop {
        let some = versions(bucket, DELETED_MAX)?;
        if some.is_empty() {
            break;
        }
        let objects: Vec<Value> = some
            .iter()
            .take(DELETED_MAX)
            .map(|one| json!({ "Key": one["Key"], "VersionId": one["VersionId"] }))
            .collect();
        let asked = json!({ "Objects": objects, "Quiet": true });
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), asked.to_string())?;
        let answer = cli::json(
            aws()
                .args(["s3api", "delete-objects", "--bucket", bucket])
                .args(["--delete", &format!("file://{}", file.path().display())]),
        )?;
        // Such as versions that an object lock holds.
        if let Some(first) = answer["Errors"]
            .as_array()
            .and_then(|errors| errors.first())
        {
            bail!(
                "{bucket} cannot be emptied: {}",
                first["Message"].as_str().unwrap_or_default()
            );
        }
        deleted += objects.len();
    }
    if deleted > 0 {
        println!("{deleted} versions of {bucket} are deleted");
    }
    Ok(())
}

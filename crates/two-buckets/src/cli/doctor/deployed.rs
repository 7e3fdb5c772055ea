//! A deployment on AWS.

use two_buckets_aws::operator::{Clocks, describe, identity, queue_figures, region_of_bucket};
use two_buckets_aws::worker::{check_buckets, holder};
use two_buckets_aws::{Finding, Need, probe_objects};
use two_buckets_objects::BucketName;

use super::check::{Check, Verdict};
use super::uploads;
use crate::cli::api::Api;
use crate::cli::print;
use crate::config::Settings;
use crate::deployment::{self, Deployment};
use crate::failure::Failure;

/// By how much this machine's clock may differ before it is wrong. Signatures are refused beyond 15 minutes
/// (S3 API, `RequestTimeTooSkewed`), and leases and stamps are compared by seconds.
const CLOCKS_DIFFER_MAX_S: u64 = 5;

/// Looks at everything. Fails only where not even the parts are known.
pub(super) async fn look(probe: bool, settings: &Settings) -> Result<Vec<Check>, Failure> {
    let mut found = deployment::find(settings).await?;
    let mut checks = Vec::new();
    if let Some(name) = &settings.aws.stack.value {
        checks.push(stack(name, &mut found).await);
    }
    checks.extend(who_and_when(&found).await);
    for (name, bucket) in [
        ("staging bucket", &found.config.staging),
        ("archive bucket", &found.config.archive),
    ] {
        checks.push(of_bucket(name, bucket, &found).await);
    }
    checks.push(of_ledger(&found).await);
    checks.push(of_queue(&found).await);
    checks.extend(dead_letters(&found).await);
    if probe {
        checks.extend(of_store(&found).await);
    }
    // The last two calls of each need all of the above, and say the same in other words where it is missing.
    if checks.iter().all(|check| check.verdict != Verdict::Wrong) {
        match Api::of_deployment(found).await {
            Ok(api) => checks.extend(uploads::look(&api).await),
            Err(failure) => checks.push(Check::new(
                "uploads",
                Verdict::Wrong,
                failure.to_string(),
                "see above",
            )),
        }
    }
    Ok(checks)
}

/// Asks where all parts were named one by one as well, for what only the stack knows.
async fn stack(name: &str, found: &mut Deployment) -> Check {
    if found.stack.is_none() {
        match describe(&found.clients, name).await {
            Ok(stack) => found.stack = Some(stack),
            Err(error) => {
                return Check::new(
                    "stack",
                    Verdict::Unknown,
                    error.to_string(),
                    "nothing rests on it while all parts are named; without it dead letters are not looked at",
                );
            }
        }
    }
    let status = found.stack.as_ref().map_or("", |stack| &stack.status);
    let said = format!("{name} in {} is {status}", found.clients.region());
    if status.ends_with("_FAILED") || status.contains("ROLLBACK") {
        return Check::new(
            "stack",
            Verdict::Look,
            said,
            format!("aws cloudformation describe-stack-events --stack-name {name} says why"),
        );
    }
    Check::well("stack", said)
}

/// In whose name, and by which clock.
async fn who_and_when(found: &Deployment) -> [Check; 2] {
    let (who, clocks) = identity(&found.clients).await;
    let who = match who {
        Ok(who) => Check::well(
            "identity",
            format!("{} in account {}", who.arn, who.account),
        ),
        Err(reason) => Check::new(
            "identity",
            Verdict::Wrong,
            reason,
            "name a profile by AWS_PROFILE or renew its session (aws sso login), and set the clock",
        ),
    };
    let clock = |way: &str, by: std::time::Duration| {
        let said = format!("this machine's is {} s {way} AWS's", by.as_secs());
        if by.as_secs() <= CLOCKS_DIFFER_MAX_S {
            return Check::well("clock", said);
        }
        Check::new(
            "clock",
            Verdict::Wrong,
            said,
            "set it, by NTP best: leases are kept by it, and signatures are refused beyond 15 minutes",
        )
    };
    let clock = match clocks {
        Some(Clocks::Alike) => Check::well("clock", "goes as AWS's does"),
        Some(Clocks::Ahead(by)) => clock("ahead of", by),
        Some(Clocks::Behind(by)) => clock("behind", by),
        None => Check::new(
            "clock",
            Verdict::Unknown,
            "nobody answered with the time",
            "see what is said of the identity",
        ),
    };
    [who, clock]
}

async fn of_bucket(name: &'static str, bucket: &BucketName, found: &Deployment) -> Check {
    let here = found.clients.region();
    let region = match region_of_bucket(&found.clients, bucket).await {
        Ok(region) => region,
        Err(reason) => {
            return Check::new(
                name,
                Verdict::Wrong,
                format!("{bucket} does not answer: {reason}"),
                "look at its name and at s3:ListBucket of these credentials",
            );
        }
    };
    if let Some(elsewhere) = region.as_ref().filter(|region| *region != here) {
        return Check::new(
            name,
            Verdict::Wrong,
            format!("{bucket} is in {elsewhere}, and the deployment is looked for in {here}"),
            "both buckets, the ledger and the queue must be in one region: set AWS_REGION, or move the bucket",
        );
    }
    match check_buckets(&found.clients.s3(), &[bucket]).await {
        Ok(()) => Check::well(
            name,
            match region {
                Some(region) => format!("{bucket} keeps versions, in {region}"),
                None => format!("{bucket} keeps versions"),
            },
        ),
        Err(error @ two_buckets_aws::worker::NotFit::NotVersioned(_)) => Check::new(
            name,
            Verdict::Wrong,
            error.to_string(),
            format!(
                "aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled"
            ),
        ),
        Err(error) => Check::new(
            name,
            Verdict::Unknown,
            error.to_string(),
            "s3:GetBucketVersioning lets these credentials look",
        ),
    }
}

async fn of_ledger(found: &Deployment) -> Check {
    let table = &found.config.ledger_table;
    match found.config.ledger_from_afar(&found.clients).paused().await {
        Ok(_) => Check::well("ledger", format!("{table} answers")),
        Err(error) => Check::new(
            "ledger",
            Verdict::Wrong,
            format!("{table} cannot be read: {error}"),
            "look at the table's name, and at dynamodb:GetItem of these credentials",
        ),
    }
}

async fn of_queue(found: &Deployment) -> Check {
    match queue_figures(&found.clients, &found.config.queue_url).await {
        Ok(figures) => Check::well(
            "queue",
            format!(
                "about {} waiting, {} in work, {} delayed",
                print::count(figures.waiting, "wake-up"),
                figures.in_work,
                figures.delayed
            ),
        ),
        Err(reason) => Check::new(
            "queue",
            Verdict::Wrong,
            format!("{} does not answer: {reason}", found.config.queue_url),
            "look at its URL, and at sqs:GetQueueAttributes of these credentials",
        ),
    }
}

/// Of both queues that the stack has for them; nothing where no stack says which.
async fn dead_letters(found: &Deployment) -> Vec<Check> {
    let mut checks = Vec::new();
    for (name, output, what, remedy) in [
        (
            "dead letters",
            "DeadLettersUrl",
            "over which processors died",
            "their files are found by the sweep; see the processor's log, then aws sqs purge-queue",
        ),
        (
            "lost sweeps",
            "ScheduleDeadLettersUrl",
            "of sweeps that could not be made",
            "see the sweep's log, run two-buckets sweep, then aws sqs purge-queue",
        ),
    ] {
        let Some(url) = found.output(output) else {
            continue;
        };
        checks.push(match queue_figures(&found.clients, url).await {
            Ok(figures) if figures.waiting + figures.in_work + figures.delayed == 0 => {
                Check::well(name, "none")
            }
            Ok(figures) => {
                let count = figures.waiting + figures.in_work + figures.delayed;
                let said = format!("about {} {what}", print::count(count, "message"));
                Check::new(name, Verdict::Wrong, said, remedy)
            }
            Err(reason) => Check::new(
                name,
                Verdict::Unknown,
                reason,
                "sqs:GetQueueAttributes of that queue lets these credentials look",
            ),
        });
    }
    checks
}

/// What the archive's store does, tried with a few bytes.
async fn of_store(found: &Deployment) -> Vec<Check> {
    let store = found.config.store(&found.clients).without_fallbacks();
    let name = holder("doctor").0.replace(' ', "-");
    let report = probe_objects(&store, &found.config.archive, &name).await;
    report
        .into_iter()
        .map(|(need, finding)| match need {
            Need::ConditionalCopy if !found.config.conditional_copy => done_without(finding),
            _ => of_need(need, finding),
        })
        .collect()
}

/// Of the condition on a copy where it is switched off, so that whoever reads it knows what is promised then.
fn done_without(finding: Finding) -> Check {
    const WEAKER: &str = "the target is looked at just before each copy (conditional_copy = false): whoever else writes to the archive in between is overwritten as the current version, whose bytes stay as a version below";
    let (seen, remedy) = match finding {
        Finding::Holds => (
            format!("the store has it and it is not used; {WEAKER}"),
            "leave out --conditional-copy false, and TWO_BUCKETS_CONDITIONAL_COPY in functions",
        ),
        Finding::Missing { seen } => (
            format!("{seen}; {WEAKER}"),
            "let nothing else write to the archive, or use a store that has conditional copies",
        ),
        untold @ Finding::Untold { .. } => return of_need(Need::ConditionalCopy, untold),
    };
    Check::new("conditional copy", Verdict::Look, seen, remedy)
}

fn of_need(need: Need, finding: Finding) -> Check {
    let name = match need {
        Need::StagingVersioned | Need::ArchiveVersioned | Need::Versions => "versions",
        Need::ListOrder => "order of lists",
        Need::ConditionalPut => "conditional put",
        Need::ExactCopy => "exact copy",
        Need::ConditionalCopy => "conditional copy",
        Need::Checksums => "checksums",
        Need::ExactDelete => "exact delete",
    };
    match finding {
        Finding::Holds => Check::well(name, "as it must be"),
        Finding::Missing { seen } if need.is_vital() => {
            Check::new(name, Verdict::Wrong, seen, need.without_it())
        }
        Finding::Missing { seen } => Check::new(name, Verdict::Look, seen, need.without_it()),
        Finding::Untold { reason } => Check::new(
            name,
            Verdict::Unknown,
            reason,
            "it is tried below _results/ in the archive with s3:PutObject, s3:GetObject, s3:GetObjectVersion, s3:ListBucketVersions and s3:DeleteObjectVersion, which these credentials may lack; --no-probe leaves it out",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_conditional_copies_the_weaker_promise_is_said_whatever_the_store_does() {
        let seen = || "a copy overwrote what was there".to_owned();
        for finding in [Finding::Holds, Finding::Missing { seen: seen() }] {
            let check = done_without(finding);
            assert_eq!(check.verdict, Verdict::Look);
            assert!(
                check.found.contains("overwritten as the current version"),
                "{}",
                check.found
            );
        }
        assert!(
            done_without(Finding::Missing { seen: seen() })
                .found
                .starts_with(&seen())
        );
        let untold = done_without(Finding::Untold {
            reason: "no right".to_owned(),
        });
        assert_eq!(untold.verdict, Verdict::Unknown);
    }
}

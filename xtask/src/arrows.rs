//! The arrows between the crates, and what each crate must not know.
//!
//! What a crate cannot reach it cannot come to depend on: the protocol stays a pure core because no clock, runtime or wire format can be called from it.
//! `ARCHITECTURE.md` draws the same arrows; a crate that is not in this table fails the check until it gets its line.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::program::Program;
use crate::repository;

struct Rule {
    package: &'static str,
    /// Our own crates it may depend on.
    may_know: &'static [&'static str],
    /// Our own crates that only its tests may use; contracts are allowed in any.
    may_know_in_tests: &'static [&'static str],
    /// Third-party crates it must not reach, directly or through others.
    must_not_reach: &'static [&'static str],
}

/// Promises as tests; never part of what is shipped.
const CONTRACTS: &str = "two-buckets-contracts";

const OBJECTS: &str = "two-buckets-objects";
const EVENTS: &str = "two-buckets-events";
const PIPELINE: &str = "two-buckets-pipeline";
const DEPOT: &str = "two-buckets-depot";
const S3_API: &str = "two-buckets-s3-api";
const UPLOADS: &str = "two-buckets-uploads";
const LAMBDA_HOST: &str = "two-buckets-lambda-host";
const LOCAL: &str = "two-buckets-local";
const AWS: &str = "two-buckets-aws";
const PAGE: &str = "two-buckets-page";

/// An example is a user's program: one crate of ours. Its tests sign requests of their own.
const EXAMPLES_MAY_KNOW: &[&str] = &["two-buckets", OBJECTS, S3_API];

/// A Lambda function starts while somebody waits: nothing of the server is in it, and no second TLS.
const NOT_IN_LAMBDA: &[&str] = &[
    DEPOT,
    S3_API,
    LAMBDA_HOST,
    LOCAL,
    "s3s",
    "fjall",
    "axum",
    "clap",
    "aws-lc-rs",
];

/// The upload API is a service on axum; the rest is as for the others.
const NOT_IN_UPLOAD_FUNCTION: &[&str] = &[
    DEPOT,
    S3_API,
    LAMBDA_HOST,
    LOCAL,
    "s3s",
    "fjall",
    "clap",
    "aws-lc-rs",
];

const RULES: &[Rule] = &[
    Rule {
        package: OBJECTS,
        may_know: &[],
        may_know_in_tests: &[],
        must_not_reach: &[
            "tokio", "hyper", "http", "serde", "rand", "fastrand", "s3s", "fjall",
        ],
    },
    Rule {
        package: EVENTS,
        may_know: &[OBJECTS],
        may_know_in_tests: &[],
        must_not_reach: &["tokio", "hyper", "http", "rand", "fastrand", "s3s", "fjall"],
    },
    Rule {
        package: PIPELINE,
        may_know: &[OBJECTS],
        may_know_in_tests: &[],
        must_not_reach: &[
            "tokio", "hyper", "http", "serde", "rand", "fastrand", "s3s", "fjall",
        ],
    },
    Rule {
        package: CONTRACTS,
        may_know: &[OBJECTS, PIPELINE, UPLOADS],
        may_know_in_tests: &[],
        must_not_reach: &["s3s", "fjall"],
    },
    Rule {
        package: DEPOT,
        may_know: &[OBJECTS],
        may_know_in_tests: &[],
        must_not_reach: &["tokio", "hyper", "http", "serde", "s3s"],
    },
    Rule {
        package: S3_API,
        may_know: &[OBJECTS, EVENTS, DEPOT],
        may_know_in_tests: &[],
        must_not_reach: &["axum"],
    },
    Rule {
        package: UPLOADS,
        // What trackers of every ledger have in common; the routes know only their own traits.
        may_know: &[OBJECTS, PIPELINE],
        may_know_in_tests: &[],
        must_not_reach: &["s3s", "fjall"],
    },
    Rule {
        package: LAMBDA_HOST,
        may_know: &[],
        may_know_in_tests: &[],
        must_not_reach: &["s3s", "fjall", "axum"],
    },
    Rule {
        package: LOCAL,
        may_know: &[
            OBJECTS,
            EVENTS,
            PIPELINE,
            DEPOT,
            S3_API,
            UPLOADS,
            LAMBDA_HOST,
        ],
        may_know_in_tests: &[],
        must_not_reach: &[],
    },
    Rule {
        package: AWS,
        may_know: &[OBJECTS, EVENTS, PIPELINE, UPLOADS],
        // Its contracts run against the store of this machine over HTTP.
        may_know_in_tests: &[DEPOT, S3_API],
        // The upload API it implements traits of is on axum, so that it can be reached but not named.
        must_not_reach: &["s3s", "fjall", "aws-lc-rs"],
    },
    Rule {
        package: PAGE,
        may_know: &[],
        may_know_in_tests: &[],
        must_not_reach: &["s3s", "fjall"],
    },
    Rule {
        package: "two-buckets",
        may_know: &[
            OBJECTS,
            PIPELINE,
            DEPOT,
            S3_API,
            UPLOADS,
            LAMBDA_HOST,
            LOCAL,
            AWS,
            PAGE,
        ],
        may_know_in_tests: &[],
        must_not_reach: &[],
    },
    Rule {
        package: "processor",
        may_know: &["two-buckets"],
        may_know_in_tests: &[],
        must_not_reach: NOT_IN_LAMBDA,
    },
    Rule {
        package: "sweep",
        may_know: &[AWS],
        may_know_in_tests: &[],
        must_not_reach: NOT_IN_LAMBDA,
    },
    Rule {
        package: "uploads",
        may_know: &[AWS, PAGE, UPLOADS],
        may_know_in_tests: &[],
        must_not_reach: NOT_IN_UPLOAD_FUNCTION,
    },
    Rule {
        package: "two-buckets-bench",
        // The host is measured by itself, beside a bare loop of the Runtime API.
        may_know: &[OBJECTS, DEPOT, S3_API, LAMBDA_HOST],
        may_know_in_tests: &[],
        must_not_reach: &[],
    },
    Rule {
        package: "two-buckets-micro",
        may_know: &[OBJECTS, PIPELINE, DEPOT, S3_API, LOCAL, "two-buckets"],
        may_know_in_tests: &[],
        must_not_reach: &[],
    },
    Rule {
        package: "two-buckets-fuzz",
        may_know: &[OBJECTS, DEPOT, S3_API, UPLOADS],
        may_know_in_tests: &[],
        must_not_reach: &[],
    },
    Rule {
        package: "two-buckets-sim",
        may_know: &[OBJECTS, PIPELINE, DEPOT, LOCAL],
        may_know_in_tests: &[],
        must_not_reach: &[],
    },
    Rule {
        package: "csv-to-parquet",
        may_know: EXAMPLES_MAY_KNOW,
        may_know_in_tests: &[],
        must_not_reach: &[],
    },
    Rule {
        package: "thumbnails",
        may_know: EXAMPLES_MAY_KNOW,
        may_know_in_tests: &[],
        must_not_reach: &[],
    },
    Rule {
        package: "virus-scan",
        may_know: EXAMPLES_MAY_KNOW,
        may_know_in_tests: &[],
        must_not_reach: &[],
    },
    Rule {
        package: "xtask",
        may_know: &[],
        may_know_in_tests: &[],
        must_not_reach: &["tokio", "s3s", "fjall"],
    },
];

/// Fails with every arrow that points the wrong way.
pub(crate) fn check() -> Result<()> {
    let mut wrong = wrong_arrows(&repository::metadata()?)?;
    for rule in RULES.iter().filter(|rule| !rule.must_not_reach.is_empty()) {
        wrong.extend(wrong_reaches(rule, &reached(rule.package)?));
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("; "));
    }
    Ok(())
}

/// What is wrong with the direct dependencies between our own crates.
fn wrong_arrows(metadata: &Value) -> Result<Vec<String>> {
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let ours: BTreeSet<&str> = packages
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    let mut wrong = Vec::new();
    for rule in RULES {
        if !ours.contains(rule.package) {
            wrong.push(format!("{} has a rule but is no crate here", rule.package));
        }
    }
    for package in packages {
        let name = package["name"]
            .as_str()
            .context("a package without a name")?;
        let Some(rule) = RULES.iter().find(|rule| rule.package == name) else {
            wrong.push(format!("{name} has no rule in xtask/src/arrows.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            if !ours.contains(on) {
                continue;
            }
            let for_tests_only = dependency["kind"] == "dev";
            let allowed = rule.may_know.contains(&on)
                || (for_tests_only && (on == CONTRACTS || rule.may_know_in_tests.contains(&on)));
            if !allowed {
                let kind = if for_tests_only {
                    "in its tests"
                } else {
                    "at all"
                };
                wrong.push(format!("{name} must not know {on} {kind}"));
            }
        }
    }
    Ok(wrong)
}

fn wrong_reaches(rule: &Rule, reached: &BTreeSet<String>) -> Vec<String> {
    rule.must_not_reach
        .iter()
        .filter(|forbidden| reached.contains(**forbidden))
        .map(|forbidden| format!("{} must not reach {forbidden}", rule.package))
        .collect()
}

/// Every crate that ends up in a build of `package` alone, features resolved for it alone; macros run at build time and do not count.
fn reached(package: &str) -> Result<BTreeSet<String>> {
    let tree = Program::new("cargo")
        .args([
            "tree",
            "--locked",
            "--prefix",
            "none",
            "--edges",
            "normal,no-proc-macro",
        ])
        .args(["--package", package])
        .output()?;
    Ok(tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{RULES, reached, wrong_arrows, wrong_reaches};
    use crate::repository;

    #[test]
    fn the_crates_know_only_what_they_may() {
        super::check().expect("every arrow points the right way");
    }

    #[test]
    fn an_arrow_from_pipeline_to_depot_is_found() {
        let mut metadata = repository::metadata().unwrap();
        let packages = metadata["packages"].as_array_mut().unwrap();
        let pipeline = packages
            .iter_mut()
            .find(|package| package["name"] == "two-buckets-pipeline")
            .unwrap();
        let dependencies = pipeline["dependencies"].as_array_mut().unwrap();
        dependencies.push(json!({"name": "two-buckets-depot", "kind": null}));
        let wrong = wrong_arrows(&metadata).unwrap();
        assert_eq!(
            wrong,
            ["two-buckets-pipeline must not know two-buckets-depot at all"]
        );
    }

    #[test]
    fn contracts_are_allowed_in_tests_and_nowhere_else() {
        let mut metadata = repository::metadata().unwrap();
        let packages = metadata["packages"].as_array_mut().unwrap();
        let depot = packages
            .iter_mut()
            .find(|package| package["name"] == "two-buckets-depot")
            .unwrap();
        let dependencies = depot["dependencies"].as_array_mut().unwrap();
        dependencies.push(json!({"name": "two-buckets-contracts", "kind": "dev"}));
        assert!(wrong_arrows(&metadata).unwrap().is_empty());
        let packages = metadata["packages"].as_array_mut().unwrap();
        let depot = packages
            .iter_mut()
            .find(|package| package["name"] == "two-buckets-depot")
            .unwrap();
        let dependencies = depot["dependencies"].as_array_mut().unwrap();
        dependencies.push(json!({"name": "two-buckets-contracts", "kind": null}));
        let wrong = wrong_arrows(&metadata).unwrap();
        assert_eq!(
            wrong,
            ["two-buckets-depot must not know two-buckets-contracts at all"]
        );
    }

    #[test]
    fn a_crate_without_a_rule_is_found() {
        let mut metadata = repository::metadata().unwrap();
        let packages = metadata["packages"].as_array_mut().unwrap();
        packages.push(json!({"name": "two-buckets-misc", "dependencies": []}));
        let wrong = wrong_arrows(&metadata).unwrap();
        assert_eq!(
            wrong,
            ["two-buckets-misc has no rule in xtask/src/arrows.rs"]
        );
    }

    #[test]
    fn a_runtime_reached_through_another_crate_is_found() {
        let objects = RULES
            .iter()
            .find(|rule| rule.package == super::OBJECTS)
            .unwrap();
        // uploads is a service: it reaches tokio through axum, never by naming it.
        let wrong = wrong_reaches(objects, &reached(super::UPLOADS).unwrap());
        assert!(wrong.contains(&"two-buckets-objects must not reach tokio".to_owned()));
    }
}

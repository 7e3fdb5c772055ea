//! `cargo xtask deploy` and `cargo xtask remove`: a stack on AWS, one command each way.
//!
//! They are the AWS command line's calls in order, shown as they are made, so that whoever reads along can make them alone.

mod cli;
mod remove;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::package::{self, Arch, Release};
use cli::{aws, outputs};
pub(crate) use remove::{Remove, run as remove};

/// What is deployed, and where.
#[derive(clap::Args)]
pub(crate) struct Deploy {
    /// The stack's name; one that is there is updated
    #[arg(long)]
    stack: String,
    /// A bucket of yours in the same region, for the programs
    #[arg(long, value_name = "BUCKET")]
    code_bucket: String,
    /// Folder in that bucket; each release has one of its own below it
    #[arg(long, value_name = "PREFIX", default_value = "two-buckets")]
    code_prefix: String,
    /// A parameter of the template (deploy/README.md); one that is left out keeps what it has
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = pair)]
    parameters: Vec<String>,
    /// A tag of the stack and all that it makes
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = pair)]
    tags: Vec<String>,
    /// The processor that functions and jobs run on
    #[arg(long, value_enum, default_value_t = Arch::X86_64)]
    arch: Arch,
    /// Deploy what was packaged before, for the same --arch, such as the release to go back to
    #[arg(long, value_name = "FOLDER")]
    release: Option<PathBuf>,
}

/// What the template gets from here.
const OWN_PARAMETERS: [&str; 3] = ["CodeBucket", "CodePrefix", "Architecture"];

/// Packages, uploads and deploys; prints the stack's outputs and what to do next.
pub(crate) fn deploy(flags: &Deploy) -> Result<()> {
    // Before minutes of building.
    cli::is_here()?;
    for own in OWN_PARAMETERS {
        let given = |it: &&String| it.split('=').next() == Some(own);
        if flags.parameters.iter().any(|it| given(&it)) {
            bail!("{own} follows from --code-bucket, --code-prefix, --arch and the release");
        }
    }
    let prefix = flags.code_prefix.trim_matches('/');
    let release = match &flags.release {
        Some(folder) => package::packaged(folder)?,
        None => package::release(flags.arch)?,
    };
    let is_new = !cli::has_stack(&flags.stack)?;
    let folder = match prefix {
        "" => release.name.clone(),
        prefix => format!("{prefix}/{}", release.name),
    };
    upload(&release, &flags.code_bucket, &folder)?;
    // The template is larger than what CloudFormation takes inline, so it goes by the bucket.
    aws()
        .args(["cloudformation", "deploy", "--stack-name", &flags.stack])
        .args([
            "--template-file".as_ref(),
            release.folder.join("two-buckets.yaml").as_os_str(),
        ])
        .args(["--s3-bucket", &flags.code_bucket, "--s3-prefix", &folder])
        .args([
            "--capabilities",
            "CAPABILITY_IAM",
            "--no-fail-on-empty-changeset",
        ])
        .args(flags.tags.first().map(|_| "--tags"))
        .args(&flags.tags)
        .args(["--parameter-overrides"])
        .args([
            format!("CodeBucket={}", flags.code_bucket),
            format!("CodePrefix={folder}"),
        ])
        .args([format!("Architecture={}", flags.arch.name())])
        .args(&flags.parameters)
        .run()?;
    // From now on no update replaces or deletes what holds files.
    let policy = release.folder.join("stack-policy.json");
    aws()
        .args([
            "cloudformation",
            "set-stack-policy",
            "--stack-name",
            &flags.stack,
        ])
        .args([
            "--stack-policy-body",
            &format!("file://{}", policy.display()),
        ])
        .run()?;
    println!("\nrelease {} is deployed as {}", release.name, flags.stack);
    for (name, value) in outputs(&flags.stack)? {
        println!("{name:<24} {value}");
    }
    if is_new {
        println!(
            "\nWait 15 minutes before the first upload: S3 takes that long to version every write of a new bucket."
        );
    }
    let then = if is_new { "then" } else { "next" };
    println!("\n{then}: cargo xtask verify --stack {}", flags.stack);
    Ok(())
}

/// Uploads what is not there yet: a folder is named by its content, so what is there is the same.
fn upload(release: &Release, bucket: &str, folder: &str) -> Result<()> {
    aws()
        .args(["s3".as_ref(), "sync".as_ref(), release.folder.as_os_str()])
        .args([format!("s3://{bucket}/{folder}")])
        .args(["--size-only", "--no-progress"])
        .run()
}

fn pair(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.to_owned()),
        _ => Err("it is no NAME=VALUE".to_owned()),
    }
}

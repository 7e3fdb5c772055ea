//! `cargo xtask check`: what can be known in minutes, without running the product.

use anyhow::Result;

use crate::program::Program;
use crate::stages::{Done, Stages};
use crate::{arrows, deny, strays, web};

pub(crate) fn run() -> Result<()> {
    let mut stages = Stages::new(None);
    stages.run("formatting", || {
        Program::new("cargo")
            .args(["fmt", "--all", "--check"])
            .run()?;
        Ok(Done::quietly())
    });
    stages.run("arrows", || {
        arrows::check()?;
        Ok(Done::quietly())
    });
    stages.run("stray paths", || {
        strays::check()?;
        Ok(Done::quietly())
    });
    stages.run("page checks", web::check);
    stages.run("lints", || {
        Program::new("cargo")
            .args(["clippy", "--workspace", "--all-targets", "--locked"])
            .args(["--", "-D", "warnings"])
            .run()?;
        Ok(Done::quietly())
    });
    // With the workspace it has the features of all its members. Functions alone are built, and held to no warning, as they
    // are packaged.
    stages.run("lints without AWS", || {
        Program::new("cargo")
            .args(["clippy", "--locked", "--package", "two-buckets"])
            .args(["--no-default-features", "--features", "local"])
            .args(["--", "-D", "warnings"])
            .run()?;
        Ok(Done::quietly())
    });
    stages.run("licences and sources", deny::check);
    stages.finish()
}
